"""Tiles, cells and regions: nothing of a slide is left out, and viewports share its grid."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import Region, Window
from napari_fddm.core.tiling import (
    CELLS_PER_REGION,
    CELLS_PER_TILE,
    REGION_STRIDE_TILES,
    TILE_PX,
    TILES_PER_REGION,
    RegionGrid,
    TileGrid,
)

slide_sizes = st.tuples(st.integers(1, 40_000), st.integers(1, 40_000))
resolutions = st.sampled_from([0.1, 0.2487, 0.25, 0.5, 1.0, 1.7, 4.0])


def test_the_constants_are_those_of_the_paper():
    assert (TILE_PX, CELLS_PER_TILE, TILES_PER_REGION, CELLS_PER_REGION) == (256, 8, 8, 64)
    assert REGION_STRIDE_TILES * TILE_PX == 1536


@given(slide_sizes, resolutions, resolutions)
def test_edge_tiles_are_kept_and_tiles_cover_the_slide_once(
    size: tuple[int, int], mpp: float, analysis_mpp: float
):
    grid = TileGrid(size, mpp, analysis_mpp)
    rows, cols = grid.shape
    last = grid.tile(rows - 1, cols - 1)
    # The last tile reaches the slide's end and has something of the slide in it.
    assert last.region.y_end >= size[0] - 1e-6
    assert last.region.x_end >= size[1] - 1e-6
    assert not last.valid.is_empty
    assert last.valid.y_end <= size[0] + 1e-9
    side = TILE_PX * analysis_mpp / mpp
    assert math.isclose(last.region.height, side, rel_tol=1e-9)
    heights = [grid.tile(row, 0).valid.height for row in {0, rows // 2, rows - 1}]
    assert max(heights) <= side * (1 + 1e-9)


@settings(max_examples=30)
@given(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), resolutions)
def test_the_valid_parts_add_up_to_the_slide(size: tuple[int, int], mpp: float):
    grid = TileGrid(size, mpp, 1.0)
    rows, cols = grid.shape
    height = sum(grid.tile(row, 0).valid.height for row in range(rows))
    width = sum(grid.tile(0, col).valid.width for col in range(cols))
    assert math.isclose(height, size[0], rel_tol=1e-9)
    assert math.isclose(width, size[1], rel_tol=1e-9)


@given(slide_sizes, resolutions)
def test_cells_divide_tiles(size: tuple[int, int], mpp: float):
    grid = TileGrid(size, mpp, 1.0)
    tiles, cells = grid.geometry, grid.cell_geometry
    assert cells.shape == (tiles.shape[0] * 8, tiles.shape[1] * 8)
    assert math.isclose(cells.cell * 8, tiles.cell)
    assert math.isclose(cells.region.y_end, tiles.region.y_end)


def test_a_viewport_is_snapped_outwards_to_whole_tiles():
    grid = TileGrid((5000, 5000), 0.5, 1.0)  # tiles of 512 level-0 px
    assert grid.window_of(Region(511, 512, 2, 1)) == Window(0, 1, 2, 1)
    assert grid.window_of(Region(512, 512, 512, 512)) == Window(1, 1, 1, 1)
    assert grid.window_of(Region(-100, 4999, 200, 200)) == Window(0, 9, 1, 1)
    assert grid.window_of(Region(0, 5000, 200, 200)).is_empty  # on the last tile, off the slide


@given(slide_sizes, resolutions, st.floats(1, 16))
def test_the_label_grid_covers_the_slide(size: tuple[int, int], mpp: float, label_mpp: float):
    labels = TileGrid(size, mpp, 1.0).label_geometry(label_mpp)
    assert labels.region.y_end >= size[0] - 1e-6 * labels.cell
    assert math.isclose(labels.cell_um, label_mpp)


@pytest.mark.parametrize("bad", [0.0, -0.5, math.nan, math.inf])
def test_impossible_resolutions_are_refused(bad: float):
    with pytest.raises(ConfigError, match="positive"):
        TileGrid((10, 10), bad, 1.0)
    with pytest.raises(ConfigError, match="positive"):
        TileGrid((10, 10), 0.5, bad)


@given(st.tuples(st.integers(1, 60), st.integers(1, 60)))
def test_regions_cover_every_tile_and_none_is_useless(shape: tuple[int, int]):
    grid = RegionGrid(shape)
    rows, cols = grid.shape
    assert grid.tile_window(0, 0) == Window(0, 0, 8, 8)
    for count, tiles in zip((rows, cols), shape, strict=True):
        starts = [REGION_STRIDE_TILES * i for i in range(count)]
        covered = {t for s in starts for t in range(s, s + TILES_PER_REGION)}
        assert set(range(tiles)) <= covered
        without_last = {t for s in starts[:-1] for t in range(s, s + TILES_PER_REGION)}
        assert not set(range(tiles)) <= without_last


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.builds(
        Window, st.integers(-5, 45), st.integers(-5, 45), st.integers(0, 20), st.integers(0, 20)
    ),
)
def test_touching_agrees_with_brute_force(shape: tuple[int, int], tiles: Window):
    grid = RegionGrid(shape)
    rows, cols = grid.shape
    expected = []
    for row in range(rows):
        for col in range(cols):
            region = grid.tile_window(row, col)
            y0, x0 = max(region.y, tiles.y), max(region.x, tiles.x)
            y1 = min(region.y + region.height, tiles.y + tiles.height)
            x1 = min(region.x + region.width, tiles.x + tiles.width)
            if y1 > y0 and x1 > x0:
                expected.append((row, col))
    assert list(grid.touching(tiles)) == expected


@pytest.mark.parametrize("pixels", [1, 255, 256, 2047, 2048, 2049, 5000])
def test_p26_regions_reach_every_tile_of_awkward_sizes(pixels: int):
    tiles = TileGrid((pixels, pixels), 1.0, 1.0).shape
    grid = RegionGrid(tiles)
    found = set(grid.touching(Window(0, 0, *tiles)))
    rows, cols = grid.shape
    assert found == {(r, c) for r in range(rows) for c in range(cols)}
    last = grid.tile_window(rows - 1, cols - 1)
    assert last.y + last.height >= tiles[0]
    assert last.y < tiles[0]
