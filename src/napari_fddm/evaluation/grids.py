"""Resample a label map onto another one's grid, by nearest neighbor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry

    Index = npt.NDArray[np.int64]

MAX_ASPECT_ERROR = 0.01
"""Sides are rounded to whole cells; maps of two slides are farther off."""
OUTSIDE = -1


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the cells of a map lie, as far as its file states it.

    Attributes
    ----------
    shape : tuple of int
        (rows, columns).
    geometry : MapGeometry or None
        Its place on the slide; None: a picture, which covers the whole slide.
    slide_um : tuple of float or None
        (height, width) of the slide, µm, where it is known: cells of a map with a place
        may extend beyond the slide's edge, and a picture has its size from the user.
    placed : bool
        Whether the file says where on the slide the map begins, so that it may be a crop.
    """

    shape: tuple[int, int]
    geometry: MapGeometry | None = None
    slide_um: tuple[float, float] | None = None
    placed: bool = False

    @property
    def cell_um(self) -> float | None:
        """Edge of a cell, µm; None where it is unknown."""
        if self.geometry is not None:
            return self.geometry.cell_um
        if self.slide_um is None:
            return None
        return math.sqrt(math.prod(self.slide_um) / math.prod(self.shape))

    @property
    def extent_um(self) -> tuple[float, float] | None:
        """(height, width) of the slide, or else of the map, µm."""
        if self.slide_um is not None or self.geometry is None:
            return self.slide_um
        rows, cols = self.shape
        return (rows * self.geometry.cell_um, cols * self.geometry.cell_um)

    def in_words(self) -> str:
        """Return shape and cell size as text."""
        size = "" if self.cell_um is None else f" of {self.cell_um:g} µm"
        return f"{self.shape[1]} × {self.shape[0]} cells{size}"


def same_place(first: Grid, second: Grid) -> bool:
    """Whether cells of the same index are the same cells."""
    if first.shape != second.shape:
        return False
    if first.geometry is None or second.geometry is None:
        # A picture of a map's shape was drawn on that map, even if cells extend beyond the slide.
        return True
    a, b = ((*g.scale, *g.translate) for g in (first.geometry, second.geometry))
    return bool(np.allclose(a, b, rtol=1e-6, atol=1e-6 * a[0]))


def is_crop(part: Grid, whole: Grid) -> bool:
    """Whether a map says that it lies inside another one, smaller than that.

    What reaches beyond by up to half of the part is cut off.
    """
    sides, extent = part.geometry, whole.extent_um
    if not part.placed or sides is None or whole.geometry is None or extent is None:
        return False
    inside = 1.0
    for axis in (0, 1):
        start, cell = _axis(part, whole, axis)
        begin, _ = _axis(whole, part, axis)
        length = part.shape[axis] * cell
        if length > extent[axis] * (1 + MAX_ASPECT_ERROR) + cell:
            return False
        common = min(start + length, begin + extent[axis]) - max(start, begin)
        inside *= max(0.0, common) / length
    return inside >= 0.5


def check_same_slide(truth: Grid, predicted: Grid, names: tuple[str, str]) -> None:
    """Refuse maps that cannot show the same slide, by their sides.

    Raises
    ------
    ConfigError
        If proportions, or the size of a picture, differ by more than rounding.
    """
    if is_crop(truth, predicted) or is_crop(predicted, truth):
        return
    grids = (truth, predicted)
    extents = [g.extent_um for g in grids]
    (h, w), (height, width) = (
        e or (float(g.shape[0]), float(g.shape[1])) for e, g in zip(extents, grids, strict=True)
    )
    rounding = MAX_ASPECT_ERROR + sum(1 / n for g in grids for n in g.shape)
    shown = f"{names[0]} ({truth.in_words()}) and {names[1]} ({predicted.in_words()})"
    if truth.shape != predicted.shape and abs(math.log((h / w) / (height / width))) > rounding:
        raise ConfigError(
            f"{shown} have other proportions: they are not maps of the same slide.",
            hint="Give two maps of one slide; a crop must be cut from both, or say by a "
            "translation where it lies.",
        )
    if None not in extents and abs(math.log(h / height)) > rounding:
        picture = any(g.geometry is None for g in grids)
        raise ConfigError(
            f"{shown} have other sizes: {h / 1000:.3g} and {height / 1000:.3g} mm high.",
            hint="--mpp is µm per pixel of the picture; leave it away where the other map has "
            "a place."
            if picture
            else "Correct the scale of the one that is wrong; a map of a part of the slide must "
            "say by a translation where it lies.",
        )


def nearest_index(truth: Grid, other: Grid) -> tuple[Index, Index]:
    """Return, for rows and columns of the truth, the nearest of another map.

    Parameters
    ----------
    truth, other : Grid
        Two maps of the same slide.

    Returns
    -------
    tuple of array of int64, shapes (rows,) and (columns,)
        Index into the other map, −1 where the truth's center lies outside of it.
    """
    if same_place(truth, other):
        rows, cols = (np.arange(n, dtype=np.int64) for n in truth.shape)
        return rows, cols
    found = []
    for axis in (0, 1):
        start, step = _axis(truth, other, axis)
        origin, cell = _axis(other, truth, axis)
        centers = start + (np.arange(truth.shape[axis]) + 0.5) * step
        index = np.floor((centers - origin) / cell + 1e-9).astype(np.int64)
        index[(index < 0) | (index >= other.shape[axis])] = OUTSIDE
        found.append(index)
    return found[0], found[1]


def resample(values: npt.NDArray[Any], rows: Index, cols: Index, fill: int = 0) -> Any:
    """Pick cells by `nearest_index`; `fill` outside. values (h, w) → (H, W)."""
    if _is_whole(rows, values.shape[0]) and _is_whole(cols, values.shape[1]):
        return values
    picked = values[np.ix_(np.maximum(rows, 0), np.maximum(cols, 0))]
    picked[rows == OUTSIDE] = fill
    picked[:, cols == OUTSIDE] = fill
    return picked


def truth_cell_um(truth: Grid, predicted: Grid) -> float | None:
    """Return the edge of the truth's cells, µm: as it states, or from the slide's size."""
    if truth.cell_um is not None or predicted.extent_um is None:
        return truth.cell_um
    if truth.shape == predicted.shape:
        return predicted.cell_um
    return math.sqrt(math.prod(predicted.extent_um) / math.prod(truth.shape))


def _is_whole(index: Index, size: int) -> bool:
    return len(index) == size and bool((index == np.arange(size)).all())


def _axis(grid: Grid, other: Grid, axis: int) -> tuple[float, float]:
    """Return where the first cell begins and how long a cell is, in what both share.

    That is µm where one of them has a place, else the share of the whole side. Between
    two places pixel centers count, as NGFF has them; a picture covers the slide's
    edges.
    """
    mine, theirs = grid.geometry, other.geometry
    if mine is not None and theirs is not None:
        return mine.translate[axis] - mine.cell_um / 2, mine.cell_um
    if mine is not None:
        return mine.origin[axis] * mine.mpp, mine.cell_um
    whole = other.extent_um[axis] if theirs is not None and other.extent_um is not None else 1.0
    return 0.0, whole / grid.shape[axis]
