"""Open TIFF files through tifffile; whatever their directories make it raise becomes ours."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_fddm.core.errors import DataError, FddmError
from napari_fddm.core.outside.files import require_regular
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.tiff_directories import check_directories

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tifffile import TiffFile

# tifffile logs the faults that our errors report already; unless the application has a
# handler of its own, they should not reach the terminal a second time.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@contextmanager
def open_tiff(
    path: Path,
    what: str = "TIFF",
    *,
    error: type[FddmError] = DataError,
    hint: str = "",
    shown: str = "",
) -> Iterator[TiffFile]:
    """Open a TIFF file; what goes wrong in the block becomes ours.

    `shown` is what messages call the file; by default its path.

    Raises
    ------
    FddmError
        If it is no regular file or no TIFF, or is damaged.
    """
    import tifffile

    broken_links(path, what, error=error, hint=hint, shown=shown)
    with reading(what, shown or path, error=error, hint=hint), tifffile.TiffFile(path) as file:
        yield file


def broken_links(
    path: Path,
    what: str = "TIFF",
    *,
    error: type[FddmError] = DataError,
    hint: str = "",
    shown: str = "",
) -> tuple[str, ...]:
    """Check the directories of a TIFF; return a sentence on each chain of them that breaks off.

    Raises
    ------
    FddmError
        If it is no regular file or its directories cannot be; see `check_directories`.
    """
    size = require_regular(path, what, error=error)
    place = shown or path
    with reading(what, place, error=error, hint=hint), path.open("rb") as file:
        return check_directories(file, place, size, error=error)
