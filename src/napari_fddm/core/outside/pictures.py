"""Open pictures through Pillow, after a look at their size."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_fddm.core.errors import DataError, FddmError
from napari_fddm.core.outside.files import require_regular
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from PIL.Image import Image

MOST_PIXELS = 1 << 30
"""32 768 pixels squared: a slide of 33 mm at 1 µm."""
_OPENING = threading.Lock()


@contextmanager
def open_picture(
    path: Path, what: str = "a picture", *, error: type[FddmError] = DataError, hint: str = ""
) -> Iterator[Image]:
    """Open a picture; nothing is decoded yet, and what goes wrong in the block becomes ours.

    Raises
    ------
    FddmError
        If it cannot be read or is larger than `MOST_PIXELS`.
    """
    require_regular(path, what, error=error)
    with reading(what, path, error=error, hint=hint):
        with _opened(path) as picture:
            if picture.format == "PNG":  # its checksums, which decoding does not look at
                picture.verify()
        with _opened(path) as picture:
            check_size((picture.height, picture.width), path, what, error=error)
            yield picture


def _opened(path: Path) -> Image:
    """Open a picture whatever its size, which is looked at afterwards."""
    from PIL import Image

    with _OPENING:  # Pillow's limit is one for all threads, and a sixth of ours
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def check_size(
    shape: tuple[int, int], place: Path | str, what: str, *, error: type[FddmError] = DataError
) -> None:
    """Refuse a picture of more pixels than `MOST_PIXELS`, before it is decoded."""
    height, width = shape
    if min(height, width) < 1:
        raise error(f"{visible(place)} cannot be read as {what}: it has no pixels.")
    if height * width > MOST_PIXELS:
        raise error(
            f"{visible(place)} cannot be read as {what}: {width} × {height} px are too many.",
            hint="Save it smaller.",
        )
