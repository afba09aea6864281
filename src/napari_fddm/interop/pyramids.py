"""Downsample label maps and images by two, resample them, and cut them into blocks."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.geometry import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry


BAND_CELLS = 1 << 22
"""Cells in a band of rows: 4 MB of labels."""


def mode_halved(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Halve a label map: each 2 by 2 block becomes its most frequent value.

    Among equally frequent values the first in reading order wins, so no class
    is favored; averaging would give classes that occur nowhere in the block. Blocks cut
    by the border count the cells they have.

    Parameters
    ----------
    labels : array of uint8, shape (H, W)
        At least one cell.

    Returns
    -------
    array of uint8, shape (ceil(H / 2), ceil(W / 2))
    """
    parts = [labels[y::2, x::2] for y in (0, 1) for x in (0, 1)]
    shape = parts[0].shape
    best = parts[0].copy()
    most = np.zeros(shape, np.uint8)
    for candidate in parts:
        inside = (slice(candidate.shape[0]), slice(candidate.shape[1]))
        votes = np.zeros(candidate.shape, np.uint8)
        for other in parts:
            rows, cols = (min(a, b) for a, b in zip(candidate.shape, other.shape, strict=True))
            votes[:rows, :cols] += candidate[:rows, :cols] == other[:rows, :cols]
        wins = votes > most[inside]
        best[inside][wins] = candidate[wins]
        most[inside][wins] = votes[wins]
    return best


def mean_halved(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Halve an image by averaging 2 by 2 pixels, rounded to the nearest.

    Parameters
    ----------
    image : array of uint8, shape (channels, H, W)
        At least one pixel; blocks cut by the border average what they have.

    Returns
    -------
    array of uint8, shape (channels, ceil(H / 2), ceil(W / 2))
    """
    halved = np.empty((len(image), *(-(-n // 2) for n in image.shape[1:])), np.uint8)
    for channel, target in zip(image, halved, strict=True):  # one by one, to save memory
        padded = np.pad(channel, [(0, n % 2) for n in channel.shape], mode="edge")
        total = padded[::2, ::2].astype(np.uint16)
        total += padded[1::2, ::2]
        total += padded[::2, 1::2]
        total += padded[1::2, 1::2]
        target[...] = (total + 2) // 4
    return halved


def coarser_window(window: Window, shape: tuple[int, int]) -> Window:
    """Return the cells of the next level that a window of this level touches.

    Parameters
    ----------
    window : Window
        Cells of the finer level.
    shape : tuple of int
        (rows, columns) of the finer level.
    """
    inside = window.clipped(shape)
    if inside.is_empty:
        return Window(0, 0, 0, 0)
    y, x = inside.y // 2, inside.x // 2
    y_end, x_end = (inside.y + inside.height + 1) // 2, (inside.x + inside.width + 1) // 2
    return Window(y, x, y_end - y, x_end - x)


def finer_window(window: Window, shape: tuple[int, int]) -> Window:
    """Return the cells of the finer level (of this shape) that a window is made of."""
    return window.scaled(2).clipped(shape)


def blocks_of(window: Window, edge: int) -> Iterator[Window]:
    """Cut a window along a grid of square blocks, so that memory stays bounded."""
    for y in _cuts(window.y, window.y + window.height, edge):
        for x in _cuts(window.x, window.x + window.width, edge):
            yield Window(y[0], x[0], y[1] - y[0], x[1] - x[0])


def resample_nearest(
    labels: npt.NDArray[np.uint8], source: MapGeometry, target: MapGeometry
) -> npt.NDArray[np.uint8]:
    """Read a map at the cell centers of another grid of the same slide.

    Parameters
    ----------
    labels : array of uint8, shape of ``source``
        Values to look up.
    source, target : MapGeometry
        Grids of the given and of the wanted map.

    Returns
    -------
    array of uint8, shape of ``target``
        0 where the target lies outside the source.
    """
    result = np.empty(target.shape, np.uint8)
    for rows, band in iter_resampled(labels, source, target):
        result[rows] = band
    return result


def iter_resampled(
    labels: npt.NDArray[np.uint8], source: MapGeometry, target: MapGeometry
) -> Iterator[tuple[slice, npt.NDArray[np.uint8]]]:
    """Do what `resample_nearest` does in bands of rows, so that no second map is held.

    Yields
    ------
    rows : slice
        Rows of the target.
    band : array of uint8, shape (len(rows), columns)
        Their values.
    """
    rows, cols = nearest_index(source, target)
    inside_rows = (rows >= 0) & (rows < source.shape[0])
    inside_cols = (cols >= 0) & (cols < source.shape[1])
    for block in iter_row_blocks(target.shape):
        here = inside_rows[block]
        band = np.zeros((len(here), target.shape[1]), np.uint8)
        band[np.ix_(here, inside_cols)] = labels[np.ix_(rows[block][here], cols[inside_cols])]
        yield block, band


def nearest_index(
    source: MapGeometry, target: MapGeometry
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the row and the column of the source in which each of the target's cells lies.

    Returns
    -------
    rows, columns : array of int64, shape (n,)
        For each row and column of the target; may lie outside the source.
    """
    rows, cols = (
        np.floor(
            (target.origin[k] + (np.arange(target.shape[k]) + 0.5) * target.cell - source.origin[k])
            / source.cell
        ).astype(np.int64)
        for k in (0, 1)
    )
    return rows, cols


def iter_row_blocks(shape: tuple[int, int]) -> Iterator[slice]:
    """Cut a map into bands of rows of some megabytes, for work that needs copies.

    Parameters
    ----------
    shape : tuple of int
        (rows, columns).
    """
    step = max(1, BAND_CELLS // max(1, shape[1]))
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))


def _cuts(start: int, stop: int, edge: int) -> list[tuple[int, int]]:
    edges = [start, *range((start // edge + 1) * edge, stop, edge), stop]
    return list(pairwise(edges)) if stop > start else []
