"""Scores of predictions: confusion, accuracy, recall and IoU, by class and by case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Values = npt.NDArray[np.integer]


def confusion(truth: Values, predicted: Values, n_classes: int) -> npt.NDArray[np.int64]:
    """Return the confusion matrix of channels, int64 (n, n): rows true, columns predicted."""
    pairs = truth.astype(np.int64) * n_classes + predicted.astype(np.int64)
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def balanced_accuracy(matrix: npt.NDArray[np.int64]) -> float:
    """Return the mean recall over the classes that occur; NaN if none does."""
    occurs = matrix.sum(axis=1) > 0
    if not occurs.any():
        return float("nan")
    return float((np.diag(matrix)[occurs] / matrix.sum(axis=1)[occurs]).mean())


def mean_iou(matrix: npt.NDArray[np.int64]) -> float:
    """Return the mean intersection over union of the classes that occur; NaN if none does."""
    occurs = matrix.sum(axis=1) > 0
    if not occurs.any():
        return float("nan")
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - np.diag(matrix)
    return float((np.diag(matrix)[occurs] / union[occurs]).mean())


def scores_by_case(
    truth: Values, predicted: Values, cases: npt.NDArray[np.str_], classes: Sequence[str]
) -> dict[str, Any]:
    """Return the scores for a model card: of all tiles, and of each case.

    Parameters
    ----------
    truth, predicted : array of int, shape (n,)
        Channels.
    cases : array of str, shape (n,)
        Case of each tile.
    classes : sequence of str
        Abbreviations by channel.
    """
    matrix = confusion(truth, predicted, len(classes))
    return {
        **scores_of(matrix, classes),
        "confusion": matrix.tolist(),
        "cases": {
            str(case): _of_case(truth, predicted, cases == case, classes)
            for case in np.unique(cases)
        },
    }


def _of_case(
    truth: Values, predicted: Values, own: npt.NDArray[np.bool_], classes: Sequence[str]
) -> dict[str, Any]:
    matrix = confusion(truth[own], predicted[own], len(classes))
    return {**scores_of(matrix, classes), "confusion": matrix.tolist()}


def scores_of(matrix: npt.NDArray[np.int64], classes: Sequence[str]) -> dict[str, Any]:
    """Return the number of tiles, the accuracies and the recall of each class that occurs.

    Parameters
    ----------
    matrix : array of int64, shape (n, n)
        Result of `confusion`.
    classes : sequence of str
        Abbreviations by channel.
    """
    totals = matrix.sum(axis=1)
    return {
        "tiles": int(totals.sum()),
        "balanced_accuracy": round(balanced_accuracy(matrix), 4),
        "accuracy": round(float(np.trace(matrix) / max(1, totals.sum())), 4),
        "recall": {
            name: round(float(matrix[i, i] / totals[i]), 4)
            for i, name in enumerate(classes)
            if totals[i]
        },
    }
