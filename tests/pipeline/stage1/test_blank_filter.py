"""The blank filter: its numbers are those of a slow reference."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.pipeline.stage1.blank_filter import blank_tiles


def slow_mean_edge(tile: np.ndarray) -> float:
    """Mean absolute Laplacian, pixel by pixel, mirrored at the border."""
    gray = np.array([[round(float(p @ [0.299, 0.587, 0.114])) for p in row] for row in tile])
    padded = np.pad(gray, 1, mode="reflect").astype(int)
    total = 0
    for y in range(gray.shape[0]):
        for x in range(gray.shape[1]):
            part = padded[y : y + 3, x : x + 3]
            corners = part[0, 0] + part[0, 2] + part[2, 0] + part[2, 2]
            total += min(255, abs(2 * corners - 8 * part[1, 1]))
    return total / gray.size


@pytest.mark.parametrize("share", [0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.5, 1.0])
def test_a_tile_is_blank_as_the_reference_has_it(share: float):
    rng = np.random.default_rng(3)
    tile = np.full((40, 50, 3), 240, np.uint8)
    tile[rng.random((40, 50)) < share] -= rng.integers(1, 12, 3).astype(np.uint8)
    expected = slow_mean_edge(tile)
    assert abs(expected - 1.0) > 0.01, "the example must not lie on the border itself"
    assert blank_tiles(tile[None])[0] == (expected <= 1.0)


def test_each_tile_is_judged_alone():
    rng = np.random.default_rng(0)
    plain = np.full((32, 32, 3), 200, np.uint8)
    rough = rng.integers(0, 256, (32, 32, 3), np.uint8)
    assert blank_tiles(np.stack([plain, rough, plain, rough])).tolist() == [True, False] * 2


def test_a_slow_gradient_is_blank_and_a_strong_edge_is_not():
    gradient = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    edge = np.zeros((64, 64, 3), np.uint8)
    edge[:, 32:] = 255
    # Only the mirrored borders of the gradient have a curvature.
    assert blank_tiles(np.stack([gradient, edge])).tolist() == [True, False]
