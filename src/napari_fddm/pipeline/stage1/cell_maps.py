"""Results of stage 1 on the tile and cell grids: the input of stage 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.classes import BACKGROUND_CHANNEL
from napari_fddm.core.geometry import MapGeometry, Window
from napari_fddm.core.maps import TISSUE_FEATURES
from napari_fddm.core.tiling import CELL_PX, CELLS_PER_TILE

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.tiling import TileGrid


@dataclass(slots=True)
class CellMaps:
    """Stage-1 results of a slide; tiles not analyzed have the values of clean glass.

    float16 in memory and on disk, so that a resumed run computes with the same numbers.

    Attributes
    ----------
    tile_probs : array of float16, shape (classes, rows, cols)
        Per tile.
    cell_probs : array of float16, shape (classes, 8 rows, 8 cols)
        Per bridge cell: the bridge's source y.
    features : array of float16, shape (6, 8 rows, 8 cols)
        Tissue O per cell: mean and standard deviation of R, G, B in [0, 1].
    analyzed : array of bool, shape (rows, cols)
        Tiles that were classified.
    tile_geometry, cell_geometry : MapGeometry
        Where the two grids lie.
    """

    tile_probs: npt.NDArray[np.float16]
    cell_probs: npt.NDArray[np.float16]
    features: npt.NDArray[np.float16]
    analyzed: npt.NDArray[np.bool_]
    tile_geometry: MapGeometry
    cell_geometry: MapGeometry

    @classmethod
    def empty(cls, grid: TileGrid, n_classes: int) -> CellMaps:
        """Return maps of a slide without any analyzed tile."""
        tiles, cells = grid.geometry, grid.cell_geometry
        maps = cls(
            np.zeros((n_classes, *tiles.shape), np.float16),
            np.zeros((n_classes, *cells.shape), np.float16),
            np.zeros((TISSUE_FEATURES, *cells.shape), np.float16),
            np.zeros(tiles.shape, bool),
            tiles,
            cells,
        )
        maps.tile_probs[BACKGROUND_CHANNEL] = 1.0
        maps.cell_probs[BACKGROUND_CHANNEL] = 1.0
        maps.features[:3] = 1.0
        return maps

    def put(
        self,
        row: int,
        col: int,
        tile_probs: npt.NDArray[np.float32],
        cell_probs: npt.NDArray[np.float32],
        features: npt.NDArray[np.float32],
    ) -> None:
        """Store one tile: shapes (classes,), (classes, 8, 8) and (6, 8, 8)."""
        rows, cols = Window(row, col, 1, 1).scaled(CELLS_PER_TILE).slices
        self.tile_probs[:, row, col] = tile_probs
        self.cell_probs[:, rows, cols] = cell_probs
        self.features[:, rows, cols] = features
        self.analyzed[row, col] = True

    def tile(
        self, row: int, col: int
    ) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.float16], npt.NDArray[np.float16]]:
        """Return what `put` stored of a tile."""
        rows, cols = Window(row, col, 1, 1).scaled(CELLS_PER_TILE).slices
        return (
            self.tile_probs[:, row, col],
            self.cell_probs[:, rows, cols],
            self.features[:, rows, cols],
        )

    def analyzed_at(self, grid: MapGeometry, window: Window) -> npt.NDArray[np.bool_]:
        """Return which cells of another grid have their center in an analyzed tile.

        Parameters
        ----------
        grid : MapGeometry
            Usually that of the labels.
        window : Window
            Cells of it.

        Returns
        -------
        array of bool, shape of the window
        """
        starts = ((0, window.y, window.height), (1, window.x, window.width))
        rows, cols = (
            self.tile_geometry.cells_at(axis, grid.centers(axis, start + np.arange(count)))
            for axis, start, count in starts
        )
        return np.asarray(self.analyzed[np.ix_(rows, cols)])

    def region_input(
        self, tiles: Window
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return y and O of a window of tiles; glass where it reaches beyond the slide.

        Returns
        -------
        source : array of float32, shape (classes, h, w)
        features : array of float32, shape (6, h, w)
        """
        return region_input(self.cell_probs, self.features, tiles.scaled(CELLS_PER_TILE))


def region_input(
    cell_probs: npt.NDArray[np.float16], features: npt.NDArray[np.float16], cells: Window
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return y and O of a window of cells; glass where it reaches beyond the maps.

    Parameters
    ----------
    cell_probs : array, shape (classes, H, W)
    features : array, shape (6, H, W)
    cells : Window

    Returns
    -------
    source : array of float32, shape (classes, h, w)
    features : array of float32, shape (6, h, w)
    """
    source = np.zeros((len(cell_probs), cells.height, cells.width), np.float32)
    tissue = np.zeros((TISSUE_FEATURES, cells.height, cells.width), np.float32)
    source[BACKGROUND_CHANNEL] = 1.0
    tissue[:3] = 1.0
    inside = cells.clipped((cell_probs.shape[1], cell_probs.shape[2]))
    if not inside.is_empty:
        shifted = inside.relative_to(cells).slices
        source[:, *shifted] = cell_probs[:, *inside.slices]
        tissue[:, *shifted] = features[:, *inside.slices]
    return source, tissue


def cell_features(pixels_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Describe the tissue in each cell of some tiles (``docs/algorithm.md#tissue-features``).

    Parameters
    ----------
    pixels_nhwc : array of uint8, shape (n, 256, 256, 3)

    Returns
    -------
    array of float32, shape (n, 6, 8, 8)
        Mean, then standard deviation, of red, green and blue, in units of 255.
    """
    # Integer sums are exact: the same on every machine and in every batch.
    n = len(pixels_nhwc)
    rows = pixels_nhwc.reshape(n, CELLS_PER_TILE, CELL_PX, -1).astype(np.uint16)
    sums = _per_cell(np.add.reduce(rows, axis=2, dtype=np.uint32))
    squares = _per_cell(np.add.reduce(np.square(rows), axis=2, dtype=np.uint32))
    count = CELL_PX * CELL_PX
    mean = sums / count
    std = np.sqrt(count * squares - sums * sums) / count
    both = np.concatenate([mean, std], axis=3) / 255.0  # (n, 8, 8, 6)
    return np.ascontiguousarray(both.transpose(0, 3, 1, 2), dtype=np.float32)


def _per_cell(columns: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """Sum (n, 8, 256 · 3) over the columns of each cell, to (n, 8, 8, 3)."""
    cells = columns.reshape(len(columns), CELLS_PER_TILE, CELLS_PER_TILE, CELL_PX, 3)
    return np.asarray(cells.sum(axis=3, dtype=np.int64))
