"""The tissue mask keeps what is pale, leaves out what is glass, and adds up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import MapGeometry, Region, Window
from napari_fddm.core.tiling import TileGrid
from napari_fddm.core.tissue import MASK_UM, TissueMask, everything, find_tissue
from napari_fddm.slides.synthetic import SyntheticSlide

SIDE, MPP = 8192, 0.5
PALE_NECROSIS = (238, 205, 222)
HEMORRHAGE = (150, 40, 45)
GLASS = (242, 240, 241)


def mask_geometry(rows: int, cols: int) -> MapGeometry:
    return MapGeometry((rows, cols), MASK_UM / MPP, MPP)


def plain(color: tuple[int, int, int], rows: int = 100, cols: int = 120) -> np.ndarray:
    return np.full((rows, cols, 3), color, np.uint8)


def noisy(image: np.ndarray, sd: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sd, image.shape)
    return np.clip(image + noise, 0, 255).round().astype(np.uint8)


def find(image: np.ndarray) -> np.ndarray:
    return find_tissue(image, mask_geometry(*image.shape[:2])).mask


@pytest.mark.parametrize("seed", range(6))
def test_every_class_of_tissue_is_kept_and_glass_is_left_out(seed: int):
    slide = SyntheticSlide(SIDE, SIDE, mpp=MPP, seed=seed)
    geometry = MapGeometry.covering((SIDE, SIDE), MASK_UM / MPP, MPP)
    truth = slide.truth_map(geometry)
    found = find_tissue(slide.read_region(geometry.region, MASK_UM), geometry)
    for tissue in OSTEOSARCOMA:
        share = found.mask[truth == tissue.value].mean()
        if tissue.short == "BG":
            assert share < 0.1
        else:
            assert share >= 0.97, tissue.name


@pytest.mark.parametrize("color", [PALE_NECROSIS, HEMORRHAGE, (225, 205, 235), (120, 60, 130)])
def test_pale_and_dark_tissue_alike_stand_out_from_glass(color: tuple[int, int, int]):
    image = noisy(plain(GLASS), 2)
    image[20:60, 30:80] = noisy(plain(color, 40, 50), 2)
    found = find(image)
    assert found[22:58, 32:78].all()
    far = np.ones_like(found)
    far[15:65, 25:85] = False
    assert not found[far].any()


@pytest.mark.parametrize("color", [PALE_NECROSIS, HEMORRHAGE])
def test_a_slide_without_glass_is_all_tissue(color: tuple[int, int, int]):
    assert find(noisy(plain(color), 3)).all()


@pytest.mark.parametrize("glass", [(255, 255, 255), GLASS, (216, 216, 216), (244, 239, 228)])
@pytest.mark.parametrize("sd", [0, 3])
def test_a_slide_of_glass_is_empty(glass: tuple[int, int, int], sd: float):
    assert not find(noisy(plain(glass), sd)).any()


def test_unevenly_lit_glass_is_empty():
    image = np.repeat(np.linspace(245, 232, 120)[None, :, None], 100, axis=0)
    assert not find(noisy(np.repeat(image, 3, axis=2), 1)).any()


def test_white_padding_does_not_turn_scanned_glass_into_tissue():
    """Readers fill with 255 what a scanner skipped; scanned glass is darker."""
    image = plain((255, 255, 255))
    image[:, 40:] = noisy(plain((238, 236, 237), 100, 80), 2)
    image[30:70, 60:100] = noisy(plain(PALE_NECROSIS, 40, 40), 2)
    found = find(image)
    assert found[32:68, 62:98].all()
    assert found.sum() < 45 * 45


def test_specks_are_dropped_and_small_gaps_are_filled():
    image = plain(GLASS)
    image[30:80, 30:90] = HEMORRHAGE
    image[50:55, 50:55] = GLASS  # a vessel
    image[5:7, 5:7] = HEMORRHAGE  # dust
    found = find(image)
    assert found[30:80, 30:90].all()
    assert not found[:20, :20].any()


def test_a_large_gap_stays_glass():
    image = plain(HEMORRHAGE)
    image[30:70, 30:90] = GLASS
    assert not find(image)[36:64, 36:84].any()


def test_a_notch_at_the_border_is_no_gap():
    image = plain(HEMORRHAGE)
    image[:12, 40:52] = GLASS
    assert not find(image)[:6, 44:48].any()


def test_a_thumbnail_of_another_shape_is_refused():
    with pytest.raises(ConfigError, match="does not fit"):
        find_tissue(plain(GLASS), mask_geometry(100, 121))


def test_everything_is_everything():
    mask = everything(mask_geometry(10, 20))
    assert (mask.mask.all(), mask.method) == (True, "all")
    assert mask.tissue_mm2 == pytest.approx(200 * (MASK_UM / 1000) ** 2)


@settings(max_examples=40)
@given(
    st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    st.sampled_from([0.25, 0.4987, 1.0]),
    st.integers(0, 2**32),
)
def test_tissue_per_tile_agrees_with_a_slow_count(size: tuple[int, int], mpp: float, seed: int):
    geometry = MapGeometry.covering(size, MASK_UM / mpp, mpp)
    cells = np.random.default_rng(seed).random(geometry.shape) < 0.3
    mask = TissueMask(cells, geometry, "auto")
    tiles = TileGrid(size, mpp, 1.0).geometry
    tissue, seen = np.zeros(tiles.shape), np.zeros(tiles.shape)
    for (row, col), value in np.ndenumerate(cells):
        cell = geometry.region_of(Window(row, col, 1, 1))
        center = Region(cell.y + cell.height / 2, cell.x + cell.width / 2, 0, 0)
        place = (int(center.y / tiles.cell), int(center.x / tiles.cell))
        place = (min(place[0], tiles.shape[0] - 1), min(place[1], tiles.shape[1] - 1))
        seen[place] += 1
        tissue[place] += value
    np.testing.assert_allclose(mask.share_per_tile(tiles), tissue / np.maximum(seen, 1))


def test_a_sliver_of_tissue_is_enough_to_analyze_a_tile():
    tiles = TileGrid((2048, 2048), MPP, 1.0).geometry
    cells = np.zeros((64, 64), bool)
    cells[20, 20:24] = True  # 4 of 256 cells of tile (1, 1)
    cells[50, 50] = True  # 1 of 256 of tile (3, 3): below a hundredth
    wanted = TissueMask(cells, mask_geometry(64, 64), "auto").tiles_to_analyze(tiles)
    assert np.argwhere(wanted).tolist() == [[1, 1]]
