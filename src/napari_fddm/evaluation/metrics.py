"""Scores of predicted label maps and their means (``docs/algorithm.md#scores``).

The paper's own way is the preset `FDDM_PAPER`. It gives higher scores: outside the annotation
the prediction is replaced by the truth, background counts as a class, and a class
that occurs nowhere scores 1. The defaults do none of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_fddm.core.errors import ConfigError
from napari_fddm.evaluation.confusion import (
    BACKGROUND,
    MaskMode,
    dice_of,
    iou_of,
    precision_of,
    recall_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_fddm.evaluation.confusion import Confusion

    Counts = npt.NDArray[np.int64]
    Scores = npt.NDArray[np.float64]

SCORES = {"iou": iou_of, "dice": dice_of, "precision": precision_of, "recall": recall_of}
"""Name → function of matrices (…, n, n) that gives (…, n)."""


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
        The evaluated area, see `confusion.Area`.
    """

    aggregate: Literal["pooled", "per_slide"] = "pooled"
    absent: Literal["nan", "one"] = "nan"
    include_bg: bool = False
    mask: MaskMode = "none"


DEFAULT = MetricSettings()
FDDM_PAPER = MetricSettings("per_slide", "one", include_bg=True, mask="annotation")
"""As the published code computes its tables (``docs/algorithm.md#scores``)."""
PRESETS = {"default": DEFAULT, "fddm_paper": FDDM_PAPER}


@dataclass(frozen=True, slots=True, eq=False)
class SegmentationScores:
    """Scores by class and their means.

    Attributes
    ----------
    iou, dice, precision, recall : array of float64, shape (n,)
        In the order of the table; NaN where there is nothing to score.
    mean_iou, mean_dice, mean_precision, mean_recall : float
        Over the classes that the settings average.
    settings : MetricSettings
        How they were computed.
    """

    iou: Scores
    dice: Scores
    precision: Scores
    recall: Scores
    mean_iou: float
    mean_dice: float
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
    settings = settings or DEFAULT
    counts = stacked(slides)
    keep = averaged_classes(slides[0], settings)
    once = np.ones((1, len(slides)), np.int64)
    found = {name: weighted_scores(counts, once, name, settings, keep) for name in SCORES}
    by_class = [scores[0] for scores, _ in found.values()]
    means = [float(mean[0]) for _, mean in found.values()]
    iou, dice, precision, recall = by_class
    return SegmentationScores(
        iou, dice, precision, recall, means[0], means[1], means[2], means[3], settings
    )


def stacked(slides: Sequence[Confusion]) -> Counts:
    """Return the matrices of slides, shape (slides, n, n).

    Raises
    ------
    ConfigError
        If there is no slide or the classes differ.
    """
    if not slides:
        raise ConfigError("there is no slide to score.")
    if any(slide.table != slides[0].table for slide in slides):
        raise ConfigError("confusion matrices of different classes cannot be pooled.")
    return np.stack([slide.counts for slide in slides])


def averaged_classes(slide: Confusion, settings: MetricSettings) -> npt.NDArray[np.bool_]:
    """Return which classes the means are over, shape (n,)."""
    return np.array([settings.include_bg or c.short != BACKGROUND for c in slide.table])


def weighted_scores(
    counts: Counts,
    weights: npt.NDArray[np.int64],
    name: str,
    settings: MetricSettings,
    keep: npt.NDArray[np.bool_],
) -> tuple[Scores, Scores]:
    """Score slides that count several times or not at all, once for each row of weights.

    Parameters
    ----------
    counts : array of int64, shape (slides, n, n)
        A matrix for each slide.
    weights : array of int64, shape (rows, slides)
        How often each slide counts.
    name : str
        One of `SCORES`.
    settings : MetricSettings
        What is averaged over what.
    keep : array of bool, shape (n,)
        The classes that the mean is over.

    Returns
    -------
    tuple of array of float64, shapes (rows, n) and (rows,)
        By class and their mean.
    """
    rows, n = len(weights), counts.shape[-1]
    if settings.aggregate == "pooled":
        pooled = (weights @ counts.reshape(len(counts), -1)).reshape(rows, n, n)
        scores = _filled(SCORES[name](pooled), settings)
        return scores, mean_of_known(scores[:, keep], axis=1)
    scores = _filled(SCORES[name](counts), settings)  # (slides, n)
    means = mean_of_known(scores[:, keep], axis=1)[:, None]
    return _weighted_mean(scores, weights), _weighted_mean(means, weights)[:, 0]


def mean_of_known(values: Scores, axis: int) -> Scores:
    """Average what is not NaN, without numpy's warning where nothing is known."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=axis)
    count = known.sum(axis=axis)
    result = np.full(np.shape(total), np.nan)
    np.divide(total, count, out=result, where=count > 0)
    return result


def _filled(scores: Scores, settings: MetricSettings) -> Scores:
    return np.where(np.isnan(scores), 1.0, scores) if settings.absent == "one" else scores


def _weighted_mean(values: Scores, weights: npt.NDArray[np.int64]) -> Scores:
    """Average over slides, NaN left out: values (slides, k), weights (rows, slides)."""
    known = ~np.isnan(values)
    total = weights @ np.where(known, values, 0.0)
    count = weights @ known.astype(np.int64)
    result = np.full(total.shape, np.nan)
    np.divide(total, count, out=result, where=count > 0)
    return result
