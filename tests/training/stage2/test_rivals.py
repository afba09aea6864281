"""The refiner's cheap rivals: what they make of fields whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fddm.core.config import AnalysisConfig
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import Window
from napari_fddm.models import load_model
from napari_fddm.pipeline.stage2 import Refiner
from napari_fddm.training.regions.coarse import CoarseMaps, on_cells
from napari_fddm.training.stage2.rivals import CONTROLS, Refinement, find_method, majority
from tests.support.models import write_tiny_model


def maps_of(tiles, shifted=None):
    """Return coarse maps of tile probabilities (classes, R, C); cells repeat them."""
    tiles = np.asarray(tiles, np.float16)
    cells = on_cells(tiles)
    features = np.full((6, *cells.shape[1:]), 0.5, np.float16)
    return CoarseMaps(tiles, cells, features, shifted)


def step_maps(rows=4, cols=6, at=3):
    """Return two classes side by side; shifted tiles on the border see half of each."""
    tiles = np.zeros((2, rows, cols))
    tiles[0, :, :at] = tiles[1, :, at:] = 1
    shifted = np.zeros((2, 2 * rows - 1, 2 * cols - 1), np.float16)
    left = np.clip(at * 2 - np.arange(2 * cols - 1), 0, 2) / 2  # share left of the step
    shifted[0], shifted[1] = left, 1 - left
    return maps_of(tiles, shifted)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_constant_field_stays_constant(name):
    tiles = np.broadcast_to(np.array([0.5, 0.125, 0.375])[:, None, None], (3, 3, 5))
    shifted = np.broadcast_to(tiles[:, :1, :1], (3, 5, 9)).astype(np.float16)
    probs = CONTROLS[name](maps_of(tiles, shifted))
    assert probs.shape == (3, 24, 40)
    assert probs.dtype == np.float32
    if name == "majority":
        assert (probs == np.array([1, 0, 0])[:, None, None]).all()
    else:
        assert np.allclose(probs, tiles[:, :1, :1], atol=1e-6)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_straight_step_keeps_its_place_and_probabilities_sum_to_1(name):
    probs = CONTROLS[name](step_maps())
    assert np.allclose(probs.sum(axis=0), 1, atol=1e-6)
    labels = probs.argmax(axis=0)
    assert (labels[:, :24] == 0).all()
    assert (labels[:, 24:] == 1).all()


def test_interpolation_is_linear_between_centers_and_held_beyond():
    probs = CONTROLS["bilinear"](step_maps())
    right = probs[1, 0]
    assert np.allclose(right[20:28], (np.arange(8) + 0.5) / 8)
    assert (right[:20] == 0).all()
    assert (right[28:] == 1).all()


def test_overlap_averages_what_covers_a_cell():
    maps = step_maps()
    probs = CONTROLS["overlap"](maps)
    for y, x in ((0, 0), (5, 22), (12, 25), (31, 47)):
        covering = [
            maps.shifted[:, i, j].astype(float)
            for i, j in np.ndindex(*maps.shifted.shape[1:])
            if 0 <= y - 4 * i < 8 and 0 <= x - 4 * j < 8
        ]
        assert np.allclose(probs[:, y, x], np.mean(covering, axis=0), atol=1e-6)


def test_overlap_without_its_maps_says_so():
    with pytest.raises(ConfigError, match="overlapping tiles"):
        CONTROLS["overlap"](maps_of(np.ones((1, 2, 2))))


def test_majority_counts_neighbors_and_ties_keep_the_tiles_own_class():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 4, (7, 9))
    tiles = np.moveaxis(np.eye(4)[labels], 2, 0)
    voted = majority(maps_of(tiles))[:, ::8, ::8].argmax(axis=0)
    for row, col in np.ndindex(7, 9):
        around = labels[max(0, row - 1) : row + 2, max(0, col - 1) : col + 2].ravel()
        counts = np.bincount(around, minlength=4)
        best = np.flatnonzero(counts == counts.max())
        own = labels[row, col]
        assert voted[row, col] == (own if own in best else best[0])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return load_model(str(write_tiny_model(tmp_path_factory.mktemp("tiny"))), "cpu")


def random_maps(rng, rows=8, cols=8):
    probs = rng.dirichlet(np.ones(7), (rows * 8, cols * 8)).transpose(2, 0, 1)
    tiles = rng.dirichlet(np.ones(7), (rows, cols)).transpose(2, 0, 1)
    features = rng.random((6, rows * 8, cols * 8))
    return CoarseMaps(*(a.astype(np.float16) for a in (tiles, probs, features)))


@pytest.mark.parametrize("source", ["cells", "tiles"])
def test_one_step_is_the_networks_direct_prediction(tiny, source):
    maps = random_maps(np.random.default_rng(0))
    method = find_method("direct", tiny, AnalysisConfig(steps=20, eta=1, samples=3), source)
    refiner = method.refiner
    y = torch.from_numpy(maps.source(source)[None].astype(np.float32))
    condition = torch.cat([y, torch.from_numpy(maps.features[None].astype(np.float32))], dim=1)
    with torch.no_grad():
        last = torch.tensor(refiner.scheduler.last_timestep)
        direct = refiner.denoiser(y, last, condition).softmax(dim=1)[0].numpy()
    assert np.allclose(
        method(maps), direct, atol=2e-2 if tiny.compute.dtype_name != "float32" else 1e-5
    )
    bridge = find_method("bridge", tiny, AnalysisConfig(steps=1, eta=0), source)
    assert np.allclose(bridge(maps), method(maps), atol=1e-6)


def test_refining_more_than_a_region_covers_every_cell(tiny):
    maps = random_maps(np.random.default_rng(1), 9, 11)
    probs = Refinement(Refiner(tiny, AnalysisConfig(steps=1)))(maps)
    assert probs.shape == (7, 72, 88)
    assert np.allclose(probs.sum(axis=0), 1, atol=1e-3)


def test_unknown_and_incomplete_methods_say_what_there_is(tiny):
    with pytest.raises(ConfigError, match="bilinear"):
        find_method("magic")
    with pytest.raises(ConfigError, match="needs a model"):
        find_method("bridge", tiny)


def test_maps_that_do_not_belong_together_are_refused():
    good = random_maps(np.random.default_rng(2), 2, 3)
    with pytest.raises(ConfigError, match="need cells"):
        CoarseMaps(good.tiles, good.cells[:, 1:], good.features)
    broken = good.cells.copy()
    broken[0, 0, 0] = np.nan
    with pytest.raises(ConfigError, match="not finite"):
        CoarseMaps(good.tiles, broken, good.features)


def test_a_window_cuts_all_maps_alike():
    rng = np.random.default_rng(4)
    maps = random_maps(rng, 5, 6)
    shifted = rng.random((7, 9, 11)).astype(np.float16)
    maps = CoarseMaps(maps.tiles, maps.cells, maps.features, shifted)
    part = maps.window(Window(1, 2, 3, 4))
    assert part.tile_shape == (3, 4)
    assert np.array_equal(part.cells, maps.cells[:, 8:32, 16:48])
    assert np.array_equal(part.shifted, shifted[:, 2:7, 4:11])
