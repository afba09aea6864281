from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.geometry import MapGeometry
from napari_fddm.pipeline.tissue.stored import cells_not_stored
from napari_fddm.slides import ArraySlide
from napari_fddm.slides.bins import cells_on_stored

SIZE = (1000, 1300)


class Gappy(ArraySlide):
    """A slide of 64-px tiles, some of which were never stored."""

    def __init__(self, stored: np.ndarray | None) -> None:
        super().__init__(np.zeros((*SIZE, 3), np.uint8), name="a")
        self._stored = stored

    def stored_mask(self, shape):
        return (
            None if self._stored is None else cells_on_stored(self._stored, (64, 64), shape, SIZE)
        )


def test_a_slide_that_has_everything() -> None:
    geometry = MapGeometry.covering(SIZE, 32.0, 0.5)
    assert cells_not_stored(Gappy(None), geometry) is None
    found = cells_not_stored(Gappy(np.ones((16, 21), bool)), geometry)
    assert found is not None
    assert not found.any()


@pytest.mark.parametrize("cell", [16.0, 32.0, 64.0])
def test_cells_whose_edges_meet_the_tiles_are_told_exactly(cell: float) -> None:
    stored = np.random.default_rng(0).random((16, 21)) < 0.6
    found = cells_not_stored(Gappy(stored), MapGeometry.covering(SIZE, cell, 0.5))
    step = int(64 // cell)
    assert found is not None
    expected = ~stored.repeat(step, 0).repeat(step, 1)[: found.shape[0], : found.shape[1]]
    np.testing.assert_array_equal(found, expected)


def test_a_single_lost_tile_is_seen_where_no_edges_meet() -> None:
    stored = np.ones((16, 21), bool)
    stored[7, 9] = False
    found = cells_not_stored(Gappy(stored), MapGeometry.covering(SIZE, 45.0, 0.5))
    assert found is not None
    assert found[(7 * 64 + 32) // 45, (9 * 64 + 32) // 45]
    assert found.sum() <= 4
