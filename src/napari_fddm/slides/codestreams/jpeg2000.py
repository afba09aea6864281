"""Read the header of a JPEG 2000 image (ITU-T T.800) and check that its tiles are complete.

openjpeg reports no error for truncated data: it gives black or blur.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

RGB, YCBCR, GRAY = "RGB", "YCbCr", "gray"
_ENUMERATED = {16: RGB, 17: GRAY, 18: YCBCR}
"""Color spaces of the box ``colr`` (I.5.3.3)."""

_SIGNATURE, _HEADER, _COLOR, _CODESTREAM = b"jP  ", b"jp2h", b"colr", b"jp2c"
_SOC, _SIZ, _COD, _SOT, _EOC = 0xFF4F, 0xFF51, 0xFF52, 0xFF90, 0xFFD9
_FILL = b"\x00\xff\r\n "
_MOST_COMPONENTS = 16


@dataclass(frozen=True, slots=True)
class Jpeg2000:
    """What the header of a JPEG 2000 image says.

    Attributes
    ----------
    shape : tuple of int
        Height and width, px.
    components : int
        How many.
    subsampled : bool
        Whether they have different resolutions, as only those of YCbCr have.
    transformed : bool
        Whether the coder mixed three components (the multiple component transformation of
        A.6.1, which is made for red, green and blue): decoding gives them back.
    declared : str
        Color space that the file's box says; empty without one.
    """

    shape: tuple[int, int]
    components: int
    subsampled: bool
    transformed: bool
    declared: str

    @property
    def colors(self) -> str:
        """One of `RGB`, `YCBCR`, `GRAY`; empty where the image does not say."""
        if self.components < 3:
            return GRAY
        if self.declared:
            return self.declared
        if self.transformed:
            return RGB
        return YCBCR if self.subsampled else ""


def read_jpeg2000(data: bytes) -> Jpeg2000 | None:
    """Return what the header of a codestream or a JP2 file says; None if there is none."""
    declared, stream = "", data
    if data[4:8] == _SIGNATURE:
        boxes = _boxes(data)
        stream = boxes.get(_CODESTREAM, b"")
        color = _boxes(boxes.get(_HEADER, b"")).get(_COLOR, b"")
        if color[:1] == b"\x01" and len(color) >= 7:
            declared = _ENUMERATED.get(int.from_bytes(color[3:7], "big"), "")
    if _u16(stream, 0) != _SOC:
        return None
    size: tuple[tuple[int, int], int, bool] | None = None
    transformed, place = False, 2
    while (code := _u16(stream, place)) not in (_SOT, _EOC, -1):
        length = _u16(stream, place + 2)
        segment = stream[place + 4 : place + 2 + length]
        if length < 2:
            return None
        if code == _SIZ:
            size = _size(segment)
        elif code == _COD and len(segment) > 4:
            transformed = segment[4] == 1
        place += 2 + length
    return None if size is None else Jpeg2000(*size, transformed, declared)


def jpeg2000_damage(data: bytes) -> str:
    """Return why a JPEG 2000 image cannot be complete, or "" if no fault is found.

    Its header is whole, its tile-parts are as long as they say (A.4.2), and it ends with
    EOC (A.4.4), behind which there may be zeros, fill bytes and line breaks.
    """
    if data[4:8] == _SIGNATURE:
        data = _boxes(data).get(_CODESTREAM, b"")
    if _u16(data, 0) != _SOC:
        return "no JPEG 2000 start marker"
    place = 2
    while (code := _u16(data, place)) not in (_SOT, _EOC):
        length = _u16(data, place + 2)
        if code < 0xFF00 or length < 2:
            return "the JPEG 2000 header is cut off"
        place += 2 + length
    while _u16(data, place) == _SOT:
        part = int.from_bytes(data[place + 6 : place + 10], "big")
        if part == 0:  # the last one reaches to the end
            whole = data.rstrip(_FILL).endswith(b"\xff\xd9")
            return "" if whole else "the JPEG 2000 end marker is missing"
        if part < 14 or place + part > len(data):
            return "a JPEG 2000 tile is cut off"
        place += part
    if _u16(data, place) != _EOC:
        return "the JPEG 2000 end marker is missing"
    return "there is data behind the JPEG 2000 end marker" if data[place + 2 :].strip(_FILL) else ""


def _size(segment: bytes) -> tuple[tuple[int, int], int, bool] | None:
    if len(segment) < 36:
        return None
    width, height, left, top = struct.unpack(">4I", segment[2:18])
    count = min(_u16(segment, 34), _MOST_COMPONENTS)
    steps = {segment[37 + 3 * k : 39 + 3 * k] for k in range(count)}
    return (height - top, width - left), count, len(steps) > 1


def _boxes(data: bytes) -> dict[bytes, bytes]:
    """Return the content of the first box of each kind (I.4)."""
    found: dict[bytes, bytes] = {}
    place = 0
    while place + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        head = 8
        if length == 1:
            length, head = int.from_bytes(data[place + 8 : place + 16], "big"), 16
        end = place + length if length else len(data)
        if end < place + head:
            break
        found.setdefault(kind, data[place + head : end])
        place = end
    return found


def _u16(data: bytes, place: int) -> int:
    """Return two bytes as a number, -1 behind the end."""
    return int.from_bytes(data[place : place + 2], "big") if place + 2 <= len(data) else -1
