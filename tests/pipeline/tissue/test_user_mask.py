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
from tests.support.foreign_labels import scale, translation, write_labels

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


PART = np.ones((120, 120), np.uint8)
"""480 µm at 4 µm per pixel, of a slide of 1500 × 2000 µm."""


def part(path: Path, *begin: float, unit: str | None = "micrometer") -> UserMask:
    steps = [scale(4, 4), *([translation(*begin)] if begin else [])]
    return read(write_labels(path / "part.ome.zarr", PART, steps, unit=unit))


@pytest.mark.parametrize("begin", [(530.0, 530.0), (0.0, 0.0), (-200.0, 1700.5), (33.3, -440.0)])
def test_a_mask_of_a_part_lies_where_it_says(tmp_path: Path, begin: tuple[float, float]):
    mask = part(tmp_path, *begin)
    notes = mask.check_fits(SHAPE, "slide", MPP)
    found = mask.on_grid(GEOMETRY, SHAPE)
    low = [b - 2 + MPP / 2 for b in begin]  # a translation is the center of the first pixel
    ends = [(max(0.0, y), min(side * MPP, y + 480)) for y, side in zip(low, SHAPE, strict=True)]
    mm2 = np.prod([b - a for a, b in ends]) / 1e6
    edge_mm2 = sum(b - a for a, b in ends) * 2 * MASK_UM / 2 / 1e6
    assert found.tissue_mm2 == pytest.approx(mm2, abs=edge_mm2)
    rows, cols = np.nonzero(found.mask)
    assert (rows.min(), cols.min()) == tuple(round(a / MASK_UM) for a, _ in ends)
    assert len(notes) == 1
    assert "outside of it nothing counts as tissue" in notes[0]
    assert ("lie outside the slide" in notes[0]) == (mm2 < 0.2304 * 0.99)


def test_a_mask_that_says_the_whole_slide_covers_it_to_its_edges(tmp_path: Path):
    whole = np.ones((94, 125), np.uint8)  # 16 µm, the last row hangs over
    path = write_labels(tmp_path / "a.ome.zarr", whole, [scale(16, 16)])
    mask = read(path)
    assert mask.check_fits(SHAPE, "slide", MPP) == ()
    assert mask.on_grid(GEOMETRY, SHAPE).mask.all()


def test_a_place_that_cannot_be_is_refused_with_both_sizes(tmp_path: Path):
    both = r"120 × 120 px of 4 µm.*slide with 4000 × 3000 px of 0\.5 µm"
    for begin in ((1600.0, 0.0), (0.0, -500.0)):
        with pytest.raises(ConfigError, match=both):
            part(tmp_path, *begin).check_fits(SHAPE, "slide", MPP)
    with pytest.raises(ConfigError, match=both) as caught:
        part(tmp_path).check_fits(SHAPE, "slide", MPP)
    assert "translation" in caught.value.hint
    with pytest.raises(ConfigError, match="of 4e\\+03 µm"):
        part(tmp_path, 530.0, 530.0, unit="millimeter").check_fits(SHAPE, "slide", MPP)


def test_without_a_unit_a_mask_must_have_the_size_of_a_level(tmp_path: Path):
    levels = [SHAPE, (300, 400)]
    labels = MASK.astype(np.uint8)
    mask = read(write_labels(tmp_path / "a.ome.zarr", labels, [scale(10, 10)], unit=None))
    note = mask.check_fits(SHAPE, "slide", MPP, levels)[-1]
    assert "no unit" in note
    assert "level 1 of slide" in note
    with pytest.raises(ConfigError, match="has no unit"):
        mask.check_fits(SHAPE, "slide", MPP, levels[:1])
    steps = [scale(10, 10), translation(500, 500)]
    moved = read(write_labels(tmp_path / "b.ome.zarr", labels, steps, unit=None))
    with pytest.raises(ConfigError, match="has no unit"):
        moved.check_fits(SHAPE, "slide", MPP, levels)


def test_a_picture_that_states_another_size_is_of_another_slide_or_a_part(tmp_path: Path):
    for size, fits in ((5.0, True), (1.0, False)):
        about = {"PhysicalSizeX": size, "PhysicalSizeY": size}
        tifffile.imwrite(tmp_path / "m.tif", MASK.astype(np.uint8), ome=True, metadata=about)
        mask = read(tmp_path / "m.tif")
        if fits:
            assert mask.check_fits(SHAPE, "slide", MPP) == ()
            continue
        with pytest.raises(ConfigError, match="400 × 300 px of 1 × 1 µm, as it states"):
            mask.check_fits(SHAPE, "slide", MPP)


def test_a_mask_without_tissue_is_an_error(tmp_path: Path):
    Image.fromarray(MASK & False).save(tmp_path / "m.png")
    with pytest.raises(ConfigError, match="marks no tissue on slide"):
        read(tmp_path / "m.png").check_fits(SHAPE, "slide", MPP)


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
        UserMask("m", MASK, None, MapGeometry(MASK.shape, 1.0, 4.0)).sha256,
        UserMask("m", MASK, None, MapGeometry(MASK.shape, 1.0, 4.0, (1.0, 0.0))).sha256,
    }
    assert len(identities) == 6
