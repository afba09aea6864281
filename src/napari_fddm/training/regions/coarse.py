"""Maps of stage 1 for a rectangle of tiles, the input of every refiner and its rivals."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.maps import TISSUE_FEATURES
from napari_fddm.core.resample import WHITE
from napari_fddm.core.tiling import CELLS_PER_TILE, TILE_PX, TileGrid
from napari_fddm.pipeline.stage1 import CellMaps, classify_events, iter_tile_batches
from napari_fddm.pipeline.stage1.overlap import ShiftedTiles

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.geometry import Window
    from napari_fddm.core.protocols import Slide
    from napari_fddm.pipeline.stage1.classify import Classifies

SourceName = Literal["cells", "tiles"]
"""The stage-1 map that is y: the token map of the cell head, or the map of tiles."""
SHIFT_PX = TILE_PX // 2
"""Distance between overlapping tiles, px: half a tile."""


@dataclass(frozen=True, slots=True, eq=False)
class CoarseMaps:
    """Stage-1 maps of a rectangle of R by C whole tiles.

    Attributes
    ----------
    tiles : array of float16, shape (classes, R, C)
        Probabilities of whole tiles.
    cells : array of float16, shape (classes, 8 R, 8 C)
        Probabilities of bridge cells, from the cell head: the token map.
    features : array of float16, shape (6, 8 R, 8 C)
        Tissue O, see `cellmaps.cell_features`.
    shifted : array of float16, shape (classes, 2 R - 1, 2 C - 1), optional
        Probabilities of the tiles that begin every 128 px and lie inside.
    """

    tiles: npt.NDArray[np.float16]
    cells: npt.NDArray[np.float16]
    features: npt.NDArray[np.float16]
    shifted: npt.NDArray[np.float16] | None = None

    def __post_init__(self) -> None:
        """Refuse arrays whose shapes do not fit or that are not finite."""
        classes, rows, cols = self.tiles.shape
        height, width = rows * CELLS_PER_TILE, cols * CELLS_PER_TILE
        wanted = {
            "cells": (self.cells, (classes, height, width)),
            "features": (self.features, (TISSUE_FEATURES, height, width)),
        }
        if self.shifted is not None:
            wanted["shifted"] = (self.shifted, (classes, 2 * rows - 1, 2 * cols - 1))
        for name, (array, shape) in wanted.items():
            if array.shape != shape:
                raise ConfigError(
                    f"coarse maps of {rows} by {cols} tiles need {name} of {shape}, "
                    f"not {array.shape}."
                )
        for name in ("tiles", *wanted):
            if not np.isfinite(getattr(self, name)).all():
                raise ConfigError(f"the coarse map {name!r} holds values that are not finite.")

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.tiles.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of bridge cells."""
        return (int(self.cells.shape[1]), int(self.cells.shape[2]))

    @property
    def tile_shape(self) -> tuple[int, int]:
        """(rows, columns) of tiles."""
        return (int(self.tiles.shape[1]), int(self.tiles.shape[2]))

    def source(self, name: SourceName) -> npt.NDArray[np.float16]:
        """Return y on the cells, shape (classes, 8 R, 8 C)."""
        return self.cells if name == "cells" else on_cells(self.tiles)

    def window(self, tiles: Window) -> CoarseMaps:
        """Return the maps in a window of whole tiles, clipped to these maps."""
        rows, cols = tiles.slices
        cell_rows, cell_cols = tiles.scaled(CELLS_PER_TILE).slices
        shifted = self.shifted
        if shifted is not None:
            y, x = 2 * tiles.y, 2 * tiles.x
            shifted = shifted[:, y : y + 2 * tiles.height - 1, x : x + 2 * tiles.width - 1]
        return CoarseMaps(
            self.tiles[:, rows, cols],
            self.cells[:, cell_rows, cell_cols],
            self.features[:, cell_rows, cell_cols],
            shifted,
        )


def on_cells(tiles: npt.NDArray[np.float16]) -> npt.NDArray[np.float16]:
    """Repeat a map (…, R, C) of tiles on the cells of each: (…, 8 R, 8 C)."""
    return tiles.repeat(CELLS_PER_TILE, axis=-2).repeat(CELLS_PER_TILE, axis=-1)


def classify_window(
    slide: Slide,
    grid: TileGrid,
    tiles: Window,
    model: Classifies,
    n_classes: int,
    *,
    shifted: bool = False,
    batch_size: int = 8,
) -> CoarseMaps:
    """Run stage 1 on a window of tiles.

    Parameters
    ----------
    slide, grid : Slide, TileGrid
        The slide and its grid of tiles.
    tiles : Window
        Rows and columns of tiles, inside the grid.
    model : Classifies
        Stage 1.
    n_classes : int
        Its number of classes.
    shifted : bool
        Also classify the tiles that begin every 128 px, which takes about four times as long.
    batch_size : int
        Tiles per forward pass.

    Raises
    ------
    ConfigError
        If the window is not inside the grid, or a tile cannot be read.
    """
    if tiles.clipped(grid.shape) != tiles:
        raise ConfigError(f"the window {tiles} is not inside a grid of {grid.shape} tiles.")
    maps = CellMaps.empty(grid, n_classes)
    indices = [(tiles.y + r, tiles.x + c) for r in range(tiles.height) for c in range(tiles.width)]
    for _ in classify_events(slide, grid, indices, model, maps, batch_size=batch_size):
        pass
    rows, cols = tiles.slices
    if not maps.analyzed[rows, cols].all():
        raise ConfigError(f"{slide.name} has tiles that cannot be read in {tiles}.")
    cell_rows, cell_cols = tiles.scaled(CELLS_PER_TILE).slices
    overlapping = (
        _classify_shifted(slide, grid, tiles, model, n_classes, batch_size) if shifted else None
    )
    return CoarseMaps(
        maps.tile_probs[:, rows, cols],
        maps.cell_probs[:, cell_rows, cell_cols],
        maps.features[:, cell_rows, cell_cols],
        overlapping,
    )


def _classify_shifted(
    slide: Slide,
    grid: TileGrid,
    tiles: Window,
    model: Classifies,
    n_classes: int,
    batch_size: int,
) -> npt.NDArray[np.float16]:
    over = ShiftedTiles.over(grid, TILE_PX - SHIFT_PX)
    height, width = 2 * tiles.height - 1, 2 * tiles.width - 1
    indices = [(2 * tiles.y + i, 2 * tiles.x + j) for i in range(height) for j in range(width)]
    out = np.zeros((n_classes, height, width), np.float16)
    with closing(iter_tile_batches(slide, over, indices, batch_size)) as batches:
        for batch in batches:
            pixels = np.full((batch_size, TILE_PX, TILE_PX, 3), WHITE, np.uint8)
            for slot, read in zip(pixels, batch, strict=False):
                if read.pixels is None:
                    raise ConfigError(f"{slide.name} has tiles that cannot be read in {tiles}.")
                slot[...] = read.pixels
            probs = model.classify(pixels)[0]
            for read, tile_probs in zip(batch, probs, strict=False):
                out[:, read.tile.row - 2 * tiles.y, read.tile.col - 2 * tiles.x] = tile_probs
    return out
