"""Scores of predicted label maps, all from one confusion matrix (ALGORITHM C.1 and C.3).

The paper's own way is the preset `FDDM_PAPER`. It flatters: outside the annotation
the prediction is replaced by the truth, background counts as a class, and a class
that occurs nowhere scores 1. The defaults do none of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_fddm.core.classes import NOT_ANALYZED, OSTEOSARCOMA, ClassTable
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.necrosis import ClassAreas

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Labels = npt.NDArray[np.uint8]
    Counts = npt.NDArray[np.int64]
    Scores = npt.NDArray[np.float64]

Mask = Literal["none", "tissue", "annotation"]
BACKGROUND = "BG"
_BLOCK = 1 << 20
"""Cells counted at once."""


@dataclass(frozen=True, slots=True)
class MetricSettings:
    """What is averaged over what.

    Attributes
    ----------
    aggregate : str
        "pooled": one matrix over all slides, each cell counts alike. "per_slide":
        the scores of each slide, averaged, each slide counts alike.
    absent : str
        Score of a class whose denominator is 0: "nan" leaves it out of every
        mean, "one" counts it as perfect.
    include_bg : bool
        Whether background is one of the classes averaged.
    mask : str
        The evaluated area. "none": cells that both maps have. "tissue": of those
        the ones on a tissue mask. "annotation": everything, background wherever
        nothing is annotated, in both maps.
    """

    aggregate: Literal["pooled", "per_slide"] = "pooled"
    absent: Literal["nan", "one"] = "nan"
    include_bg: bool = False
    mask: Mask = "none"


FDDM_PAPER = MetricSettings("per_slide", "one", include_bg=True, mask="annotation")
"""As the published code computes its tables (ALGORITHM C.1)."""


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
        mask: Mask = "none",
        tissue: npt.NDArray[np.bool_] | None = None,
        table: ClassTable = OSTEOSARCOMA,
    ) -> Confusion:
        """Count two label maps of the same grid.

        Parameters
        ----------
        truth, predicted : array of uint8, shape (H, W)
            Label values; 0 is in no sum, except as `mask` says.
        mask : str
            The evaluated area, see `MetricSettings`.
        tissue : array of bool, shape (H, W)
            Needed with ``mask="tissue"``, and only then.
        table : ClassTable
            The classes.

        Raises
        ------
        ConfigError
            If shapes differ, a value is no class, or the tissue is missing.
        """
        if truth.shape != predicted.shape or (tissue is not None and tissue.shape != truth.shape):
            raise ConfigError(f"label maps of {truth.shape} and {predicted.shape} do not match.")
        if (mask == "tissue") != (tissue is not None):
            raise ConfigError('a tissue mask belongs to mask="tissue", and only to it.')
        if max(int(truth.max(initial=0)), int(predicted.max(initial=0))) > len(table):
            raise ConfigError(f"a label map holds values beyond the {len(table)} classes.")
        n = len(table) + 1
        square = np.zeros((n, n), np.int64)
        parts = (truth.reshape(-1), predicted.reshape(-1))
        there = None if tissue is None else tissue.reshape(-1)
        for start in range(0, truth.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            true, said = (part[block].astype(np.int64) for part in parts)
            if mask == "annotation":
                true, said = _as_annotated(true, said, table[BACKGROUND].value)
            pairs = true * n + said
            if there is not None:
                pairs = pairs[there[block]]
            square += np.bincount(pairs, minlength=n * n).reshape(n, n)
        return cls(square[NOT_ANALYZED + 1 :, NOT_ANALYZED + 1 :], table)

    def __add__(self, other: Confusion) -> Confusion:
        """Pool two matrices of the same classes."""
        if self.table != other.table:
            raise ConfigError("confusion matrices of different classes cannot be added.")
        return Confusion(self.counts + other.counts, self.table)

    def iou(self) -> Scores:
        """Return TP / (TP + FP + FN) of each class, NaN where that is 0 / 0."""
        hits = np.diag(self.counts)
        return _ratio(hits, self.counts.sum(axis=0) + self.counts.sum(axis=1) - hits)

    def precision(self) -> Scores:
        """Return TP / (TP + FP) of each class, NaN where it was never predicted."""
        return _ratio(np.diag(self.counts), self.counts.sum(axis=0))

    def recall(self) -> Scores:
        """Return TP / (TP + FN) of each class, NaN where it never occurs."""
        return _ratio(np.diag(self.counts), self.counts.sum(axis=1))

    def true_areas(self, cell_mm2: float) -> ClassAreas:
        """Return the true areas of the evaluated cells, for their necrosis rate."""
        return ClassAreas((0, *self.counts.sum(axis=1).tolist()), cell_mm2, self.table)

    def predicted_areas(self, cell_mm2: float) -> ClassAreas:
        """Return the predicted areas of the evaluated cells."""
        return ClassAreas((0, *self.counts.sum(axis=0).tolist()), cell_mm2, self.table)

    def share_errors(self) -> Scores:
        """Return |predicted − true| share of each class but background, NaN for background.

        Shares are of everything but background, as in the paper's table 3; NaN
        where one of the maps has nothing else.
        """
        back = self.table[BACKGROUND].channel
        shares = []
        for axis in (0, 1):
            cells = self.counts.sum(axis=axis)
            cells[back] = 0
            shares.append(_ratio(cells, np.full_like(cells, cells.sum())))
        errors = np.abs(shares[0] - shares[1])
        errors[back] = np.nan
        return errors


@dataclass(frozen=True, slots=True, eq=False)
class SegmentationScores:
    """Scores by class and their means.

    Attributes
    ----------
    iou, precision, recall : array of float64, shape (n,)
        In the order of the table; NaN where there is nothing to score.
    mean_iou, mean_precision, mean_recall : float
        Over the classes that the settings average.
    settings : MetricSettings
        How they were made: a number is never without it.
    """

    iou: Scores
    precision: Scores
    recall: Scores
    mean_iou: float
    mean_precision: float
    mean_recall: float
    settings: MetricSettings


def score_slides(
    slides: Sequence[Confusion], settings: MetricSettings | None = None
) -> SegmentationScores:
    """Score the confusion matrices of one slide or several.

    Parameters
    ----------
    slides : sequence of Confusion
        One for each slide, counted with the mask that the settings name.
    settings : MetricSettings
        What is averaged over what.

    Raises
    ------
    ConfigError
        If there is no slide or the classes differ.
    """
    settings = settings or MetricSettings()
    if not slides:
        raise ConfigError("there is no slide to score.")
    pooled = slides[0]
    for slide in slides[1:]:
        pooled = pooled + slide
    used = [pooled] if settings.aggregate == "pooled" else slides
    keep = np.array([settings.include_bg or c.short != BACKGROUND for c in pooled.table])
    by_class, means = [], []
    for name in ("iou", "precision", "recall"):
        scores = np.stack([getattr(slide, name)() for slide in used])  # (slides, classes)
        if settings.absent == "one":
            scores = np.where(np.isnan(scores), 1.0, scores)
        by_class.append(_mean_of_known(scores, axis=0))
        slide_means = _mean_of_known(scores[:, keep], axis=1)
        means.append(float(_mean_of_known(slide_means, axis=0)))
    iou, precision, recall = by_class
    return SegmentationScores(iou, precision, recall, means[0], means[1], means[2], settings)


def _as_annotated(
    truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], background: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    outside = (truth == NOT_ANALYZED) | (truth == background)
    return np.where(outside, background, truth), np.where(outside, background, predicted)


def _ratio(above: Counts, below: Counts) -> Scores:
    result = np.full(above.shape, np.nan)
    np.divide(above, below, out=result, where=below > 0)
    return result


def _mean_of_known(values: Scores, axis: int) -> Scores:
    """Average what is not NaN, without numpy's warning where nothing is known."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=axis)
    count = known.sum(axis=axis)
    result = np.full(np.shape(total), np.nan)
    np.divide(total, count, out=result, where=count > 0)
    return result
