"""Regions of synthetic slides: the truth of a cell, and tiles that are made once."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from benchmarks import adapt_tiles

from napari_fddm.training.regions.synthetic import block_majority


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_majority_of_a_block_is_its_most_frequent_class(rng):
    channels = rng.integers(0, 7, (12, 20)).astype(np.uint8)
    result = block_majority(channels, 4)
    for row, col in np.ndindex(3, 5):
        block = channels[4 * row : 4 * row + 4, 4 * col : 4 * col + 4]
        assert result[row, col] == np.bincount(block.ravel(), minlength=7).argmax()


def test_tiles_are_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_fddm.training.regions.synthetic.SLIDE_PX", 1024)
    monkeypatch.setattr(adapt_tiles, "SLIDE_PX", 1024)
    made = partial(adapt_tiles.load_or_make_tiles, tmp_path / "t.npz", count=5, analysis_mpp=1.0)
    tiles, again = made(first_seed=1), made(first_seed=99)
    assert np.array_equal(tiles.pixels, again.pixels)
    assert tiles.cells.shape == (5, 8, 8)
