"""A user's own mask: read from any of its forms, placed exactly, refused where it cannot fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import MapGeometry, Window
from napari_fddm.core.tissue import MASK_UM, tissue_of_image
from napari_fddm.interop import ome_zarr
from napari_fddm.pipeline.tissue import read_user_mask
from napari_fddm.pipeline.tissue.user_mask import UserMask

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (3000, 4000)
MPP = 0.5
GEOMETRY = MapGeometry.covering(SHAPE, MASK_UM / MPP, MPP)
MASK = np.zeros((300, 400), bool)
MASK[40:210, 100:333] = True


def read(path: Path) -> UserMask:
    mask = read_user_mask(str(path))
    assert mask is not None
    return mask


def written(path: Path, kind: str) -> Path:
    values = MASK.astype(np.uint8)
    if kind == "bits":
        Image.fromarray(MASK).save(path / "m.png")
    elif kind == "gray 16 bit":
        Image.fromarray(values.astype(np.uint16) * 300).save(path / "m.png")
    elif kind == "red":
        Image.fromarray(np.stack([values, values * 0, values * 0], 2)).save(path / "m.png")
    elif kind == "transparent":
        Image.fromarray(np.stack([values * 0 + 9] * 3 + [values * 255], 2)).save(path / "m.png")
    elif kind == "palette":
        picture = Image.fromarray(1 - values, mode="P")
        picture.putpalette([255, 255, 255, 0, 0, 0])
        picture.save(path / "m.png")
    elif kind == "tiff":
        tifffile.imwrite(path / "m.tif", values * 255, compression="zlib")
    elif kind == "planar tiff":
        tifffile.imwrite(path / "m.tif", np.stack([values] * 3), photometric="rgb",
                         planarconfig="separate")  # fmt: skip
    return next(path.iterdir())


@pytest.mark.parametrize(
    "kind",
    ["bits", "gray 16 bit", "red", "transparent", "palette", "tiff", "planar tiff"],
)
def test_every_form_of_image_says_the_same(tmp_path: Path, kind: str):
    mask = read(written(tmp_path, kind))
    assert np.array_equal(mask.image, MASK)
    mask.check_fits(SHAPE, "slide", MPP)
    assert mask.sha256 == UserMask("other name", MASK).sha256


def test_a_label_of_an_ome_zarr_lies_where_it_says(tmp_path: Path):
    geometry = MapGeometry.covering(SHAPE, 7.3 / MPP, MPP)  # hangs over the slide
    image = ome_zarr.create_image(tmp_path / "s.ome.zarr", geometry, name="s")
    group = ome_zarr.create_labels(image, "tissue", geometry, OSTEOSARCOMA)
    values = np.zeros(geometry.shape, np.uint8)
    values[50:, 60:] = 3
    ome_zarr.write_label_window(group, Window(0, 0, *geometry.shape), values)
    for path in (tmp_path / "s.ome.zarr", tmp_path / "s.ome.zarr" / "labels" / "tissue"):
        mask = read(path)
        mask.check_fits(SHAPE, "slide", MPP)
        tissue = mask.on_grid(GEOMETRY, SHAPE)
        # 50 cells of 7.3 µm are 22.8 cells of 16 µm, 60 are 27.4
        assert tissue.mask[23:, 28:].all()
        assert not tissue.mask[:22].any()
        assert not tissue.mask[:, :27].any()
    with pytest.raises(ConfigError, match="does not fit"):
        mask.check_fits((SHAPE[0], SHAPE[1] + 200), "slide", MPP)
    ome_zarr.create_labels(image, "more", geometry, OSTEOSARCOMA)
    with pytest.raises(ConfigError, match=r"labels tissue, more.*labels/NAME"):
        read(tmp_path / "s.ome.zarr")


@settings(max_examples=30)
@given(st.integers(3, 4000), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_any_scale_fits_and_puts_half_the_slide_on_half_the_grid(
    width: int, more_rows: float, more_cols: float
):
    rows = max(2, round(width * SHAPE[0] / SHAPE[1] + more_rows))
    cols = max(2, round(width + more_cols))
    image = np.zeros((rows, cols), bool)
    image[:, cols // 2 :] = True
    mask = UserMask("m", image)
    mask.check_fits(SHAPE, "slide", MPP)
    found = mask.on_grid(GEOMETRY, SHAPE).mask
    assert (found == found[:1]).all()
    edge = (cols // 2) / cols * SHAPE[1] / GEOMETRY.cell
    assert found[0].sum() == pytest.approx(GEOMETRY.shape[1] - edge, abs=1.0)


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 130), st.integers(1, 130))
def test_a_cell_is_tissue_where_half_of_it_is(seed: int, rows: int, cols: int):
    image = np.random.default_rng(seed).random((rows, cols)) < 0.5
    found = tissue_of_image(image, SHAPE, GEOMETRY).mask
    fine_y = ((np.arange(SHAPE[0]) + 0.5) * rows / SHAPE[0]).astype(int)
    fine_x = ((np.arange(SHAPE[1]) + 0.5) * cols / SHAPE[1]).astype(int)
    cell = int(GEOMETRY.cell)
    for row, col in np.random.default_rng(seed).integers(0, GEOMETRY.shape, (20, 2)):
        part = image[
            np.ix_(fine_y[row * cell : (row + 1) * cell], fine_x[col * cell : (col + 1) * cell])
        ]
        if abs(part.mean() - 0.5) > 0.05:  # on the edge, fractions of a pixel decide
            assert found[row, col] == (part.mean() > 0.5)


@pytest.mark.parametrize("shape", [(400, 300), (300, 380), (30, 45)])
def test_another_slides_proportions_are_refused(shape: tuple[int, int]):
    with pytest.raises(ConfigError, match="does not fit") as caught:
        UserMask("m.png", np.ones(shape, bool)).check_fits(SHAPE, "slide.svs", MPP)
    assert "slide.svs" in caught.value.message
    assert "proportions" in caught.value.hint


def test_what_is_no_mask_is_refused_in_one_line(tmp_path: Path):
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "text.tif").write_text("no picture")
    (tmp_path / "folder").mkdir()
    Image.fromarray(MASK.astype(np.uint8) * 255).save(tmp_path / "lossy.jpg")
    tifffile.imwrite(
        tmp_path / "stack.tif", np.zeros((6, 30, 40), np.uint8), photometric="minisblack"
    )
    for path in tmp_path.iterdir():
        with pytest.raises(ConfigError, match="cannot be read as a tissue mask") as caught:
            read(path)
        assert path.name in caught.value.message
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="auto, all or the file"):
        read_user_mask("some")
    assert read_user_mask("auto") is read_user_mask("all") is None


def test_masks_with_other_content_or_size_have_another_identity():
    changed = MASK.copy()
    changed[0, 0] = True
    identities = {
        UserMask("m", MASK).sha256,
        UserMask("m", changed).sha256,
        UserMask("m", MASK.reshape(400, 300)).sha256,
        UserMask("m", MASK, 10.0).sha256,
    }
    assert len(identities) == 4
