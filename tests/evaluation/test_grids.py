"""Grids of one slide: places by micrometers, pictures by proportions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import MapGeometry
from napari_fddm.evaluation.grids import (
    Grid,
    check_same_slide,
    nearest_index,
    resample,
    same_place,
    truth_cell_um,
)

SLIDE = (3000, 4000)
MPP = 0.5


def placed(cell: float) -> Grid:
    geometry = MapGeometry.covering(SLIDE, cell, MPP)
    return Grid(geometry.shape, geometry, (SLIDE[0] * MPP, SLIDE[1] * MPP))


def test_a_grid_on_itself_is_untouched():
    grid = placed(8)
    values = np.arange(np.prod(grid.shape)).reshape(grid.shape)
    assert resample(values, *nearest_index(grid, grid)) is values


@given(st.sampled_from([8.0, 13.7, 64.0, 512.0]), st.sampled_from([8.0, 21.0, 64.0, 512.0]))
def test_a_center_gets_the_cell_it_lies_in(cell: float, other_cell: float):
    truth, other = placed(cell), placed(other_cell)
    rows, cols = nearest_index(truth, other)
    for index, axis in ((rows, 0), (cols, 1)):
        for i in range(0, truth.shape[axis], 7):
            center = (i + 0.5) * cell  # level-0 px, from the edge
            inside = center < other.shape[axis] * other_cell
            assert index[i] == (int((center + 1e-6) // other_cell) if inside else -1)


def test_outside_is_filled():
    crop = MapGeometry((10, 10), 8.0, MPP, (80.0, 160.0))
    truth = MapGeometry((30, 40), 8.0, MPP)
    rows, cols = nearest_index(Grid((30, 40), truth), Grid((10, 10), crop))
    found = resample(np.ones((10, 10), np.uint8), rows, cols)
    expected = np.zeros((30, 40), np.uint8)
    expected[10:20, 20:30] = 1
    assert np.array_equal(found, expected)


@given(st.integers(1, 4), st.integers(1, 4))
def test_pictures_are_stretched(up: int, down: int):
    truth, other = Grid((12 * up, 24 * up)), Grid((12 * down, 24 * down))
    rows, cols = nearest_index(truth, other)
    assert rows.tolist() == [int((i + 0.5) * down / up) for i in range(12 * up)]
    assert cols.tolist() == [int((i + 0.5) * down / up) for i in range(24 * up)]


def test_a_picture_covers_the_slide_and_not_the_cells_that_hang_over():
    tiles = placed(512)  # 6 × 8 cells of 512 px hang over 3000 × 4000 px
    picture = Grid((300, 400))
    rows, cols = nearest_index(picture, tiles)
    assert rows.tolist() == [int((i + 0.5) * 10 // 512) for i in range(300)]
    assert cols.tolist() == [int((i + 0.5) * 10 // 512) for i in range(400)]
    back, _ = nearest_index(tiles, picture)
    assert back.tolist() == [25, 76, 128, 179, 230, 281]


def test_the_size_of_the_truth_s_cells_is_found_where_somebody_knows_it():
    assert truth_cell_um(placed(8), Grid((3, 4))) == 4.0
    assert truth_cell_um(Grid((300, 400)), placed(8)) == pytest.approx(5.0)
    assert truth_cell_um(Grid(placed(512).shape), placed(512)) == 256.0
    assert truth_cell_um(Grid((300, 400)), Grid((3, 4))) is None
    assert truth_cell_um(Grid((300, 400), None, (1500.0, 2000.0)), Grid((3, 4))) == 5.0


@pytest.mark.parametrize(
    ("truth", "other", "words"),
    [
        (Grid((100, 100)), Grid((100, 120)), "other proportions"),
        (placed(8), Grid((400, 300)), "other proportions"),
        (placed(8), Grid((300, 400), None, (750.0, 1000.0)), "other sizes: 1.5 and 0.75 mm"),
    ],
)
def test_maps_of_two_slides_are_refused(truth: Grid, other: Grid, words: str):
    with pytest.raises(ConfigError, match=words):
        check_same_slide(truth, other, ("one", "other"))


def test_rounded_sides_are_allowed():
    check_same_slide(Grid((300, 401)), Grid((30, 40)), ("one", "other"))
    check_same_slide(placed(512), placed(8), ("one", "other"))
    check_same_slide(placed(8), Grid((300, 400), None, (1500.0, 2000.0)), ("one", "other"))
    assert not same_place(placed(8), placed(16))
