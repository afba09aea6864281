"""Which tiles a run looks at, in which order, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import Region, Window
from napari_fddm.core.tiling import TileGrid
from napari_fddm.pipeline.run.tiles import nearest_first, wanted_tiles

GRID = TileGrid((2048, 3072), 0.5, 1.0)  # 4 by 6 tiles of 512 level-0 px
WHOLE = Window(0, 0, 4, 6)


def test_without_a_region_it_is_the_whole_slide():
    assert wanted_tiles(GRID, None) == (WHOLE, ())


def test_a_region_becomes_every_tile_that_it_touches():
    assert wanted_tiles(GRID, Region(500, 512, 20, 512)) == (Window(0, 1, 2, 1), ())


def test_what_reaches_beyond_the_slide_is_clipped_and_told():
    tiles, (note,) = wanted_tiles(GRID, Region(1536, -100, 1000, 612))
    assert tiles == Window(3, 0, 1, 1)
    assert "clipped to 1536 0 512 512" in note


@pytest.mark.parametrize("region", [Region(0, 0, 0, 10), Region(5000, 0, 10, 10)])
def test_a_region_without_a_tile_is_refused_with_the_slides_size(region):
    with pytest.raises(ConfigError, match="outside the slide of 3072 × 2048 px"):
        wanted_tiles(GRID, region)


@pytest.mark.parametrize("focus", [None, (100.0, 2900.0), (5000.0, -9.0)])
def test_each_tile_comes_once_and_the_nearest_first(focus):
    wanted = np.random.default_rng(0).random((4, 6)) < 0.7
    order = nearest_first(wanted, GRID, WHOLE, focus)
    assert sorted(order) == [tuple(place) for place in np.argwhere(wanted).tolist()]
    y, x = (1024, 1536) if focus is None else focus
    distances = [np.hypot(512 * (r + 0.5) - y, 512 * (c + 0.5) - x) for r, c in order]
    assert (np.diff(distances) >= -1e-9).all()
