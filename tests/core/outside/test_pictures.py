"""Pictures are measured before they are decoded."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_fddm.core.errors import DataError
from napari_fddm.core.outside.pictures import check_size, open_picture

if TYPE_CHECKING:
    from pathlib import Path


def png(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = (
        (b"IHDR", head),
        (b"IDAT", zlib.compress(bytes(height * (width + 1)))),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def test_a_picture_is_read(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(png(5, 3))
    with open_picture(tmp_path / "a.png") as picture:
        assert np.asarray(picture).shape == (3, 5)


def test_a_picture_that_says_a_size_that_cannot_be_is_refused(tmp_path: Path):
    data = bytearray(png(5, 3))
    data[16:24] = struct.pack(">II", 100_000, 100_000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    (tmp_path / "a.png").write_bytes(data)
    with (
        pytest.raises(DataError, match="100000 × 100000 px are too many"),
        open_picture(tmp_path / "a.png"),
    ):
        pass


@pytest.mark.parametrize("keep", [0, 20, 50])
def test_a_picture_that_is_cut_off_is_said(tmp_path: Path, keep: int):
    (tmp_path / "a.png").write_bytes(png(300, 300)[:keep])
    with (
        pytest.raises(DataError, match=r"a\.png cannot be read as a mask"),
        open_picture(tmp_path / "a.png", "a mask") as picture,
    ):
        np.asarray(picture)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (1 << 20, 1 << 20)])
def test_sizes_that_cannot_be_are_refused(shape: tuple[int, int]):
    with pytest.raises(DataError, match=r"px are too many|it has no pixels"):
        check_size(shape, "a.png", "a mask")


def saved(path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    return path


def test_every_flipped_byte_of_a_png_is_noticed(tmp_path: Path):
    path = saved(tmp_path / "a.png")
    data = path.read_bytes()
    with open_picture(path) as picture:
        assert picture.size == (50, 40)
    for place in range(8, len(data) - 12, 7):  # up to the empty chunk at the end
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(DataError, match=r"a\.png"), open_picture(path) as picture:
            picture.load()
