from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.geometry import Window
from napari_fddm.core.tiling import TileGrid
from napari_fddm.pipeline.stage1 import CellMaps
from napari_fddm.pipeline.stage1.cell_maps import cell_features

GRID = TileGrid((1000, 1500), 1.0, 1.0)  # 4 by 6 tiles


def some_tile(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(7), 65).astype(np.float32)
    return probs[0], probs[1:].T.reshape(7, 8, 8), rng.random((6, 8, 8), np.float32)


def filled() -> CellMaps:
    maps = CellMaps.empty(GRID, 7)
    for row, col in np.ndindex(GRID.shape):
        maps.put(row, col, *some_tile(10 * row + col))
    return maps


def test_nothing_analyzed_is_clean_glass():
    maps = CellMaps.empty(GRID, 7)
    assert not maps.analyzed.any()
    source, features = maps.region_input(Window(0, 0, 4, 6))
    assert (source[0] == 1).all()
    assert not source[1:].any()
    assert (features[:3] == 1).all()
    assert not features[3:].any()


@given(st.integers(0, 3), st.integers(0, 5), st.integers(0, 99))
def test_a_tile_comes_back_as_it_was_put(row: int, col: int, seed: int):
    maps, put = CellMaps.empty(GRID, 7), some_tile(seed)
    maps.put(row, col, *put)
    for found, given_ in zip(maps.tile(row, col), put, strict=True):
        assert np.array_equal(found, given_.astype(np.float16))
    assert np.argwhere(maps.analyzed).tolist() == [[row, col]]
    rest = CellMaps.empty(GRID, 7)
    rest.put(row, col, *put)
    maps.put(row, col, *(part.astype(np.float16) for part in rest.tile(row, col)))
    assert np.array_equal(maps.cell_probs, rest.cell_probs)  # what a resumed run does


@settings(max_examples=40)
@given(st.integers(-9, 9), st.integers(-9, 9))
def test_regions_are_cut_out_and_hang_over_onto_glass(row: int, col: int):
    maps = filled()
    source, features = maps.region_input(Window(row, col, 8, 8))
    assert source.shape == (7, 64, 64)
    assert features.shape == (6, 64, 64)
    assert source.dtype == features.dtype == np.float32
    glass = CellMaps.empty(GRID, 7)
    for i, j in np.ndindex(8, 8):
        part = (slice(None), slice(8 * i, 8 * i + 8), slice(8 * j, 8 * j + 8))
        place = (row + i, col + j)
        inside = 0 <= place[0] < 4 and 0 <= place[1] < 6
        _, cells, tissue = maps.tile(*place) if inside else glass.tile(0, 0)
        assert np.array_equal(source[part], cells)
        assert np.array_equal(features[part], tissue)


def test_features_agree_with_a_slow_reference():
    tiles = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), np.uint8)
    found = cell_features(tiles)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    for n, i, j, c in [(0, 0, 0, 0), (1, 7, 7, 2), (0, 3, 5, 1), (1, 0, 7, 0)]:
        cell = tiles[n, 32 * i : 32 * i + 32, 32 * j : 32 * j + 32, c] / 255.0
        assert found[n, c, i, j] == pytest.approx(cell.mean(), abs=1e-5)
        assert found[n, 3 + c, i, j] == pytest.approx(cell.std(), abs=1e-4)


@pytest.mark.parametrize("gray", [0, 1, 128, 254, 255])
def test_a_plain_tile_has_no_deviation(gray: int):
    found = cell_features(np.full((1, 256, 256, 3), gray, np.uint8))
    np.testing.assert_allclose(found[:, :3], gray / 255, atol=1e-6)
    assert (found[:, 3:] >= 0).all()
    assert found[:, 3:].max() < 1e-3
