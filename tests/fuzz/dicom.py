"""A small whole-slide image in DICOM, and where its elements lie."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LONG = ("OB", "SQ")
_UNDEFINED = 0xFFFFFFFF
_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"  # VL Whole Slide Microscopy Image Storage
_JPEG = "1.2.840.10008.1.2.4.50"
_ROOT = "1.2.826.0.1.3680043.8.498.77"
_PACKING = {"US": "<H", "UL": "<I", "FL": "<f"}


@dataclass(frozen=True)
class Element:
    """One element: where it lies, what it is, where its value lies."""

    at: int
    tag: int
    kind: str
    value_at: int
    length: int

    @property
    def name(self) -> str:
        return f"({self.tag >> 16:04X},{self.tag & 0xFFFF:04X}) {self.kind}"


def write_dicom(path: Path, image: np.ndarray, *, mpp: float = 0.5, side: int = 64) -> Path:
    """Write an image (h, w, 3) in JPEG tiles, as supplement 145 of the standard has it."""
    height, width = image.shape[:2]
    frames = [
        imagecodecs.jpeg8_encode(_tile(image, y, x, side), level=95, subsampling="444")
        for y in range(0, height, side)
        for x in range(0, width, side)
    ]
    spacing = f"{mpp / 1000:g}"
    dataset = [
        (0x00080008, "CS", "ORIGINAL\\PRIMARY\\VOLUME\\NONE"), (0x00080016, "UI", _CLASS),
        (0x00080018, "UI", f"{_ROOT}.1"), (0x00080060, "CS", "SM"), (0x00080070, "LO", "None"),
        (0x0020000D, "UI", f"{_ROOT}.2"), (0x0020000E, "UI", f"{_ROOT}.3"),
        (0x00200011, "IS", "1"), (0x00200013, "IS", "1"), (0x00200052, "UI", f"{_ROOT}.4"),
        (0x00209311, "CS", "TILED_FULL"), (0x00280002, "US", 3), (0x00280004, "CS", "YBR_FULL_422"),
        (0x00280006, "US", 0), (0x00280008, "IS", str(len(frames))), (0x00280010, "US", side),
        (0x00280011, "US", side), (0x00280100, "US", 8), (0x00280101, "US", 8),
        (0x00280102, "US", 7), (0x00280103, "US", 0), (0x00282110, "CS", "01"),
        (0x00480001, "FL", width * mpp / 1000), (0x00480002, "FL", height * mpp / 1000),
        (0x00480003, "FL", 1.0), (0x00480006, "UL", width), (0x00480007, "UL", height),
        (0x00480105, "SQ", [[
            (0x00220016, "SQ", [[(0x00080100, "SH", "111744"), (0x00080102, "SH", "DCM"),
                                 (0x00080104, "LO", "Brightfield illumination")]]),
            (0x00480106, "SH", "0"),
        ]]),
        (0x00480302, "UL", 1), (0x00480303, "UL", 1),
        (0x52009229, "SQ", [[
            (0x00289110, "SQ", [[(0x00180050, "DS", "0.0005"),
                                 (0x00280030, "DS", f"{spacing}\\{spacing}")]]),
            (0x00400710, "SQ", [[(0x00089007, "CS", "ORIGINAL\\PRIMARY\\VOLUME\\NONE")]]),
        ]]),
    ]  # fmt: skip
    meta = b"".join(
        _element(*e)
        for e in (
            (0x00020001, "OB", b"\0\1"), (0x00020002, "UI", _CLASS),
            (0x00020003, "UI", f"{_ROOT}.1"), (0x00020010, "UI", _JPEG),
            (0x00020012, "UI", f"{_ROOT}.9"),
        )
    )  # fmt: skip
    body = b"".join(_element(*e) for e in dataset)
    start = bytes(128) + b"DICM" + _element(0x00020000, "UL", len(meta)) + meta
    path.write_bytes(start + body + _pixel_data(frames))
    return path


def elements_of(data: bytes) -> Iterator[Element]:
    """Iterate over the elements of an intact file, those of sequences among them."""
    at = 132
    while at + 8 <= len(data):
        group, number = struct.unpack_from("<HH", data, at)
        if group == 0xFFFE:  # an item, or the end of some
            length = struct.unpack_from("<I", data, at + 4)[0]
            yield Element(at, group << 16 | number, "", at + 8, length)
            inside_pixels = length != _UNDEFINED and data[at + 8 : at + 10] in (
                b"\xff\xd8",
                b"\0\0",
            )
            at += 8 + (length if inside_pixels else 0)
            continue
        kind = data[at + 4 : at + 6].decode("ascii", "replace")
        if kind in _LONG:
            length, value_at = struct.unpack_from("<I", data, at + 8)[0], at + 12
        else:
            length, value_at = struct.unpack_from("<H", data, at + 6)[0], at + 8
        yield Element(at, group << 16 | number, kind, value_at, length)
        at = value_at if kind == "SQ" or length == _UNDEFINED else value_at + length


def _element(tag: int, kind: str, value: object) -> bytes:
    if isinstance(value, list):
        data = b"".join(_item(b"".join(_element(*e) for e in item)) for item in value)
    elif isinstance(value, str):
        pad = "\0" if kind == "UI" else " "
        data = (value + pad * (len(value) % 2)).encode()
    elif isinstance(value, bytes):
        data = value
    else:
        data = struct.pack(_PACKING[kind], value)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, kind.encode())
    if kind in _LONG:
        return head + struct.pack("<HI", 0, len(data)) + data
    return head + struct.pack("<H", len(data)) + data


def _item(data: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(data)) + data


def _pixel_data(frames: list[bytes]) -> bytes:
    padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    starts = np.cumsum([0, *(8 + len(frame) for frame in padded[:-1])])
    table = struct.pack(f"<{len(starts)}I", *starts.tolist())
    head = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, _UNDEFINED)
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return head + _item(table) + b"".join(_item(frame) for frame in padded) + end


def _tile(image: np.ndarray, y: int, x: int, side: int) -> np.ndarray:
    part = image[y : y + side, x : x + side]
    tile = np.full((side, side, 3), 255, np.uint8)
    tile[: part.shape[0], : part.shape[1]] = part
    return tile
