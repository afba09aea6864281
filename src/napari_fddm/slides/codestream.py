"""Check that the JPEG or JPEG 2000 data of a tile is complete, before it is decoded.

The decoders report no error: libjpeg fills the rest of a truncated tile with gray, and
openjpeg with black or blur. So the markers are checked: those at the start and the end,
and those that must not occur in between.
"""

from __future__ import annotations

import struct

import numpy as np

_START, _END, _SCAN = b"\xff\xd8", b"\xff\xd9", b"\xff\xda"
_J2K_START, _JP2_SIGNATURE = b"\xff\x4f", b"jP  "


def jpeg_damage(data: bytes) -> str:
    """Return why a JPEG stream cannot be complete, or "" if no fault is found.

    It starts with SOI, ends with EOI, and the coded data in between holds no byte pair
    that only a marker may be (ITU-T T.81, B.1.1.5).
    """
    if not data.startswith(_START):
        return "no JPEG start marker"
    body = _without_padding(data)
    if not body.endswith(_END):
        return "the JPEG end marker is missing"
    scan = body.find(_SCAN)
    if scan < 0:
        return "no JPEG scan"
    coded = np.frombuffer(body, np.uint8, offset=scan)
    after = coded[1:][coded[:-1] == 0xFF]
    if not _ALLOWED_AFTER_FF[after].all():
        return "a stray marker inside the coded data"
    return ""


def jpeg2000_damage(data: bytes) -> str:
    """Return why a JPEG 2000 stream cannot be complete, or "" if no fault is found.

    A codestream ends with EOC (ITU-T T.800, A.4.4); in a JP2 file it is the content
    of the box ``jp2c`` (I.5.4).
    """
    if data[4:8] == _JP2_SIGNATURE:
        data = _codestream_box(data)
    if not data.startswith(_J2K_START):
        return "no JPEG 2000 start marker"
    if not _without_padding(data).endswith(_END):
        return "the JPEG 2000 end marker is missing"
    return ""


def _without_padding(data: bytes) -> bytes:
    """Drop zeros (and fill bytes) that writers append to reach even lengths."""
    end = len(data.rstrip(b"\x00"))
    return data[:end]


def _codestream_box(data: bytes) -> bytes:
    place = 0
    while place + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        if kind == b"jp2c":
            return data[place + 8 : place + length if length > 1 else None]
        if length < 8:
            break
        place += length
    return b""


def _allowed_after_ff() -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    allowed = np.zeros(256, bool)
    # Stuffing, fill, restarts, and what separates the scans of a progressive image.
    for code in (0x00, 0xFF, *range(0xD0, 0xD8), 0xD9, 0xDA, 0xC4, 0xDB, 0xDC, 0xDD, 0xFE):
        allowed[code] = True
    return allowed


_ALLOWED_AFTER_FF = _allowed_after_ff()
