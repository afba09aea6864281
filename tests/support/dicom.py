"""Writes small DICOM whole-slide images, element by element (PS3.5), for tests of their reader."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.slides import Rgb

ROOT = "1.2.826.0.1.3680043.10.5432"
SLIDE_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
BASELINE = "1.2.840.10008.1.2.4.50"
_LONG = ("OB", "OW", "SQ", "UN")
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


def element(tag: int, kind: str, value: Any, *, length: int | None = None) -> bytes:
    """Encode one element with explicit value representation, little endian."""
    if kind == "SQ":
        value = b"".join(item(part) for part in value)
    elif kind in ("US", "UL", "FL", "FD"):
        value = struct.pack({"US": "<H", "UL": "<I", "FL": "<f", "FD": "<d"}[kind], value)
    elif isinstance(value, str):
        value = value.encode()
        value += (b"\0" if kind == "UI" else b" ") * (len(value) % 2)
    size = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, kind.encode())
    sized = struct.pack("<HI", 0, size) if kind in _LONG else struct.pack("<H", size)
    return head + sized + value


def item(content: bytes, tag: int = ITEM, length: int | None = None) -> bytes:
    """Encode one item of a sequence or of compressed pixels."""
    size = len(content) if length is None else length
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, size) + content


def begin(syntax: str = BASELINE) -> bytes:
    """Return preamble and file meta information."""
    meta = (
        element(0x00020001, "OB", b"\0\1")
        + element(0x00020002, "UI", SLIDE_CLASS)
        + element(0x00020003, "UI", f"{ROOT}.1")
        + element(0x00020010, "UI", syntax)
        + element(0x00020012, "UI", f"{ROOT}.7")
    )
    return bytes(128) + b"DICM" + element(0x00020000, "UL", len(meta)) + meta


def write_dicom(
    path: Path,
    image: Rgb,
    *,
    declared: str = "YBR_FULL_422",
    stored: str = "ycbcr",
    series: str = "1",
    number: str = "1",
    description: str = "",
    flavor: str = "VOLUME",
    container: str = "",
    samples: int = 3,
    mpp: float = 0.5,
    tile: int = 64,
) -> Path:
    """Write an image as one level in JPEG tiles.

    Parameters
    ----------
    declared : str
        PhotometricInterpretation in the header.
    stored : str
        Colors of the JPEG images: "ycbcr" or "rgb".
    """
    height, width = image.shape[:2]
    kind = f"ORIGINAL\\PRIMARY\\{flavor}\\NONE"
    frames = [_jpeg(part, stored) for part in _tiles(image, tile)]
    spacing = f"{mpp / 1000:g}"
    light = (
        element(0x00080100, "SH", "111744") + element(0x00080102, "SH", "DCM")
        + element(0x00080104, "LO", "Brightfield illumination")
    )  # fmt: skip
    measures = element(0x00280030, "DS", f"{spacing}\\{spacing}")
    body = [
        element(0x00080008, "CS", kind),
        element(0x00080016, "UI", SLIDE_CLASS),
        element(0x00080018, "UI", f"{ROOT}.{series}.1.{zlib.crc32(path.name.encode())}"),
        element(0x0008103E, "LO", description),
        element(0x0020000D, "UI", f"{ROOT}.9"),
        element(0x0020000E, "UI", f"{ROOT}.{series}"),
        element(0x00200011, "IS", number),
        element(0x00200052, "UI", f"{ROOT}.8"),
        element(0x00209311, "CS", "TILED_FULL"),
        element(0x00280002, "US", samples),
        element(0x00280004, "CS", declared),
        element(0x00280006, "US", 0),
        element(0x00280008, "IS", str(len(frames))),
        element(0x00280010, "US", tile),
        element(0x00280011, "US", tile),
        *(element(0x00280100 + k, "US", v) for k, v in enumerate((8, 8, 7, 0))),
        element(0x00400512, "LO", container),
        element(0x00480001, "FL", width * mpp / 1000),
        element(0x00480002, "FL", height * mpp / 1000),
        element(0x00480003, "FL", 1.0),
        element(0x00480006, "UL", width),
        element(0x00480007, "UL", height),
        element(0x00480105, "SQ", [
            element(0x00220016, "SQ", [light]) + element(0x00480106, "SH", "0")
        ]),
        element(0x00480302, "UL", 1),
        element(0x00480303, "UL", 1),
        element(0x52009229, "SQ", [
            element(0x00289110, "SQ", [measures])
            + element(0x00400710, "SQ", [element(0x00089007, "CS", kind)])
        ]),
        pixels(frames),
    ]  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(begin() + b"".join(body))
    return path


def pixels(frames: Sequence[bytes]) -> bytes:
    """Encode compressed frames with an empty table of offsets."""
    padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    items = b"".join(item(part) for part in (b"", *padded))
    value = items + item(b"", SEQUENCE_END)
    return element(0x7FE00010, "OB", value, length=UNDEFINED)


def _tiles(image: Rgb, tile: int) -> list[Rgb]:
    height, width = (-(-n // tile) * tile for n in image.shape[:2])
    padded = np.full((height, width, 3), 255, np.uint8)
    padded[: image.shape[0], : image.shape[1]] = image
    return [
        padded[y : y + tile, x : x + tile]
        for y in range(0, height, tile)
        for x in range(0, width, tile)
    ]


def _jpeg(tile: Rgb, stored: str) -> bytes:
    encoded: bytes = imagecodecs.jpeg8_encode(
        np.ascontiguousarray(tile),
        level=95,
        colorspace="rgb",
        outcolorspace=stored,
        subsampling="444",
    )
    return encoded
