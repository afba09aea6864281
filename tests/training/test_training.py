"""The training loops: truth stays with its pixels, and a stopped training goes on."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from benchmarks import adapt_tiles

from napari_fddm.models.device import ComputeDevice
from napari_fddm.training.loop.checkpoint import load_checkpoint, save_checkpoint
from napari_fddm.training.loop.optimizer import learning_rate_factor
from napari_fddm.training.regions.synthetic import block_majority

CPU = ComputeDevice(torch.device("cpu"), torch.float32, "CPU, float32")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_majority_of_a_block_is_its_most_frequent_class(rng):
    channels = rng.integers(0, 7, (12, 20)).astype(np.uint8)
    result = block_majority(channels, 4)
    for row, col in np.ndindex(3, 5):
        block = channels[4 * row : 4 * row + 4, 4 * col : 4 * col + 4]
        assert result[row, col] == np.bincount(block.ravel(), minlength=7).argmax()


def test_the_learning_rate_warms_up_and_falls():
    factors = [learning_rate_factor(step, 200) for step in range(200)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == pytest.approx(1.0)
    assert factors[-1] < 0.02
    assert (np.diff(factors[10:]) <= 0).all()


def test_a_checkpoint_is_whole_or_absent(tmp_path):
    path = tmp_path / "x.checkpoint"
    assert load_checkpoint(path) is None
    save_checkpoint(path, step=3, model={"w": torch.arange(3)})
    state = load_checkpoint(path)
    assert state["step"] == 3
    assert torch.equal(state["model"]["w"], torch.arange(3))
    assert [p.name for p in tmp_path.iterdir()] == ["x.checkpoint"]


def test_tiles_are_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_fddm.training.regions.synthetic.SLIDE_PX", 1024)
    monkeypatch.setattr(adapt_tiles, "SLIDE_PX", 1024)
    made = partial(adapt_tiles.load_or_make_tiles, tmp_path / "t.npz", count=5, analysis_mpp=1.0)
    tiles, again = made(first_seed=1), made(first_seed=99)
    assert np.array_equal(tiles.pixels, again.pixels)
    assert tiles.cells.shape == (5, 8, 8)
