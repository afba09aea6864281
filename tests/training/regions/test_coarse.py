"""The maps of stage 1 over a rectangle of tiles."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.geometry import Window
from napari_fddm.core.tiling import TileGrid
from napari_fddm.slides import ArraySlide
from napari_fddm.training.regions.coarse import classify_window
from tests.support.embedding import ColorModel


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_overlapping_tiles_lie_where_they_are_said_to(rng):
    image = rng.integers(0, 255, (768, 1024, 3)).astype(np.uint8)
    grid = TileGrid(image.shape[:2], 1.0, 1.0)
    maps = classify_window(
        ArraySlide(image, mpp=1.0), grid, Window(1, 0, 2, 3), ColorModel(), 9, shifted=True
    )
    assert maps.shifted.shape == (9, 3, 5)
    for i, j in np.ndindex(3, 5):
        y, x = 256 + 128 * i, 128 * j
        mean = image[y : y + 256, x : x + 256].mean(axis=(0, 1))
        assert np.allclose(maps.shifted[:3, i, j], mean, atol=0.1)
    assert np.array_equal(maps.tiles, maps.shifted[:, ::2, ::2])
