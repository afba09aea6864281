"""Scores of the refinement benchmark, slide by slide, and their comparison between methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_fddm.core.necrosis import ClassAreas, compute_rate, find_definition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from napari_fddm.training.regions import RegionSlide

    Labels = npt.NDArray[np.uint8]

TOLERANCE_CELLS = 1.0
RESAMPLES = 2000


def score(probs: npt.NDArray[np.float32], slide: RegionSlide) -> dict[str, Any]:
    """Return confusion counts, boundary hits and rates of one slide, ready for JSON."""
    classes = slide.coarse.classes
    known = slide.truth > 0
    labels = np.where(known, probs.argmax(axis=0) + 1, 0).astype(np.uint8)
    pairs = (slide.truth[known].astype(np.int64) - 1) * classes + labels[known] - 1
    confusion = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    scored: dict[str, Any] = {
        "confusion": confusion.tolist(),
        "boundary": boundary_hits(labels, slide.truth),
    }
    if classes == 7:
        scored["rates"] = [rate(values[known]) for values in (slide.truth, labels)]
    return scored


def boundary_hits(labels: Labels, truth: Labels) -> list[int]:
    """Return found, predicted, recalled and true boundary cells, within one cell of each other."""
    known = ndimage.binary_erosion(truth > 0, np.ones((3, 3)), border_value=1)
    predicted, true = (edges(values) & known for values in (labels, truth))
    return [
        int((predicted & near(true)).sum()),
        int(predicted.sum()),
        int((true & near(predicted)).sum()),
        int(true.sum()),
    ]


def edges(labels: Labels) -> npt.NDArray[np.bool_]:
    """Return cells whose right or lower neighbor is of another class."""
    out = np.zeros(labels.shape, bool)
    out[:-1] |= labels[:-1] != labels[1:]
    out[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return out


def near(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the cells within the tolerance of a mask."""
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask) <= TOLERANCE_CELLS)


def rate(labels: Labels) -> float | None:
    """Return the fddm rate of some cells."""
    return compute_rate(ClassAreas.from_labels(labels[None], 1.0), find_definition("fddm")).rate


def mean_iou(scored: Sequence[dict[str, Any]]) -> float:
    """Return the mean IoU, %, of pooled slides over the classes that truly occur."""
    confusion = np.sum([np.asarray(s["confusion"]) for s in scored], axis=0)
    hits = np.diag(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - hits
    there = confusion.sum(axis=1) > 0
    return 100.0 * float((hits[there] / union[there]).mean())


def boundary_f(scored: Sequence[dict[str, Any]]) -> float:
    """Return the F score, %, of pooled boundaries."""
    found, predicted, recalled, true = np.sum([s["boundary"] for s in scored], axis=0)
    precision, recall = found / max(1, predicted), recalled / max(1, true)
    return 100.0 * float(2 * precision * recall / max(1e-9, precision + recall))


def rate_error(scored: Sequence[dict[str, Any]]) -> float:
    """Return the mean absolute error of the fddm rate, points; NaN without rates."""
    errors = [
        abs(s["rates"][0] - s["rates"][1])
        for s in scored
        if "rates" in s and None not in s["rates"]
    ]
    return 100.0 * float(np.mean(errors)) if errors else float("nan")


def bootstrap_difference(
    ours: dict[str, list[dict[str, Any]]],
    theirs: dict[str, list[dict[str, Any]]],
    statistic: Callable[[Sequence[dict[str, Any]]], float],
    seed: int = 0,
) -> tuple[float, float, float]:
    """Return the difference of a statistic with its 95 % percentile interval over cases.

    Parameters
    ----------
    ours, theirs : dict of str to list
        Case → scores of its slides, the same slides in both.
    statistic : callable
        Of scores.
    seed : int
        Of the resampling.
    """
    cases = sorted(ours)

    def difference(chosen: Sequence[str]) -> float:
        parts = [[s for case in chosen for s in side[case]] for side in (ours, theirs)]
        return statistic(parts[0]) - statistic(parts[1])

    rng = np.random.default_rng(seed)
    draws = [
        difference([cases[i] for i in rng.integers(0, len(cases), len(cases))])
        for _ in range(RESAMPLES)
    ]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return difference(cases), float(low), float(high)


def in_points(interval: tuple[float, float, float]) -> str:
    """Write a difference with its interval, e.g. "+2.1 [+0.5, +4.0]"."""
    middle, low, high = interval
    return f"{middle:+.1f} [{low:+.1f}, {high:+.1f}]"
