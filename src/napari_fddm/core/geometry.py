"""Geometry of a slide: regions in level-0 pixels, map grids on them, windows of map cells.

Everything is (y, x). Level-0 coordinates are *edge* coordinates: pixel 0 spans [0, 1). napari and
OME-Zarr place a pixel by its *center*, so the center of level-0 pixel ``i`` lies
at ``i * mpp`` micrometers; `MapGeometry` makes the half-pixel shift in one place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

YX = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle in level-0 pixels, possibly at fractional positions.

    Attributes
    ----------
    y, x : float
        Upper left corner, level-0 px.
    height, width : float
        Size, level-0 px, at least 0.
    """

    y: float
    x: float
    height: float
    width: float

    def __post_init__(self) -> None:
        """Refuse sizes below zero and values that are not finite."""
        numbers = (self.y, self.x, self.height, self.width)
        if not all(math.isfinite(n) for n in numbers) or self.height < 0 or self.width < 0:
            raise ConfigError(f"a region needs finite numbers and a size ≥ 0, got {numbers}.")

    @property
    def y_end(self) -> float:
        """Lower edge, level-0 px."""
        return self.y + self.height

    @property
    def x_end(self) -> float:
        """Right edge, level-0 px."""
        return self.x + self.width

    @property
    def is_empty(self) -> bool:
        """Whether the region has no area."""
        return self.height <= 0 or self.width <= 0

    def intersection(self, other: Region) -> Region:
        """Return the common part; empty (size 0) where there is none."""
        y, x = max(self.y, other.y), max(self.x, other.x)
        return Region(
            y,
            x,
            max(0.0, min(self.y_end, other.y_end) - y),
            max(0.0, min(self.x_end, other.x_end) - x),
        )


@dataclass(frozen=True, slots=True)
class LevelInfo:
    """One level of a slide's pyramid.

    Attributes
    ----------
    index : int
        0 is the finest.
    shape : tuple of int
        (height, width) in the level's own pixels.
    downsample : float
        Level-0 pixels per pixel of this level; 1.0 for level 0, often not a
        power of two.
    """

    index: int
    shape: tuple[int, int]
    downsample: float


@dataclass(frozen=True, slots=True)
class Mpp:
    """Pixel size of level 0 and where it was found.

    Attributes
    ----------
    value : float or None
        Micrometers per level-0 pixel; None when unknown.
    source : str
        "vendor", "ome", "tiff-resolution", "objective-power", "user" …
    reason : str
        Why the value in the file is not used, where there is one; not part of equality.
    """

    value: float | None
    source: str
    reason: str = field(default="", compare=False)

    PLAUSIBLE = (0.05, 20.0)


@dataclass(frozen=True, slots=True)
class MapGeometry:
    """Where a map (labels, probabilities, overview) lies on its slide.

    Attributes
    ----------
    shape : tuple of int
        (rows, columns) of the map.
    cell : float
        Edge of one map cell, level-0 px.
    mpp : float
        Micrometers per level-0 px.
    origin : tuple of float
        (y, x) of the map's upper left *edge*, level-0 px.
    """

    shape: tuple[int, int]
    cell: float
    mpp: float
    origin: YX = (0.0, 0.0)

    @classmethod
    def covering(cls, slide_shape: tuple[int, int], cell: float, mpp: float) -> MapGeometry:
        """Return the smallest map of this cell size that covers a slide.

        Parameters
        ----------
        slide_shape : tuple of int
            (height, width), level-0 px.
        cell : float
            Edge of a cell, level-0 px.
        mpp : float
            Micrometers per level-0 px.
        """
        rows, cols = (max(1, math.ceil(n / cell - 1e-9)) for n in slide_shape)
        return cls((rows, cols), cell, mpp)

    @property
    def cell_um(self) -> float:
        """Edge of a cell, µm."""
        return self.cell * self.mpp

    @property
    def cell_mm2(self) -> float:
        """Area of a cell, mm²."""
        return (self.cell_um / 1000.0) ** 2

    @property
    def scale(self) -> YX:
        """Micrometers per cell, as napari and NGFF want it."""
        return (self.cell_um, self.cell_um)

    @property
    def translate(self) -> YX:
        """Center of cell (0, 0), µm, where level-0 pixel (0, 0) has its center at 0."""
        y, x = (((o + self.cell / 2) - 0.5) * self.mpp for o in self.origin)
        return (y, x)

    @property
    def region(self) -> Region:
        """What the map covers, level-0 px."""
        rows, cols = self.shape
        return Region(*self.origin, rows * self.cell, cols * self.cell)

    def downsampled(self, factor: int) -> MapGeometry:
        """Return the geometry of the map reduced by an integer factor."""
        rows, cols = (math.ceil(n / factor) for n in self.shape)
        return MapGeometry((rows, cols), self.cell * factor, self.mpp, self.origin)

    def window_of(self, region: Region) -> Window:
        """Return the cells a region touches, clipped to the map; none for an empty region."""
        if region.is_empty:
            return Window(0, 0, 0, 0)
        y0, y1 = _touched(region.y, region.y_end, self.origin[0], self.cell, self.shape[0])
        x0, x1 = _touched(region.x, region.x_end, self.origin[1], self.cell, self.shape[1])
        return Window(y0, x0, y1 - y0, x1 - x0)

    def centers_in(self, region: Region) -> Window:
        """Return the cells whose centers lie in a region, clipped to the map.

        Regions that share an edge share no cell. A center on an upper or left edge
        lies in the region.
        """
        y0, y1 = _centered(region.y, region.y_end, self.origin[0], self.cell, self.shape[0])
        x0, x1 = _centered(region.x, region.x_end, self.origin[1], self.cell, self.shape[1])
        return Window(y0, x0, y1 - y0, x1 - x0)

    def region_of(self, window: Window) -> Region:
        """Return the level-0 region of a window of cells."""
        return Region(
            self.origin[0] + window.y * self.cell,
            self.origin[1] + window.x * self.cell,
            window.height * self.cell,
            window.width * self.cell,
        )

    def centers(self, axis: int, indices: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        """Return where the centers of cells lie along an axis (0: y, 1: x), level-0 px."""
        return np.asarray(self.origin[axis] + (indices + 0.5) * self.cell, np.float64)

    def cells_at(self, axis: int, positions: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return the cells that hold positions along an axis; beyond the map, its nearest cell.

        Parameters
        ----------
        axis : int
            0 for rows, 1 for columns.
        positions : array of float64, shape (n,)
            y or x, level-0 px.

        Returns
        -------
        array of int64, shape (n,)
        """
        index = ((positions - self.origin[axis]) / self.cell).astype(np.int64)
        return np.clip(index, 0, self.shape[axis] - 1)


def _touched(start: float, stop: float, origin: float, cell: float, count: int) -> tuple[int, int]:
    first = math.floor((start - origin) / cell + 1e-9)
    last = math.ceil((stop - origin) / cell - 1e-9)
    first = min(max(first, 0), count)
    return first, min(max(last, first), count)


def _centered(start: float, stop: float, origin: float, cell: float, count: int) -> tuple[int, int]:
    first, last = (math.ceil((n - origin) / cell - 0.5 - 1e-9) for n in (start, stop))
    first = min(max(first, 0), count)
    return first, min(max(last, first), count)


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of whole cells of some map: integers, not level-0 pixels."""

    y: int
    x: int
    height: int
    width: int

    @classmethod
    def of_mask(cls, mask: npt.NDArray[np.bool_]) -> Window:
        """Return the smallest window that holds every true cell; an empty one without any."""
        rows = np.flatnonzero(mask.any(axis=1))
        if not rows.size:
            return cls(0, 0, 0, 0)
        cols = np.flatnonzero(mask.any(axis=0))
        y, x = int(rows[0]), int(cols[0])
        return cls(y, x, int(rows[-1]) - y + 1, int(cols[-1]) - x + 1)

    @property
    def y_end(self) -> int:
        """Row after the last one."""
        return self.y + self.height

    @property
    def x_end(self) -> int:
        """Column after the last one."""
        return self.x + self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the window in a (rows, columns) array."""
        return (slice(self.y, self.y_end), slice(self.x, self.x_end))

    @property
    def is_empty(self) -> bool:
        """Whether the window holds no cell."""
        return self.height <= 0 or self.width <= 0

    def contains(self, other: Window) -> bool:
        """Whether no cell of another window lies outside this one."""
        return (
            self.y <= other.y
            and self.x <= other.x
            and self.y_end >= other.y_end
            and self.x_end >= other.x_end
        )

    def clipped(self, shape: tuple[int, int]) -> Window:
        """Return the part of the window that lies inside an array of this shape."""
        return self.intersection(Window(0, 0, shape[0], shape[1]))

    def intersection(self, other: Window) -> Window:
        """Return the common cells; an empty window (size 0) where there are none."""
        y, x = max(self.y, other.y), max(self.x, other.x)
        height, width = min(self.y_end, other.y_end) - y, min(self.x_end, other.x_end) - x
        return Window(y, x, max(0, height), max(0, width))

    def relative_to(self, outer: Window) -> Window:
        """Return the window counted from the upper left cell of another one."""
        return Window(self.y - outer.y, self.x - outer.x, self.height, self.width)

    def scaled(self, factor: int) -> Window:
        """Return the window on a grid that is finer by an integer factor."""
        return Window(*(n * factor for n in (self.y, self.x, self.height, self.width)))

    def dilated(self, cells: int) -> Window:
        """Return the window grown by a margin on each side (not clipped)."""
        return Window(
            self.y - cells, self.x - cells, self.height + 2 * cells, self.width + 2 * cells
        )


def bounding(windows: Iterable[Window]) -> Window | None:
    """Return the smallest window that holds all of these; None if none holds a cell."""
    full = [window for window in windows if not window.is_empty]
    if not full:
        return None
    y, x = min(w.y for w in full), min(w.x for w in full)
    return Window(y, x, max(w.y_end for w in full) - y, max(w.x_end for w in full) - x)
