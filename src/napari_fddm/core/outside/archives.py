"""Open ZIP archives that others made; what one unpacks to is checked before it is read."""

from __future__ import annotations

import shutil
import zipfile
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from napari_fddm.core.errors import FddmError, StoreError
from napari_fddm.core.outside.files import require_regular
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
MOST_RATIO = 1100
"""Deflate packs zeros at most 1032 to 1; an entry that says more is no archive."""


@contextmanager
def open_zip(
    path: Path, what: str = "a ZIP archive", *, error: type[FddmError] = StoreError
) -> Iterator[zipfile.ZipFile]:
    """Open a ZIP archive for reading; what goes wrong in the block becomes ours.

    Raises
    ------
    FddmError
        If it is damaged, holds a name twice or one that leads out of the folder it is
        unpacked to, is encrypted, packed with a method other than store and deflate, or
        unpacks to more than its packed size can be.
    """
    require_regular(path, what, error=error)
    with (
        reading(what, path, error=error, hint="Copy it again, or export it again."),
        zipfile.ZipFile(path) as archive,
    ):
        _check(archive, path, error)
        yield archive


def unpack(path: Path, folder: Path, what: str, *, error: type[FddmError] = StoreError) -> None:
    """Unpack a ZIP archive into a folder that exists; the checksum of every entry is compared.

    Raises
    ------
    FddmError
        As `open_zip`; also if a checksum differs or the disk has no room for the content.
    """
    with open_zip(path, what, error=error) as archive:
        needed = sum(entry.file_size for entry in archive.infolist())
        if needed > shutil.disk_usage(folder).free:
            raise error(
                f"{visible(path)} unpacks to {needed / (1 << 20):,.0f} MiB, for which there is no "
                f"room in {folder}.",
                hint="Free some space; the environment variable TMPDIR names another folder.",
            )
        archive.extractall(folder)


def _check(archive: zipfile.ZipFile, path: Path, error: type[FddmError]) -> None:
    seen: set[str] = set()
    for entry in archive.infolist():
        parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
        wrong = ""
        if entry.filename in seen:
            wrong = "is there twice"
        elif not parts or ".." in parts or parts[0].startswith("/") or ":" in parts[0]:
            wrong = "leads out of the archive"
        elif entry.flag_bits & 1:
            wrong = "is encrypted"
        elif entry.compress_type not in METHODS:
            wrong = f"is packed by method {entry.compress_type}, which is not read"
        elif entry.file_size > MOST_RATIO * max(entry.compress_size, 1):
            wrong = "says a size that cannot be"
        if wrong:
            raise error(
                f"{visible(path)} is damaged: {visible(entry.filename)!r} {wrong}.",
                hint="Copy it again, or export it again.",
            )
        seen.add(entry.filename)
