"""Boundary F-score: how near the predicted borders of a class lie to the true ones.

A border cell of a class has, among its four neighbors, an evaluated cell of another
class. Precision is the share of predicted border cells within the tolerance of a true
one, recall the reverse, F their harmonic mean. The edges of the map and of
the evaluated area do not count as borders: both maps share them, so they would always match.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.classes import OSTEOSARCOMA, ClassTable
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import Window
from napari_fddm.evaluation.confusion import ratio

if TYPE_CHECKING:
    import numpy.typing as npt

    Labels = npt.NDArray[np.uint8]
    Cells = npt.NDArray[np.bool_]
    Counts = npt.NDArray[np.int64]

TOLERANCE_UM = 32.0
"""One bridge cell: finer than that the automatic labels do not claim to be."""
_BLOCK = 512
"""Cells per side whose distances are taken at once: most blocks lack most classes."""
_TRUE, _TRUE_FOUND, _PREDICTED, _PREDICTED_RIGHT = range(4)


@dataclass(frozen=True, slots=True, eq=False)
class BoundaryCounts:
    """Border cells and how many of them the other map has within the tolerance.

    Attributes
    ----------
    counts : array of int64, shape (n, 4)
        By class: true border cells, those found, predicted ones, those right.
    """

    counts: Counts

    def __add__(self, other: BoundaryCounts) -> BoundaryCounts:
        """Pool two slides."""
        return BoundaryCounts(self.counts + other.counts)

    def f_score(self) -> npt.NDArray[np.float64]:
        """Return F by class, NaN where neither map has a border of the class."""
        return f_score_of(self.counts)


def f_score_of(counts: Counts) -> npt.NDArray[np.float64]:
    """Return F of counts (…, n, 4) as (…, n); 0 where one map alone has borders."""
    recall = ratio(counts[..., _TRUE_FOUND], counts[..., _TRUE])
    precision = ratio(counts[..., _PREDICTED_RIGHT], counts[..., _PREDICTED])
    some = counts[..., _TRUE] + counts[..., _PREDICTED] > 0
    total = np.nan_to_num(recall) + np.nan_to_num(precision)
    product = 2 * np.nan_to_num(recall) * np.nan_to_num(precision)
    f_score = np.zeros_like(total)
    np.divide(product, total, out=f_score, where=total > 0)
    return np.where(some, f_score, np.nan)


def count_boundaries(
    truth: Labels,
    predicted: Labels,
    scored: Cells,
    *,
    cell_um: float,
    tolerance_um: float = TOLERANCE_UM,
    table: ClassTable = OSTEOSARCOMA,
) -> BoundaryCounts:
    """Count border cells of each class and those within the tolerance of the other map's.

    Parameters
    ----------
    truth, predicted : array of uint8, shape (H, W)
        Label values on one grid.
    scored : array of bool, shape (H, W)
        The evaluated cells, see `confusion.Area.scored`.
    cell_um : float
        Edge of a cell, µm.
    tolerance_um : float
        Distance between centers of cells up to which borders agree, µm, at least 0.
    table : ClassTable
        The classes.

    Raises
    ------
    ConfigError
        If a number is impossible.
    """
    if not (math.isfinite(tolerance_um) and tolerance_um >= 0 and cell_um > 0):
        raise ConfigError(
            f"borders cannot be compared within {tolerance_um} µm on cells of {cell_um} µm."
        )
    reach = tolerance_um / cell_um * (1 + 1e-9)
    # Beyond the reach no border matters, so blocks with that much around them are exact.
    halo = math.floor(reach) + 2
    side = max(_BLOCK, 4 * halo)
    whole = Window(0, 0, *truth.shape)
    total = np.zeros((len(table), 4), np.int64)
    for y, x in product(range(0, whole.height, side), range(0, whole.width, side)):
        block = Window(y, x, side, side).clipped(truth.shape)
        around = block.dilated(halo).clipped(truth.shape)
        inside = Window(y - around.y, x - around.x, block.height, block.width).slices
        part = around.slices
        maps = [np.where(scored[part], m[part], 0) for m in (truth, predicted)]
        for value in np.union1d(*maps).tolist():
            if value:
                borders = [_border(m, value) for m in maps]
                total[value - 1] += _matches(borders[0], borders[1], inside, reach)
    return BoundaryCounts(total)


def _border(labels: Labels, value: int) -> Cells:
    """Return the cells of a class that touch an evaluated cell of another one."""
    own = labels == value
    other = ~own & (labels != 0)
    border = np.zeros_like(own)
    border[1:] |= other[:-1]
    border[:-1] |= other[1:]
    border[:, 1:] |= other[:, :-1]
    border[:, :-1] |= other[:, 1:]
    return np.asarray(border & own)


def _matches(true: Cells, predicted: Cells, inside: tuple[slice, slice], reach: float) -> list[int]:
    found = true & _near(predicted, true, reach)
    right = predicted & _near(true, predicted, reach)
    return [int(np.count_nonzero(cells[inside])) for cells in (true, found, predicted, right)]


def _near(border: Cells, asked: Cells, reach: float) -> Cells:
    """Return where a border lies within reach; only where it is asked for."""
    from scipy.ndimage import distance_transform_edt

    if not border.any() or not asked.any():
        return np.zeros_like(border)
    if reach < 1:
        return border
    # Distances are needed around what is asked only.
    around = Window.of_mask(asked).dilated(math.floor(reach) + 1)
    box = around.clipped((asked.shape[0], asked.shape[1])).slices
    near = np.zeros_like(border)
    if border[box].any():
        near[box] = distance_transform_edt(~border[box]) <= reach
    return near
