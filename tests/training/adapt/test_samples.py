"""From strokes to samples and sites."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fddm.core.geometry import MapGeometry
from napari_fddm.pipeline.store import Strokes
from napari_fddm.training.adapt.samples import Samples, number_sites, painted_samples

CELLS = MapGeometry((64, 64), 64.0, 0.5)  # 32 µm

LABELS = MapGeometry((512, 512), 8.0, 0.5)  # 4 µm: 8 by 8 in a cell


def strokes(*blocks: tuple[int, int, int, int, int]) -> Strokes:
    """Blocks of label cells: row, column, height, width, value."""
    painted = np.zeros(LABELS.shape, np.uint8)
    for row, col, height, width, value in blocks:
        painted[row : row + height, col : col + width] = value
    return Strokes(painted, LABELS)


def test_cells_and_tiles_have_place_class_and_cover():
    found = painted_samples(strokes((64, 128, 64, 32, 3)), CELLS)
    assert len(found.cells) == 32
    assert np.array_equal(np.unique(found.cells.index, axis=0), found.cells.index)
    assert found.cells.index.min(axis=0).tolist() == [8, 16]
    assert found.cells.index.max(axis=0).tolist() == [15, 19]
    assert (found.cells.label == 3).all()
    assert (found.cells.cover == 1).all()
    assert found.tiles.index.tolist() == [[1, 2]]
    assert found.tiles.cover.tolist() == [0.5]
    assert found.sites == 1
    assert found.touched_tiles() == {(1, 2)}


def test_slivers_and_mixed_tiles_are_no_samples():
    assert len(painted_samples(strokes((0, 0, 1, 60, 2)), CELLS).cells) == 0
    half = painted_samples(strokes((0, 0, 32, 64, 2), (32, 0, 32, 64, 5)), CELLS)
    assert len(half.cells) == 64
    assert len(half.tiles) == 0  # neither class prevails
    assert painted_samples(strokes(), CELLS).sites == 0


def test_a_label_grid_that_does_not_divide_the_cells():
    labels = MapGeometry((700, 700), 6.0, 0.5)  # 3 µm
    painted = np.zeros(labels.shape, np.uint8)
    painted[100:200, 100:200] = 4
    found = painted_samples(Strokes(painted, labels), CELLS)
    whole = found.cells.cover == 1
    assert (found.cells.index[whole] >= 100 * 6 // 64).all()
    assert abs(found.cells.cover.sum() * 64**2 / (100 * 6) ** 2 - 1) < 0.05


def test_sites_are_strokes_with_a_tile_between_them():
    painted = np.zeros((60, 60), bool)
    painted[5, 5] = painted[5, 14] = True  # 8 unpainted cells between: one site
    painted[5, 24] = True  # 9: another one
    painted[40:42, 40:50] = True
    sites = number_sites(painted)
    assert sites[5, 5] == sites[5, 14]
    assert len({sites[5, 5], sites[5, 24], sites[40, 40]}) == 3
    assert np.array_equal(sites > 0, painted)


@given(st.integers(0, 2**32 - 1))
def test_every_class_and_every_site_of_it_weighs_the_same(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    samples = Samples(
        rng.integers(0, 50, (n, 2)),
        rng.integers(1, 5, n),
        rng.uniform(0.1, 1, n),
        rng.integers(1, 6, n),
    )
    weights = samples.weights()
    classes = np.unique(samples.label)
    for label in classes:
        of_class = samples.label == label
        assert weights[of_class].sum() == pytest.approx(1 / len(classes))
        sites = np.unique(samples.site[of_class])
        for site in sites:
            share = weights[of_class & (samples.site == site)].sum()
            assert share == pytest.approx(1 / len(classes) / len(sites))
