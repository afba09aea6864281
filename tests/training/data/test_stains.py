"""Other stains of the same tissue."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.training.data.stains import SHIFTED, restained


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_restaining_scales_optical_density(rng):
    pixels = rng.integers(20, 230, (5, 6, 3)).astype(np.uint8)
    assert np.array_equal(restained(pixels, np.ones(3)), pixels)
    gains = np.array([1.5, 0.6, 1.0])
    density = -np.log((pixels + 1.0) / 256)
    found = -np.log((restained(pixels, gains) + 1.0) / 256)
    coarse = 0.6 / (256 * np.exp(-density * gains))  # half a gray value, and a bit
    assert (np.abs(found - density * gains) <= coarse).all()
    drawn = np.stack([SHIFTED.drawn(rng) for _ in range(200)])
    assert ((drawn < 0.65 * 1.2) | (drawn > 1.45 * 0.8)).all()
