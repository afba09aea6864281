"""Outlines (polygons) on a slide as masks, and live class counts inside a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import MapGeometry, Region, Window
from napari_fddm.core.necrosis import count_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_fddm.core.edits import Edit

    Polygon = npt.NDArray[np.float64]


def outline_mask(polygons: Sequence[Polygon], geometry: MapGeometry) -> npt.NDArray[np.bool_]:
    """Return the cells whose centers lie in any of some polygons.

    Even–odd within a polygon, the union over polygons. A center on an edge belongs to
    one of the two sides only, so areas that share an edge share no cell.

    Parameters
    ----------
    polygons : sequence of array of float, shape (corners, 2)
        (y, x) of the corners in level-0 px (edge coordinates), at least three each.
    geometry : MapGeometry
        The map.

    Returns
    -------
    array of bool, shape of the map

    Raises
    ------
    ConfigError
        If a polygon has fewer than three corners or a corner that is not finite.
    """
    mask = np.zeros(geometry.shape, bool)
    for polygon in polygons:
        corners = np.asarray(polygon, np.float64)
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
            raise ConfigError(f"an outline needs at least three corners, got {corners.shape}.")
        if not np.isfinite(corners).all():
            raise ConfigError("a corner of an outline is no number.")
        # in cells, so that cell (i, j) has its center at (i, j)
        _fill(mask, (corners - geometry.origin) / geometry.cell - 0.5)
    return mask


def area_px(polygon: Polygon) -> float:
    """Return the area of a polygon that does not cross itself, in squares of its unit."""
    y, x = polygon[:, 0], polygon[:, 1]
    return abs(float(np.sum(y * np.roll(x, -1) - np.roll(y, -1) * x))) / 2


def clipped(polygon: Polygon, shape: tuple[int, int]) -> Polygon:
    """Return the part of a polygon that lies on a slide.

    Its edges are cut at the four borders in turn (Sutherland and Hodgman 1974); parts of a
    concave polygon stay connected by edges on the border, which add no area.

    Parameters
    ----------
    polygon : array of float, shape (corners, 2)
        (y, x), level-0 px.
    shape : tuple of int
        (height, width) of the slide, level-0 px.

    Returns
    -------
    array of float, shape (corners, 2)
        No corners if it lies outside.
    """
    for axis, length in enumerate(shape):
        for sign, border in ((1.0, 0.0), (-1.0, float(length))):
            inside_by = sign * (polygon[:, axis] - border)
            polygon = _cut(polygon, inside_by)
    return polygon


def _cut(polygon: Polygon, inside_by: npt.NDArray[np.float64]) -> Polygon:
    """Return the part of a polygon whose corners are inside by 0 or more."""
    ends, ends_by = np.roll(polygon, -1, axis=0), np.roll(inside_by, -1)
    inside = inside_by >= 0
    crosses = inside != (ends_by >= 0)
    share = np.divide(inside_by, inside_by - ends_by, out=np.zeros_like(inside_by), where=crosses)
    crossings = polygon + share[:, None] * (ends - polygon)
    corners = np.stack([polygon, crossings], axis=1)
    return np.asarray(corners[np.stack([inside, crosses], axis=1)])


def _fill(mask: npt.NDArray[np.bool_], corners: Polygon) -> None:
    """Add the cells inside a polygon, row by row between crossings."""
    first = max(0, int(np.ceil(corners[:, 0].min())))
    last = min(mask.shape[0] - 1, int(np.floor(corners[:, 0].max())))
    starts, ends = corners, np.roll(corners, -1, axis=0)
    low, high = np.minimum(starts[:, 0], ends[:, 0]), np.maximum(starts[:, 0], ends[:, 0])
    for row in range(first, last + 1):
        crossed = (low <= row) & (row < high)
        a, b = starts[crossed], ends[crossed]
        crossings = np.sort(a[:, 1] + (row - a[:, 0]) / (b[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1]))
        columns = np.clip(np.ceil(crossings), 0, mask.shape[1]).astype(int)
        for begin, end in zip(columns[::2], columns[1::2], strict=True):
            mask[row, begin:end] = True


def ring_cells(
    rings: Sequence[Polygon], geometry: MapGeometry
) -> tuple[Window, npt.NDArray[np.bool_]]:
    """Return the cells of a map whose centers lie in an outline with holes.

    Parameters
    ----------
    rings : sequence of array of float, shape (corners, 2)
        (y, x) in level-0 px: the outer ring first, then the holes.
    geometry : MapGeometry
        The map.

    Returns
    -------
    window : Window
        The part of the map around the outline; empty if it lies off the map.
    cells : array of bool, shape of the window
    """
    outer, *holes = rings
    (y0, x0), (y1, x1) = outer.min(axis=0), outer.max(axis=0)
    window = geometry.window_of(Region(y0, x0, y1 - y0, x1 - x0))
    if window.is_empty:
        return window, np.zeros((0, 0), bool)
    part = geometry.region_of(window)
    around = MapGeometry(
        (window.height, window.width), geometry.cell, geometry.mpp, (part.y, part.x)
    )
    return window, outline_mask([outer], around) & ~outline_mask(holes, around)


class InsideCounter:
    """Counts the classes inside a mask without recounting after an edit.

    Parameters
    ----------
    labels : array of uint8, shape (H, W)
        The label map as it is now.
    mask : array of bool, shape (H, W)
        Where to count.
    n_classes : int
        Highest label value.

    Raises
    ------
    ConfigError
        If the shapes differ or a label is beyond the classes.
    """

    def __init__(
        self, labels: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_], n_classes: int
    ) -> None:
        if labels.shape != mask.shape:
            raise ConfigError(f"a mask of {mask.shape} does not fit labels of {labels.shape}.")
        self._mask = mask
        self._n_classes = n_classes
        self._counts = self.counted(labels, Window(0, 0, *mask.shape))

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Cells by label value, int64 of shape (n_classes + 1,)."""
        return self._counts.copy()

    def counted(self, labels: npt.NDArray[np.uint8], window: Window) -> npt.NDArray[np.int64]:
        """Count a window of a map inside the mask; the stored counts do not change."""
        part = window.slices
        return count_labels(labels[part][self._mask[part]], self._n_classes)

    def apply(self, edit: Edit) -> None:
        """Update the counts for an edit; the time depends on the edit's window alone."""
        inside = self._mask[edit.window.slices][edit.mask()]
        self.add(
            count_labels(edit.after[inside], self._n_classes)
            - count_labels(edit.before[inside], self._n_classes)
        )

    def add(self, difference: npt.NDArray[np.int64]) -> None:
        """Update the counts by a known difference."""
        self._counts += difference
