"""Fingerprint of a slide's content, by which a moved or renamed file is recognized."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from napari_fddm.core.errors import SlideError
from napari_fddm.core.outside.files import open_file

if TYPE_CHECKING:
    from pathlib import Path

_MIB = 1 << 20


def fingerprint_file(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's size, first MiB and last MiB.

    Slides are gigabytes and lie on network drives, so not every byte is read. Two
    scans differ in their first megabyte (metadata, first tiles) or in their size;
    a copy cut short differs in size and end.
    """
    with open_file(path, "a slide", error=SlideError) as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256(str(size).encode())
        digest.update(file.read(_MIB))
        if size > _MIB:
            file.seek(max(_MIB, size - _MIB))
            digest.update(file.read(_MIB))
    return digest.hexdigest()


def series_fingerprint(fingerprint: str, series: int | None) -> str:
    """Return the identity of one image of a file.

    Parameters
    ----------
    fingerprint : str
        Identity of the file, which is also that of its own slide.
    series : int, optional
        Number of another image; None: the file's own slide.
    """
    if series is None:
        return fingerprint
    return hashlib.sha256(f"{fingerprint} series {series}".encode()).hexdigest()
