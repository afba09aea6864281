"""Fingerprint of a slide's content, by which a moved or renamed file is recognized."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_MIB = 1 << 20


def fingerprint_file(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's size, first MiB and last MiB.

    Slides are gigabytes and lie on network drives, so not every byte is read. Two
    scans differ in their first megabyte (metadata, first tiles) or in their size;
    a copy cut short differs in size and end.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_MIB))
        if size > _MIB:
            file.seek(max(_MIB, size - _MIB))
            digest.update(file.read(_MIB))
    return digest.hexdigest()
