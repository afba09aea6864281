"""Heads of a fold: what is separable they separate, and they are applied to every map."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import Window
from napari_fddm.core.tiling import TileGrid
from napari_fddm.slides import ArraySlide
from napari_fddm.training.regions.coarse import classify_window
from napari_fddm.training.regions.fold_heads import FoldHeads, LinearHead
from tests.support.embedding import ColorModel


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_linear_head_separates_what_is_separable(rng):
    centers = 4 * rng.standard_normal((3, 10))
    truth = rng.integers(-1, 3, 600)
    x = centers[truth] + rng.standard_normal((600, 10))
    head = LinearHead.fitted(x.astype(np.float32), truth.astype(np.int64), 3)
    probs = head.probabilities(x.T.reshape(10, 20, 30).astype(np.float16))
    known = truth >= 0
    assert (probs.reshape(3, -1).argmax(axis=0)[known] == truth[known]).mean() > 0.95
    assert np.allclose(probs.sum(axis=0), 1, atol=5e-3)
    with pytest.raises(ConfigError, match="there are none"):
        LinearHead.fitted(x.astype(np.float32), np.full(600, -1), 3)


def test_heads_are_applied_to_every_map(rng):
    grid = TileGrid((512, 512), 1.0, 1.0)
    image = np.zeros((512, 512, 3), np.uint8)
    image[:, 256:] = 200
    truth = np.ones((16, 16), np.uint8)
    truth[:, 8:] = 2
    maps = classify_window(
        ArraySlide(image, mpp=1.0), grid, Window(0, 0, 2, 2), ColorModel(), 9, shifted=True
    )
    said = FoldHeads.fitted([(maps, truth)], 2).apply(maps)
    assert np.array_equal(said.cells.argmax(axis=0) + 1, truth)
    assert np.array_equal(said.tiles.argmax(axis=0), [[0, 1], [0, 1]])
    assert said.shifted.shape == (2, 3, 3)
