"""Overlapping tiles: average the probabilities of the shifted tiles that cover a place.

With an overlap of o px, stage 1 classifies *shifted tiles*: 256 px wide, one every
256 - o px of the analysis resolution, the first at level-0 (0, 0). FDDM has 16 px
(``docs/algorithm.md#overlap``). Their grid is global like every other, so a viewport classifies the
very shifted tiles that a whole slide does. The maps keep their own grids:

* a tile of the map gets the mean of the tile probabilities of all shifted tiles that
  touch it, each weighted by the area it shares with the tile;
* a bridge cell gets the mean of all cells of shifted tiles that touch it, each
  weighted by the area it shares with the cell.

Time grows by (256 / (256 - o))²: 1.14 for 16 px, 4 for 128 px.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.classes import BACKGROUND_CHANNEL
from napari_fddm.core.geometry import Region
from napari_fddm.core.tiling import CELL_PX, CELLS_PER_TILE, TILE_PX, Tile, TileGrid

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Probs = tuple[Floats, Floats]
    """Probabilities of a tile, (c,), and of its cells, (c, 8, 8)."""
    ShiftedProbs = Mapping["Index", Probs | None]
    """Those of each shifted tile; None if it cannot be read."""

Index = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ShiftedTiles(TileGrid):
    """The grid of shifted tiles of a slide.

    Attributes
    ----------
    stride_px : int
        Distance from one to the next, px at the analysis resolution.
    """

    stride_px: int

    @classmethod
    def over(cls, grid: TileGrid, overlap: int) -> ShiftedTiles:
        """Return the shifted tiles of a slide, given their overlap in px."""
        return cls(grid.slide_shape, grid.mpp, grid.analysis_mpp, TILE_PX - overlap)

    def tile(self, row: int, col: int) -> Tile:
        """Return one shifted tile."""
        px = self.analysis_mpp / self.mpp  # level-0 px per px of a tile
        step, size = self.stride_px * px, TILE_PX * px
        region = Region(row * step, col * step, size, size)
        return Tile(row, col, region, region.intersection(Region(0, 0, *self.slide_shape)))

    def touching(self, row: int, col: int) -> list[Index]:
        """Return the shifted tiles that share an area with a tile of the map, in order."""
        return [(i, j) for i in self._along(row, 0) for j in self._along(col, 1)]

    def slide_px(self, axis: int) -> float:
        """Return the slide's extent in px at the analysis resolution."""
        return self.slide_shape[axis] * self.mpp / self.analysis_mpp

    def _along(self, index: int, axis: int) -> range:
        # Those that begin within 256 px of the tile's start, and on the slide.
        first = (index - 1) * TILE_PX // self.stride_px + 1
        stop = math.ceil((index + 1) * TILE_PX / self.stride_px)
        count = max(1, math.ceil(self.slide_px(axis) / self.stride_px))
        return range(max(0, first), min(stop, count))


def blended(shifted: ShiftedTiles, row: int, col: int, known: ShiftedProbs) -> Probs | None:
    """Return the mean of the shifted tiles on one tile of the map, see the module's docstring.

    Shifted tiles that could not be read are left out. Cells beyond the slide's end
    that no shifted tile reaches are background.

    Parameters
    ----------
    shifted : ShiftedTiles
        Their grid.
    row, col : int
        The tile of the map.
    known : mapping
        Probabilities of each of ``shifted.touching(row, col)``.

    Returns
    -------
    tuple of array or None
        Probabilities of shape (c,) and (c, 8, 8); None where a cell on the slide is
        reached by no readable shifted tile.
    """
    there = [(t, p) for t in shifted.touching(row, col) if (p := known[t]) is not None]
    if not there:
        return None
    classes = there[0][1][0].size
    tile, tile_area = np.zeros(classes), 0.0
    cells, cell_area = np.zeros((classes, CELLS_PER_TILE, CELLS_PER_TILE)), np.zeros((8, 8))
    for (i, j), (tile_probs, cell_probs) in there:
        rows = shared_px(row * TILE_PX, i * shifted.stride_px)  # (8, 8): ours, theirs
        cols = shared_px(col * TILE_PX, j * shifted.stride_px)
        tile += rows.sum() * cols.sum() * tile_probs
        tile_area += rows.sum() * cols.sum()
        cells += rows @ cell_probs.astype(np.float64) @ cols.T
        cell_area += np.outer(rows.sum(axis=1), cols.sum(axis=1))
    if (_on_slide(shifted, row, col) & (cell_area == 0)).any():
        return None
    cells /= np.where(cell_area > 0, cell_area, 1.0)
    cells[BACKGROUND_CHANNEL, cell_area == 0] = 1.0
    return (tile / tile_area).astype(np.float32), cells.astype(np.float32)


def shared_px(ours: int, theirs: int) -> npt.NDArray[np.float64]:
    """Return how many px the cells of two tiles share along one axis.

    Parameters
    ----------
    ours, theirs : int
        Where the tiles begin, px at the analysis resolution.

    Returns
    -------
    array of float64, shape (8, 8)
        Rows are cells of the first tile, columns cells of the second.
    """
    steps = np.arange(CELLS_PER_TILE) * CELL_PX
    apart = np.abs((ours + steps)[:, None] - (theirs + steps))
    return np.asarray(np.maximum(0, CELL_PX - apart), np.float64)


def _on_slide(shifted: ShiftedTiles, row: int, col: int) -> npt.NDArray[np.bool_]:
    """Return which cells of a tile of the map begin on the slide, shape (8, 8)."""
    steps = np.arange(CELLS_PER_TILE) * CELL_PX
    rows = row * TILE_PX + steps < shifted.slide_px(0)
    cols = col * TILE_PX + steps < shifted.slide_px(1)
    return np.asarray(rows[:, None] & cols)
