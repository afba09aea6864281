"""What color alone tells: the control that stands beside every trained model.

Where patients and classes go together, the stain of a slide gives its class away. A
network that is not better than six numbers of color has learned the scanner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.training.data.datasets import Dataset

    Floats = npt.NDArray[np.float64]

RIDGE = 1e-2
_BATCH = 64


def color_features(dataset: Dataset, indices: npt.NDArray[np.int64]) -> Floats:
    """Return mean and standard deviation of red, green and blue, shape (n, 6)."""
    rows = []
    for start in range(0, len(indices), _BATCH):
        pixels = dataset.read(indices[start : start + _BATCH]).astype(np.float32)
        rows.append(np.concatenate([pixels.mean(axis=(1, 2)), pixels.std(axis=(1, 2))], axis=1))
    return np.concatenate(rows).astype(np.float64) if rows else np.zeros((0, 6))


def predict_by_color(
    train: Floats, truth: npt.NDArray[np.integer], other: Floats
) -> npt.NDArray[np.int64]:
    """Return the channels that color says, by logistic regression with balanced classes.

    Parameters
    ----------
    train : array, shape (n, f)
        Features of the training samples.
    truth : array of int, shape (n,)
        Their channels.
    other : array, shape (m, f)
        Features of the samples to judge.
    """
    mean, std = train.mean(axis=0), np.maximum(train.std(axis=0), 1e-6)
    present, own = np.unique(truth, return_inverse=True)
    weights = fit_softmax(_with_one((train - mean) / std), own, len(present))
    return np.asarray(present[(_with_one((other - mean) / std) @ weights).argmax(axis=1)], np.int64)


def fit_softmax(features: Floats, truth: npt.NDArray[np.integer], classes: int) -> Floats:
    """Fit multinomial logistic regression with balanced classes and a small ridge.

    Parameters
    ----------
    features : array, shape (n, f)
        The last column is the constant, which has no ridge.
    truth : array of int, shape (n,)
        Channels below ``classes``, each of which occurs.
    classes : int
        How many.

    Returns
    -------
    array, shape (f, classes)
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    counts = np.bincount(truth, minlength=classes)
    sample = 1.0 / (classes * counts[truth])  # adds up to 1
    hot = np.eye(classes)[truth]

    def objective(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(-1, classes)
        logp = log_softmax(features @ weights, axis=1)
        ridge = weights.copy()
        ridge[-1] = 0.0
        loss = -(sample[:, None] * hot * logp).sum() + 0.5 * RIDGE * (ridge**2).sum()
        slope = features.T @ (sample[:, None] * (np.exp(logp) - hot)) + RIDGE * ridge
        return float(loss), slope.ravel()

    start = np.zeros(features.shape[1] * classes)
    found = minimize(objective, start, jac=True, method="L-BFGS-B")
    return np.asarray(found.x, np.float64).reshape(-1, classes)


def _with_one(features: Floats) -> Floats:
    return np.concatenate([features, np.ones((len(features), 1))], axis=1)
