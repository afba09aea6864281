"""Confusion matrix of two label maps, and the scores that are computed from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_fddm.core.classes import NOT_ANALYZED, OSTEOSARCOMA, ClassTable
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.necrosis import ClassAreas

if TYPE_CHECKING:
    import numpy.typing as npt

    Labels = npt.NDArray[np.uint8]
    Cells = npt.NDArray[np.bool_]
    Counts = npt.NDArray[np.int64]
    Scores = npt.NDArray[np.float64]

MaskMode = Literal["none", "tissue", "annotation"]
BACKGROUND = "BG"
_BLOCK = 1 << 20
"""Cells counted at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """Which cells are evaluated.

    Attributes
    ----------
    mode : str
        "none": cells that both maps have. "tissue": of those the ones on a tissue
        mask. "annotation": everything; background, in both maps, where nothing is
        annotated.
    tissue : array of bool, shape (H, W), or None
        Needed with "tissue", and only then.
    annotation : array of bool, shape (H, W), or None
        What was annotated, for "annotation" only; None: where the truth is neither 0
        nor background, as in the published code.
    """

    mode: MaskMode = "none"
    tissue: Cells | None = None
    annotation: Cells | None = None

    def __post_init__(self) -> None:
        """Refuse masks that the mode does not use."""
        if (self.mode == "tissue") != (self.tissue is not None):
            raise ConfigError('a tissue mask belongs to mask="tissue", and only to it.')
        if self.annotation is not None and self.mode != "annotation":
            raise ConfigError('an annotation mask belongs to mask="annotation", and only to it.')

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Refuse masks that do not cover maps of this shape.

        Raises
        ------
        ConfigError
            If a mask has another shape.
        """
        for given in (self.tissue, self.annotation):
            if given is not None and given.shape != shape:
                raise ConfigError(f"a mask of {given.shape} does not match maps of {shape}.")

    def scored(self, truth: Labels, predicted: Labels, table: ClassTable = OSTEOSARCOMA) -> Cells:
        """Return the cells that are compared, shape (H, W): those that both maps label.

        With "annotation" only those inside: outside, both maps are set to background,
        which has no meaning for borders or probabilities.
        """
        cells = (truth != NOT_ANALYZED) & (predicted != NOT_ANALYZED)
        if self.tissue is not None:
            cells &= self.tissue
        if self.mode == "annotation":
            inside = self.annotation
            cells &= truth != table[BACKGROUND].value if inside is None else inside
        return np.asarray(cells)


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """How often each class was taken for each.

    Attributes
    ----------
    counts : array of int64, shape (n, n)
        Cells by true class (row) and predicted class (column), in the order of
        the table.
    table : ClassTable
        The classes.
    """

    counts: Counts
    table: ClassTable = OSTEOSARCOMA

    def __post_init__(self) -> None:
        """Refuse what is no confusion matrix of these classes."""
        n = len(self.table)
        whole = np.issubdtype(self.counts.dtype, np.integer)
        if self.counts.shape != (n, n) or not whole or (self.counts < 0).any():
            raise ConfigError(
                f"a confusion matrix of {n} classes needs {n} × {n} counts of 0 or more, "
                f"got {self.counts.dtype} of shape {self.counts.shape}."
            )

    @classmethod
    def from_labels(
        cls,
        truth: Labels,
        predicted: Labels,
        *,
        area: Area | None = None,
        table: ClassTable = OSTEOSARCOMA,
    ) -> Confusion:
        """Count two label maps of the same grid.

        Parameters
        ----------
        truth, predicted : array of uint8, shape (H, W)
            Label values; 0 is in no sum, except as the area says.
        area : Area
            The evaluated cells; by default those that both maps have.
        table : ClassTable
            The classes.

        Raises
        ------
        ConfigError
            If shapes differ or a value is no class.
        """
        area = area or Area()
        if truth.shape != predicted.shape:
            raise ConfigError(f"label maps of {truth.shape} and {predicted.shape} do not match.")
        area.check_shape(truth.shape)
        if max(int(truth.max(initial=0)), int(predicted.max(initial=0))) > len(table):
            raise ConfigError(f"a label map holds values beyond the {len(table)} classes.")
        n = len(table) + 1
        square = np.zeros((n, n), np.int64)
        maps = (truth.reshape(-1), predicted.reshape(-1))
        tissue, annotation = (
            None if mask is None else mask.reshape(-1) for mask in (area.tissue, area.annotation)
        )
        for start in range(0, truth.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            rows, columns = (part[block].astype(np.int64) for part in maps)
            if area.mode == "annotation":
                inside = None if annotation is None else annotation[block]
                rows, columns = _as_annotated(rows, columns, inside, table[BACKGROUND].value)
            pairs = rows * n + columns
            if tissue is not None:
                pairs = pairs[tissue[block]]
            square += np.bincount(pairs, minlength=n * n).reshape(n, n)
        return cls(square[NOT_ANALYZED + 1 :, NOT_ANALYZED + 1 :], table)

    def __add__(self, other: Confusion) -> Confusion:
        """Pool two matrices of the same classes."""
        if self.table != other.table:
            raise ConfigError("confusion matrices of different classes cannot be added.")
        return Confusion(self.counts + other.counts, self.table)

    def iou(self) -> Scores:
        """Return TP / (TP + FP + FN) of each class, NaN where that is 0 / 0."""
        return iou_of(self.counts)

    def dice(self) -> Scores:
        """Return 2 TP / (2 TP + FP + FN) of each class, NaN where that is 0 / 0."""
        return dice_of(self.counts)

    def precision(self) -> Scores:
        """Return TP / (TP + FP) of each class, NaN where it was never predicted."""
        return precision_of(self.counts)

    def recall(self) -> Scores:
        """Return TP / (TP + FN) of each class, NaN where it never occurs."""
        return recall_of(self.counts)

    def true_areas(self, cell_mm2: float) -> ClassAreas:
        """Return the true areas of the evaluated cells, for their necrosis rate."""
        return ClassAreas((0, *self.counts.sum(axis=1).tolist()), cell_mm2, self.table)

    def predicted_areas(self, cell_mm2: float) -> ClassAreas:
        """Return the predicted areas of the evaluated cells."""
        return ClassAreas((0, *self.counts.sum(axis=0).tolist()), cell_mm2, self.table)

    def shares(self) -> tuple[Scores, Scores]:
        """Return the true and the predicted share of each class but background.

        Of everything but background, as in the paper's table 3; NaN for background,
        and everywhere in a map that has nothing else.
        """
        back = self.table[BACKGROUND].channel
        shares = []
        for axis in (1, 0):
            cells = self.counts.sum(axis=axis)
            cells[back] = 0
            share = ratio(cells, np.full_like(cells, cells.sum()))
            share[back] = np.nan
            shares.append(share)
        return shares[0], shares[1]

    def share_errors(self) -> Scores:
        """Return |predicted − true| share of each class, see `shares`."""
        true, predicted = self.shares()
        return np.asarray(np.abs(predicted - true))


def iou_of(counts: Counts) -> Scores:
    """Return TP / (TP + FP + FN); counts (…, n, n), scores (…, n), NaN where 0 / 0."""
    hits = _hits(counts)
    return ratio(hits, counts.sum(axis=-2) + counts.sum(axis=-1) - hits)


def dice_of(counts: Counts) -> Scores:
    """Return 2 TP / (2 TP + FP + FN); shapes as in `iou_of`."""
    return ratio(2 * _hits(counts), counts.sum(axis=-2) + counts.sum(axis=-1))


def precision_of(counts: Counts) -> Scores:
    """Return TP / (TP + FP); shapes as in `iou_of`."""
    return ratio(_hits(counts), counts.sum(axis=-2))


def recall_of(counts: Counts) -> Scores:
    """Return TP / (TP + FN); shapes as in `iou_of`."""
    return ratio(_hits(counts), counts.sum(axis=-1))


def ratio(above: Counts, below: Counts) -> Scores:
    """Divide cell by cell, NaN where the denominator is 0."""
    result = np.full(np.shape(above), np.nan)
    np.divide(above, below, out=result, where=np.asarray(below) > 0)
    return result


def _hits(counts: Counts) -> Counts:
    return np.diagonal(counts, axis1=-2, axis2=-1)


def _as_annotated(
    truth: npt.NDArray[np.int64],
    predicted: npt.NDArray[np.int64],
    inside: npt.NDArray[np.bool_] | None,
    background: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    if inside is None:
        inside = (truth != NOT_ANALYZED) & (truth != background)
    return np.where(inside, truth, background), np.where(inside, predicted, background)
