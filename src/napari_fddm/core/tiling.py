"""The global tile, cell and region grids of a slide at one analysis resolution.

All grids start at level-0 (0, 0), so a viewport uses the very tiles and regions
that a whole-slide run uses (``docs/algorithm.md#grids``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import MapGeometry, Region, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

TILE_PX = 256
"""Edge of a tile, px at the analysis resolution (FDDM section 3.1)."""
ANALYSIS_MPP = 1.0
"""µm per pixel at which models look, unless their card says otherwise (docs/algorithm.md#grids)."""
CELL_PX = 32
"""Edge of a bridge cell, px at the analysis resolution (2048 px / 64 cells)."""
CELLS_PER_TILE = TILE_PX // CELL_PX
TILES_PER_REGION = 8
"""A region is 8 by 8 tiles: k = 3 of FDDM section 3.1."""
CELLS_PER_REGION = CELLS_PER_TILE * TILES_PER_REGION
REGION_STRIDE_TILES = 6
"""Regions start every 6 tiles (1536 px, 48 cells), so neighbors share a quarter."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of the grid.

    Attributes
    ----------
    row, col : int
        Global grid index.
    region : Region
        Full extent, level-0 px; edge tiles reach beyond the slide.
    valid : Region
        The part that lies on the slide, level-0 px.
    """

    row: int
    col: int
    region: Region
    valid: Region


@dataclass(frozen=True, slots=True)
class TileGrid:
    """The tiles of a slide at an analysis resolution; edge tiles are kept.

    Attributes
    ----------
    slide_shape : tuple of int
        (height, width), level-0 px.
    mpp : float
        Micrometers per level-0 px.
    analysis_mpp : float
        Micrometers per pixel of a tile.
    """

    slide_shape: tuple[int, int]
    mpp: float
    analysis_mpp: float

    def __post_init__(self) -> None:
        """Refuse resolutions that are not positive numbers."""
        if not (0 < self.mpp < math.inf and 0 < self.analysis_mpp < math.inf):
            raise ConfigError(
                f"resolutions must be positive, got {self.mpp} and {self.analysis_mpp} µm/px."
            )

    @property
    def geometry(self) -> MapGeometry:
        """The tile grid as a map: one cell per tile."""
        cell = TILE_PX * self.analysis_mpp / self.mpp
        return MapGeometry.covering(self.slide_shape, cell, self.mpp)

    @property
    def cell_geometry(self) -> MapGeometry:
        """The bridge cells: 8 by 8 for each tile of the grid."""
        rows, cols = self.geometry.shape
        cell = CELL_PX * self.analysis_mpp / self.mpp
        return MapGeometry((rows * CELLS_PER_TILE, cols * CELLS_PER_TILE), cell, self.mpp)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of tiles."""
        return self.geometry.shape

    def label_geometry(self, label_mpp: float) -> MapGeometry:
        """Return the label grid, the smallest that covers the slide."""
        return MapGeometry.covering(self.slide_shape, label_mpp / self.mpp, self.mpp)

    def tile(self, row: int, col: int) -> Tile:
        """Return one tile."""
        region = self.geometry.region_of(Window(row, col, 1, 1))
        height, width = self.slide_shape
        return Tile(row, col, region, region.intersection(Region(0, 0, height, width)))

    def window_of(self, region: Region) -> Window:
        """Snap the part of a level-0 region that lies on the slide outwards to whole tiles."""
        slide = Region(0, 0, *self.slide_shape)
        return self.geometry.window_of(region.intersection(slide))


@dataclass(frozen=True, slots=True)
class RegionGrid:
    """The overlapping regions that the bridge refines, in units of tiles.

    Region (i, j) starts at tile ``(6 i, 6 j)`` and spans 8 by 8 tiles. The last
    ones reach beyond the slide, where they are filled with background.
    """

    tile_shape: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of regions: enough to cover every tile."""
        rows, cols = (
            1 + max(0, math.ceil((n - TILES_PER_REGION) / REGION_STRIDE_TILES))
            for n in self.tile_shape
        )
        return (rows, cols)

    def tile_window(self, row: int, col: int) -> Window:
        """Return the tiles of a region; some may lie beyond the tile grid."""
        return Window(
            row * REGION_STRIDE_TILES,
            col * REGION_STRIDE_TILES,
            TILES_PER_REGION,
            TILES_PER_REGION,
        )

    def touching(self, tiles: Window) -> Iterator[tuple[int, int]]:
        """Iterate over the regions that share a tile with a window of tiles."""
        rows, cols = (
            _starts_touching(start, size, count)
            for start, size, count in (
                (tiles.y, tiles.height, self.shape[0]),
                (tiles.x, tiles.width, self.shape[1]),
            )
        )
        return ((row, col) for row in rows for col in cols)


def _starts_touching(start: int, size: int, count: int) -> range:
    if size <= 0:
        return range(0)
    first = math.floor((start - TILES_PER_REGION) / REGION_STRIDE_TILES) + 1
    last = math.ceil((start + size) / REGION_STRIDE_TILES)
    return range(max(0, first), min(count, last))


def regions_for(tile_shape: tuple[int, int], tiles: Window) -> list[tuple[int, int]]:
    """Return the regions whose windows decide the labels of a window of tiles.

    One more tile on each side, because labels are interpolated between cells.
    """
    return list(RegionGrid(tile_shape).touching(tiles.dilated(1).clipped(tile_shape)))


def tiles_needed(
    tile_shape: tuple[int, int], tiles: Window, *, bridge: bool = True
) -> npt.NDArray[np.bool_]:
    """Return the tiles that the cells of a window of tiles depend on, shape of the grid.

    The bridge reads whole regions. Without it a label at the window's edge is interpolated
    between the cells on both sides, so that the next tile is enough.
    """
    needed = np.zeros(tile_shape, bool)
    if not bridge:
        needed[tiles.dilated(1).clipped(tile_shape).slices] = True
        return needed
    grid = RegionGrid(tile_shape)
    for row, col in regions_for(tile_shape, tiles):
        needed[grid.tile_window(row, col).clipped(tile_shape).slices] = True
    return needed
