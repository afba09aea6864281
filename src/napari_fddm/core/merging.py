"""Merge overlapping regions of class probabilities into one map, and turn it into labels.

Windows are placed on the cell grid by whole cells and are never resized: shrinking
a region and pasting it at the old stride, as the published code does, shifts its far
end by a tile (``docs/algorithm.md#merging``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.classes import NOT_ANALYZED
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry

    Floats = npt.NDArray[np.floating]
    WindowFunction = Callable[[int], npt.NDArray[np.float64]]

_BAND_VALUES = 1_000_000
"""Values of a class that are interpolated at once, which bounds the memory."""
_PLACES_PER_CELL = 2**20
"""Positions between two cells are rounded to this fraction of a cell."""


def hann_window(n: int) -> npt.NDArray[np.float64]:
    """Return Hann weights at the centers of n cells, shape (n,).

    The sample points lie half a cell inside the ends, so no weight is 0 and a map's
    outer border, which only one region covers, is not 0 / 0 (``docs/algorithm.md#merging``).
    """
    centers = np.arange(n, dtype=np.float64) + 0.5
    return np.asarray(np.sin(np.pi * centers / n) ** 2)


@dataclass(frozen=True, slots=True, eq=False)
class MergedCells:
    """Merged class probabilities of a window of cells.

    Attributes
    ----------
    probs : array of float32, shape (C, h, w)
        0 where nothing was added.
    coverage : array of bool, shape (h, w)
        Where something was added.
    """

    probs: npt.NDArray[np.float32]
    coverage: npt.NDArray[np.bool_]


class CellAccumulator:
    """Weighted mean of overlapping windows on the cell grid.

    Sums are float64, so that a constant field stays constant and the order of adding is
    nearly always lost in the rounding to float32. Equality to the last bit needs the same order.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W): classes, rows and columns of the map.
    window_function : callable
        From a length n to n weights; rows and columns are weighted by its product.

    Raises
    ------
    ConfigError
        If a size is below 1.
    """

    def __init__(
        self, shape: tuple[int, int, int], window_function: WindowFunction = hann_window
    ) -> None:
        if min(shape) < 1:
            raise ConfigError(f"a map of cells needs sizes of at least 1, got {shape}.")
        self.shape = shape
        self._window_function = window_function
        self._weighted = np.zeros(shape, dtype=np.float64)
        self._weights = np.zeros(shape[1:], dtype=np.float64)

    def add(self, probs_chw: Floats, y: int, x: int) -> None:
        """Add a region's probabilities; cells beyond the map's borders are dropped.

        Parameters
        ----------
        probs_chw : array, shape (C, h, w)
            Class probabilities of the region's cells.
        y, x : int
            Cell of the map where the region's upper left cell lies; may be negative.

        Raises
        ------
        ConfigError
            If the number of classes differs, or a value inside the map is not finite.
        """
        if probs_chw.ndim != 3 or probs_chw.shape[0] != self.shape[0]:
            raise ConfigError(
                f"a region of shape {probs_chw.shape} does not fit {self.shape[0]} classes."
            )
        height, width = probs_chw.shape[1:]
        region = Window(y, x, height, width)
        inside = region.clipped(self.shape[1:])
        if inside.is_empty:
            return
        rows, cols = inside.relative_to(region).slices
        probs = np.asarray(probs_chw[:, rows, cols], dtype=np.float64)  # (C h w)
        if not np.isfinite(probs).all():
            raise ConfigError(f"the region at cell ({y}, {x}) has values that are not finite.")
        weights = np.outer(
            self._window_function(height)[rows], self._window_function(width)[cols]
        )  # (h w)
        map_rows, map_cols = inside.slices
        self._weighted[:, map_rows, map_cols] += weights * probs
        self._weights[map_rows, map_cols] += weights

    def merged(self) -> MergedCells:
        """Return the whole map, shape (C, H, W)."""
        return self.merged_window(Window(0, 0, *self.shape[1:]))

    def merged_window(self, window: Window) -> MergedCells:
        """Return the merged cells of a window inside the map.

        Raises
        ------
        ConfigError
            If the window leaves the map.
        """
        _require_inside(window, self.shape[1:])
        rows, cols = window.slices
        weights = self._weights[rows, cols]
        coverage = weights > 0
        probs = self._weighted[:, rows, cols] / np.where(coverage, weights, 1.0)
        return MergedCells(probs.astype(np.float32), coverage)


def labels_from_cells(
    probs_chw: Floats,
    cell_geometry: MapGeometry,
    label_geometry: MapGeometry,
    window: Window,
    coverage: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.uint8]:
    """Return the likeliest class at the centers of the label cells of a window.

    The probabilities are interpolated bilinearly between cell centers and held
    constant beyond the outermost ones. A label depends on its global place alone:
    the labels of a window equal that part of the whole map's labels, even if only the
    cells around the window are passed (one more on each side).

    Parameters
    ----------
    probs_chw : array, shape (C, H, W)
        Class probabilities on the cells.
    cell_geometry, label_geometry : MapGeometry
        Where both maps lie on the slide.
    window : Window
        Label cells wanted.
    coverage : array of bool, shape (H, W), optional
        Cells that have probabilities. Others are left out of the interpolation, and labels
        whose center lies in one are 0, "not analyzed".

    Returns
    -------
    array of uint8, shape (window.height, window.width)
        Label values, channel + 1; the lowest among equally likely ones.

    Raises
    ------
    ConfigError
        If the shapes do not fit the geometries, the window leaves the label map, or a
        probability is not finite.
    """
    if probs_chw.ndim != 3 or probs_chw.shape[1:] != cell_geometry.shape:
        raise ConfigError(
            f"probabilities of shape {probs_chw.shape} do not fit cells {cell_geometry.shape}."
        )
    if coverage is not None and coverage.shape != cell_geometry.shape:
        raise ConfigError(f"coverage {coverage.shape} does not fit cells {cell_geometry.shape}.")
    _require_inside(window, label_geometry.shape)
    labels = np.zeros((window.height, window.width), dtype=np.uint8)
    if window.is_empty:
        return labels
    rows = _Interpolation.between(cell_geometry, label_geometry, 0, window.y, window.height)
    cols = _Interpolation.between(cell_geometry, label_geometry, 1, window.x, window.width)
    band = max(1, _BAND_VALUES // max(window.width, cols.extent))
    for start in range(0, window.height, band):
        part = slice(start, start + band)
        labels[part] = _likeliest(probs_chw, coverage, rows.part(part), cols)
    return labels


@dataclass(frozen=True, slots=True, eq=False)
class _Interpolation:
    """Along one axis, the two cells around each label cell and the weight between them."""

    lower: npt.NDArray[np.intp]
    upper: npt.NDArray[np.intp]
    fraction: npt.NDArray[np.float32]
    nearest: npt.NDArray[np.intp]

    @classmethod
    def between(
        cls, cells: MapGeometry, labels: MapGeometry, axis: int, start: int, count: int
    ) -> _Interpolation:
        # Centers of label cells in level-0 px, then in cells from the first cell's center.
        centers = labels.centers(axis, np.arange(start, start + count))
        position = (centers - cells.origin[axis]) / cells.cell - 0.5
        last = cells.shape[axis] - 1
        # Rounded, so that a part of the cells with another origin gives the same weights.
        position = np.rint(position * _PLACES_PER_CELL) / _PLACES_PER_CELL
        position = np.clip(position, 0.0, last)
        lower = np.floor(position).astype(np.intp)
        return cls(
            lower,
            np.minimum(lower + 1, last),
            (position - lower).astype(np.float32),
            np.floor(position + 0.5).astype(np.intp),
        )

    @property
    def extent(self) -> int:
        """Number of cells from the first to the last that are used."""
        return int(self.upper[-1]) - int(self.lower[0]) + 1

    def part(self, rows: slice) -> _Interpolation:
        return _Interpolation(
            self.lower[rows], self.upper[rows], self.fraction[rows], self.nearest[rows]
        )


def _likeliest(
    probs_chw: Floats,
    coverage: npt.NDArray[np.bool_] | None,
    rows: _Interpolation,
    cols: _Interpolation,
) -> npt.NDArray[np.uint8]:
    """Return the likeliest class; one class at a time, so that memory is a few planes."""
    shape = (rows.lower.size, cols.lower.size)
    best = np.full(shape, -np.inf, dtype=np.float32)
    label = np.full(shape, NOT_ANALYZED, dtype=np.uint8)
    for channel in range(probs_chw.shape[0]):
        plane = _interpolated(probs_chw[channel], coverage, rows, cols)  # (h w)
        better = plane > best
        best[better] = plane[better]
        label[better] = channel + 1
    if coverage is not None:
        label[~coverage[rows.nearest][:, cols.nearest]] = NOT_ANALYZED
    return label


def _interpolated(
    probs_hw: Floats,
    coverage: npt.NDArray[np.bool_] | None,
    rows: _Interpolation,
    cols: _Interpolation,
) -> npt.NDArray[np.float32]:
    # Only the cells this band needs; uncovered ones count as 0 in every class.
    top, left = int(rows.lower[0]), int(cols.lower[0])
    needed = Window(top, left, rows.extent, cols.extent).slices
    cells = np.asarray(probs_hw[needed], dtype=np.float32)
    if coverage is not None:
        cells = np.where(coverage[needed], cells, np.float32(0))
    if not np.isfinite(cells).all():
        raise ConfigError(f"the probabilities of cells {needed} are not all finite.")
    down, right = rows.fraction[:, None], cols.fraction
    above, below = cells[rows.lower - top], cells[rows.upper - top]
    lines = above * (1 - down) + below * down  # (h cells)
    before, after = lines[:, cols.lower - left], lines[:, cols.upper - left]
    return np.asarray(before * (1 - right) + after * right)  # (h w)


def _require_inside(window: Window, shape: tuple[int, int]) -> None:
    if window.clipped(shape) != window:
        raise ConfigError(f"{window} leaves a map of {shape[0]} × {shape[1]} cells.")
