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
