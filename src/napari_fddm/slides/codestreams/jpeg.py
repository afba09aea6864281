"""Walk the segments of a JPEG image (ITU-T T.81): is it complete, and which colors it holds.

The decoder reports no error: libjpeg fills the rest of a truncated tile with gray. So the
image is walked from marker to marker, as the lengths of its segments say: thumbnails, color
profiles and comments may hold any bytes, also those of markers.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

RGB, YCBCR, GRAY, CMYK, UNSAID = "RGB", "YCbCr", "gray", "CMYK", ""
"""Colors of a JPEG; `UNSAID` where three components carry no sign of what they are."""

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BETWEEN_SCANS = frozenset({0xC4, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE})
"""Segments of a progressive image that may follow coded data: tables, scans, comments."""
_JFIF, _ADOBE = 0xE0, 0xEE
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_FILL = b"\x00\xff\r\n "
"""Bytes that writers append behind the end to reach even lengths or whole blocks."""


class _Damage(Exception):
    """The image is not complete; the text says why."""


@dataclass(frozen=True, slots=True)
class Jpeg:
    """What the header of a JPEG says.

    Attributes
    ----------
    shape : tuple of int
        Height and width, px; a height of 0 is given behind the scan.
    ids : tuple of int
        Of its components.
    subsampled : bool
        Whether its components have different resolutions.
    jfif : bool
        Whether it has the JFIF marker, which only gray and YCbCr have.
    transform : int or None
        Of the Adobe marker: 0 none, 1 YCbCr, 2 YCCK; None without the marker.
    """

    shape: tuple[int, int]
    ids: tuple[int, ...]
    subsampled: bool
    jfif: bool
    transform: int | None

    @property
    def colors(self) -> str:
        """One of `RGB`, `YCBCR`, `GRAY`, `CMYK` (also YCCK), `UNSAID`; as libjpeg decides."""
        if len(self.ids) != 3:
            return {1: GRAY, 4: CMYK}.get(len(self.ids), UNSAID)
        if self.jfif:
            return YCBCR
        if self.transform is not None:
            return YCBCR if self.transform else RGB
        if bytes(self.ids) == b"RGB":
            return RGB
        return YCBCR if self.subsampled else UNSAID


def jpeg_damage(data: bytes) -> str:
    """Return why a JPEG image cannot be complete, or "" if no fault is found.

    It starts with SOI, its segments are as long as they say, its restart markers count up,
    its coded data holds no other marker (B.1.1.5), and it ends with EOI. Behind the end
    there may be zeros, fill bytes and line breaks.
    """
    try:
        scans = sum(code == _SCAN for code, _ in _segments(data))
    except _Damage as damage:
        return str(damage)
    return "" if scans else "no JPEG scan"


def read_jpeg(data: bytes, tables: bytes = b"") -> Jpeg | None:
    """Return what the header says; None if there is none.

    Parameters
    ----------
    data : bytes
        The image; what follows its first scan is not looked at.
    tables : bytes
        Tables that the images of a file share (``JPEGTables`` of a TIFF); a color marker in
        them counts where the image has none.
    """
    jfif, transform = False, None
    for part in (tables, data):
        try:
            for code, segment in _segments(part):
                if code == _JFIF and segment.startswith(b"JFIF\0"):
                    jfif = True
                elif code == _ADOBE and segment.startswith(b"Adobe") and len(segment) >= 12:
                    transform = segment[11]
                elif code in _FRAMES:
                    return _frame(segment, jfif=jfif, transform=transform)
        except _Damage:
            continue
    return None


def _frame(segment: bytes, *, jfif: bool, transform: int | None) -> Jpeg | None:
    if len(segment) < 6 or len(segment) < 6 + 3 * segment[5]:
        return None
    height, width = struct.unpack(">HH", segment[1:5])
    parts = [segment[6 + 3 * k : 9 + 3 * k] for k in range(segment[5])]
    sampling = {part[1] for part in parts}
    return Jpeg((height, width), tuple(p[0] for p in parts), len(sampling) > 1, jfif, transform)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the marker and the content of each segment up to the end of the image."""
    if data[:2] != b"\xff\xd8":
        raise _Damage("no JPEG start marker")
    place, scanned = 2, False
    while True:
        code, place = _marker(data, place)
        if code == _END:
            if data[place:].strip(_FILL):
                raise _Damage("there is data behind the JPEG end marker")
            return
        if code == _START or 0xD0 <= code <= 0xD7 or (scanned and code not in _BETWEEN_SCANS):
            raise _Damage("a stray marker inside the coded data")
        if code == 0x01:  # a marker without content, which nobody uses
            continue
        length = int.from_bytes(data[place : place + 2], "big")
        if length < 2 or place + length > len(data):
            raise _Damage("it is cut off inside its header")
        yield code, data[place + 2 : place + length]
        place += length
        if code == _SCAN:
            place, scanned = _coded_end(data, place), True


def _marker(data: bytes, place: int) -> tuple[int, int]:
    """Return the code of the marker at a place and where it ends; fill bytes are skipped."""
    if place >= len(data):
        raise _Damage("the JPEG end marker is missing")
    if data[place] != 0xFF:
        raise _Damage("no marker where a JPEG segment ends")
    while place < len(data) and data[place] == 0xFF:
        place += 1
    if place >= len(data):
        raise _Damage("the JPEG end marker is missing")
    return data[place], place + 1


def _coded_end(data: bytes, place: int) -> int:
    """Return where the coded data of a scan ends; its restart markers count 0 to 7."""
    found = _MARKER_IN_SCAN.search(data, place)
    if found is None:
        raise _Damage("the JPEG end marker is missing")
    for number, restart in enumerate(_RESTART.finditer(data, place, found.start())):
        if restart[1][0] != 0xD0 + number % 8:
            raise _Damage("a restart marker is missing")
    return found.start()
