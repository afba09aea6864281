"""The one picture of a TIFF: pixels unchanged, damage and missing parts never passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from napari_fddm.core.errors import DataError
from napari_fddm.interop.tiff_pictures import read_tiff

if TYPE_CHECKING:
    from pathlib import Path

VALUES = np.random.default_rng(0).integers(1, 8, (70, 90)).astype(np.uint8)


def written(path: Path, data: np.ndarray = VALUES, **options: Any) -> Path:
    tifffile.imwrite(path, data, **options)
    return path


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (VALUES, {}),
        (VALUES, {"tile": (32, 32), "compression": "lzw"}),
        (VALUES, {"compression": "zlib", "ome": True}),
        (VALUES[None, None], {"imagej": True}),
        (VALUES[:1, :1], {}),
        (np.stack([VALUES] * 3, 2), {"photometric": "rgb"}),
    ],
)
def test_pixels_come_unchanged(tmp_path: Path, data: np.ndarray, options: dict[str, Any]):
    found = read_tiff(written(tmp_path / "a.tif", data, **options), "a mask")
    assert np.array_equal(found.pixels, np.squeeze(data).reshape(found.pixels.shape))
    assert found.pixels.shape[:2] == data.shape[-2:] or data.ndim == 3
    assert found.not_stored[0] == 0


def test_colors_in_planes_are_colors(tmp_path: Path):
    colors = np.stack([VALUES, VALUES + 1, VALUES + 2])
    path = written(tmp_path / "a.tif", colors, photometric="rgb", planarconfig="separate")
    assert np.array_equal(read_tiff(path, "a mask").pixels, np.moveaxis(colors, 0, 2))


def test_what_is_said_beside_the_pixels_is_kept(tmp_path: Path):
    found = read_tiff(written(tmp_path / "a.tif", VALUES > 3), "a mask")
    assert (found.zero_is_white, found.pixels.dtype) == (True, np.bool_)
    rgb = np.stack([VALUES] * 3, 2)
    lossy = written(tmp_path / "b.tif", rgb, photometric="rgb", compression="jpeg")
    assert read_tiff(lossy, "a mask").lossy


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", None])
def test_a_damaged_part_is_one_sentence(tmp_path: Path, compression: str | None):
    path = written(tmp_path / "a.tif", compression=compression, rowsperstrip=70)
    with tifffile.TiffFile(path) as file:
        begin, length = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    data = bytearray(path.read_bytes())
    data[begin + 2 : begin + length] = b"\xff" * (length - 2)
    path.write_bytes(data if compression else data[: begin + length // 2])
    with pytest.raises(DataError, match=r"a\.tif cannot be read as a mask") as caught:
        read_tiff(path, "a mask")
    assert "\n" not in str(caught.value)


def test_tiles_that_are_not_stored_are_counted_and_tiles_that_are_not_listed_refused(
    tmp_path: Path,
):
    path = written(tmp_path / "a.tif", tile=(32, 32))  # 3 by 3 tiles
    with tifffile.TiffFile(path, mode="r+") as file:
        counts = file.pages[0].tags["TileByteCounts"]
        counts.overwrite([0, *counts.value[1:]])
    found = read_tiff(path, "a mask")
    assert found.not_stored == (1, 9)
    assert not found.pixels[:32, :32].any()
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["ImageWidth"].overwrite(9_000)
    with pytest.raises(DataError, match="lists 9 of the 846 tiles"):
        read_tiff(path, "a mask")


def test_several_pictures_are_refused_but_smaller_copies_are_not(tmp_path: Path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(VALUES)
        file.write(VALUES[::2, ::2])
    assert read_tiff(path, "a mask").pixels.shape == (70, 90)
    with tifffile.TiffWriter(path) as file:
        file.write(VALUES)
        file.write(VALUES[:40, :80])
    with pytest.raises(DataError, match="holds 2 pictures"):
        read_tiff(path, "a mask")
    stack = np.zeros((6, 30, 40), np.uint8)
    with pytest.raises(DataError, match="not that of one picture"):
        read_tiff(written(path, stack, photometric="minisblack"), "a mask")


def test_of_a_pyramid_the_finest_level_that_is_small_enough_is_read(tmp_path: Path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        options = {"tile": (16, 16), "resolutionunit": "CENTIMETER"}
        file.write(VALUES[:64, :80], subifds=1, resolution=(2500, 2500), **options)
        file.write(VALUES[:64:2, :80:2], subfiletype=1, **options)
    whole, small = read_tiff(path, "a mask"), read_tiff(path, "a mask", most=2000)
    assert (whole.pixels.shape, whole.size.um) == ((64, 80), pytest.approx((4.0, 4.0)))
    assert (small.pixels.shape, small.size.um) == ((32, 40), pytest.approx((8.0, 8.0)))
    for options in ({"most": 500}, {"most": 2000, "coarser": False}):
        with pytest.raises(DataError, match="too many"):
            read_tiff(path, "a mask", **options)
