"""Where output pixels lie on a level's pixel grid: whole bins, or edges between pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Edges = npt.NDArray[np.float64]

BLOCK = 2048
"""Most source pixels per side that are held at once while resampling; bounds the memory."""

_SUBPIXELS = float(1 << 20)
_NOTHING = 0.5 / _SUBPIXELS
"""Distances below this, in level pixels, are rounded to 0."""


def cells_on_stored(
    stored: npt.NDArray[np.bool_],
    tile: tuple[float, float],
    shape: tuple[int, int],
    extent: tuple[int, int],
) -> npt.NDArray[np.bool_]:
    """Return which cells of an even grid lie on stored tiles alone.

    Parameters
    ----------
    stored : array of bool, shape (rows, columns)
        Which tiles are stored.
    tile : tuple of float
        Height and width of a tile, px.
    shape : tuple of int
        Rows and columns of the grid of cells.
    extent : tuple of int
        Height and width that the cells share out, px.

    Returns
    -------
    array of bool, shape `shape`
    """
    sums = np.pad(
        np.cumsum(np.cumsum(~stored, 0, dtype=np.int32), 1, dtype=np.int32), ((1, 0),) * 2
    )
    (top, bottom), (left, right) = (
        _tiles_of_cells(np.arange(count + 1, dtype=np.float64) * (size / count / side), tiles)
        for size, count, side, tiles in zip(extent, shape, tile, stored.shape, strict=True)
    )
    lost = sums[bottom][:, right] - sums[top][:, right]
    lost -= sums[bottom][:, left] - sums[top][:, left]
    return np.asarray(lost == 0)


def _tiles_of_cells(edges: Edges, tiles: int) -> tuple[npt.NDArray[np.int_], npt.NDArray[np.int_]]:
    """Return the first tile of each cell, and the one behind its last."""
    first = np.floor(edges[:-1] + _NOTHING).astype(int)
    last = np.ceil(edges[1:] - _NOTHING).astype(int)
    return np.clip(first, 0, tiles - 1), np.clip(last, 1, tiles)


class Bins(NamedTuple):
    """Bins of `step` whole level pixels, `size` pixels in all."""

    first: int
    step: int
    size: int


def whole_bins(
    start: float, downsample: float, scale: float, count: int, length: int
) -> Bins | None:
    """Return the bins along an axis if they are whole, inside the level and not too many."""
    first, step = start / scale, downsample / scale
    bins = Bins(round(first), round(step), count * round(step))
    near = abs(first - bins.first) < _NOTHING and abs(step - bins.step) * count < _NOTHING
    inside = bins.first >= 0 and bins.first + bins.size <= length
    return bins if near and bins.step > 0 and inside and bins.size <= BLOCK else None


def bin_edges(start: float, downsample: float, count: int, scale: float) -> Edges:
    """Return the edges of output pixels in level pixels.

    They are rounded to 2⁻²⁰ px, far below any gray level but above the error of the
    arithmetic, so that a place has the same edges whatever region it is read with.
    """
    edges = (start + np.arange(count + 1) * downsample) / scale
    return np.round(edges * _SUBPIXELS) / _SUBPIXELS


def iter_blocks(y_edges: Edges, x_edges: Edges) -> Iterator[tuple[slice, slice]]:
    """Yield output windows whose source is small enough to hold at once."""
    rows, cols = len(y_edges) - 1, len(x_edges) - 1
    step_y = max(1, int(BLOCK / (y_edges[1] - y_edges[0])))
    step_x = max(1, int(BLOCK / (x_edges[1] - x_edges[0])))
    for y in range(0, rows, step_y):
        for x in range(0, cols, step_x):
            yield slice(y, min(y + step_y, rows)), slice(x, min(x + step_x, cols))


def touched_pixels(edges: Edges, size: int, margin: int) -> tuple[int, int]:
    """Return the pixels a span touches, and a margin on either side, clipped.

    Averaging needs no margin: where tiles of a file and of the grid coincide, one file
    tile is decoded for one tile of the grid, not nine.
    """
    return max(0, math.floor(edges[0]) - margin), min(size, math.ceil(edges[-1]) + margin)
