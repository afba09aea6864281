"""A mask counts where its values are not zero, whatever their type; what is no mask is refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_fddm.core.errors import ConfigError
from napari_fddm.pipeline.tissue.mask_files import read_mask_picture
from tests.support.foreign_labels import scale, write_labels

if TYPE_CHECKING:
    from pathlib import Path

MASK = np.zeros((60, 80), bool)
MASK[10:30, 20:70] = True


@pytest.mark.parametrize("value", [1, 255, 65_536, 70_000, -3])
@pytest.mark.parametrize("kind", ["zarr", "tiff"])
def test_every_whole_number_but_zero_counts(tmp_path: Path, value: int, kind: str):
    labels = MASK * np.int32(value)
    if kind == "zarr":
        path = write_labels(tmp_path / "a.ome.zarr", labels, [scale(4, 4)])
    else:
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, labels)
    assert np.array_equal(read_mask_picture(path).image, MASK)


def test_yes_and_no_of_numpy_counts_as_numpy_means_it(tmp_path: Path):
    """tifffile stores it with 0 as white; the mask is not turned over, and that is said."""
    tifffile.imwrite(tmp_path / "a.tif", MASK)
    found = read_mask_picture(tmp_path / "a.tif")
    assert np.array_equal(found.image, MASK)
    assert found.notes == ("in a.tif 0 is white: its pixels of value 1 count as tissue",)
    tifffile.imwrite(tmp_path / "b.tif", MASK, software="another program")
    with pytest.raises(ConfigError, match="which of them is tissue is not clear"):
        read_mask_picture(tmp_path / "b.tif")


def test_floats_count_only_if_all_are_whole(tmp_path: Path):
    whole = MASK.astype(np.float32) * 3
    tifffile.imwrite(tmp_path / "a.tif", whole)
    assert np.array_equal(read_mask_picture(tmp_path / "a.tif").image, MASK)
    for wrong in (0.5, np.nan, np.inf):
        whole[5, 5] = wrong
        tifffile.imwrite(tmp_path / "a.tif", whole)
        with pytest.raises(ConfigError, match="no whole numbers"):
            read_mask_picture(tmp_path / "a.tif")


def test_an_indexed_tiff_is_read_by_its_colors(tmp_path: Path):
    ramp = np.zeros((3, 256), np.uint16)
    ramp[:, 0] = 65_535  # value 0 is white, 1 is black
    tifffile.imwrite(
        tmp_path / "a.tif", 1 - MASK.astype(np.uint8), photometric="palette", colormap=ramp
    )
    assert np.array_equal(read_mask_picture(tmp_path / "a.tif").image, MASK)


def png(path: Path, **damage: Any) -> None:
    noise = np.random.default_rng(0).integers(0, 255, MASK.shape).astype(np.uint8)
    Image.fromarray(noise).save(path)
    data = bytearray(path.read_bytes())
    if "flip" in damage:
        data[damage["flip"]] ^= 1
    path.write_bytes(data[: damage.get("end", len(data))])


def cut_strip(path: Path) -> None:
    """Write a mask as LZW strips, one of which is a byte shorter than it was written."""
    mask = np.random.default_rng(0).integers(0, 2, (90, 101), np.uint8)
    tifffile.imwrite(path, mask, compression="lzw", rowsperstrip=30, metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as file:
        tag = file.pages[0].tags["StripByteCounts"]
        tag.overwrite([tag.value[0], tag.value[1] - 2, tag.value[2]])


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("cut.png", lambda p: png(p, end=900)),
        ("flipped.png", lambda p: png(p, flip=1500)),
        ("pipe.png", os.mkfifo),
        ("pipe.tif", os.mkfifo),
        ("pipe.geojson", os.mkfifo),
        ("lossy.tif", lambda p: tifffile.imwrite(p, np.zeros((64, 64), np.uint8),
                                                 compression="jpeg")),
        ("shorter.tif", lambda p: cut_strip(p)),
        ("complex.tif", lambda p: tifffile.imwrite(p, np.zeros((9, 9), np.complex64))),
        ("floats.ome.zarr", lambda p: write_labels(p, MASK * 0.5, [scale(4, 4)])),
    ],
)  # fmt: skip
def test_what_is_no_mask_or_damaged_is_one_sentence(tmp_path: Path, name: str, make):
    from napari_fddm.pipeline.tissue import read_user_mask

    make(tmp_path / name)
    with pytest.raises(ConfigError, match=name) as caught:
        read_user_mask(str(tmp_path / name))
    assert "\n" not in str(caught.value)
    assert caught.value.hint
