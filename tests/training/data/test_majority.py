"""The true class of a cell is that of most of its pixels, of a tile that of most of its cells."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.training.data.majority import cell_majority, tile_majority


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_cell_truth_is_the_majority_and_unknown_where_most_is(rng):
    labels = rng.integers(0, 4, (64, 96)).astype(np.uint8)
    labels[:32, :32] = 0
    labels[:3, :32] = 2
    found = cell_majority(labels, 3)
    assert found[0, 0] == 0
    for row, col in ((0, 1), (1, 2), (1, 0)):
        block = labels[row * 32 : row * 32 + 32, col * 32 : col * 32 + 32]
        assert found[row, col] == np.bincount(block[block > 0], minlength=4)[1:].argmax() + 1


def test_tile_truth_counts_known_cells(rng):
    truth = rng.integers(0, 4, (16, 24)).astype(np.uint8)
    truth[:8, :8] = 0
    found = tile_majority(truth, 3)
    assert found[0, 0] == 0
    block = truth[8:, 16:]
    assert found[1, 2] == np.bincount(block[block > 0], minlength=4)[1:].argmax() + 1
