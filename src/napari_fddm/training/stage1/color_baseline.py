"""A baseline from color alone, which is measured beside every trained model.

If patients and classes are confounded, the stain of a slide predicts its class. A network
that is not better than six color statistics may have learned the scanner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.training.data import Dataset

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
    """Predict channels from color, by logistic regression with balanced classes.

    Parameters
    ----------
    train : array, shape (n, f)
        Features of the training samples.
    truth : array of int, shape (n,)
        Their channels.
    other : array, shape (m, f)
        Features of the samples to predict.
    """
    mean, std = train.mean(axis=0), np.maximum(train.std(axis=0), 1e-6)
    present, own = np.unique(truth, return_inverse=True)
    weights = fit_softmax(_with_constant((train - mean) / std), own, len(present))
    return np.asarray(
        present[(_with_constant((other - mean) / std) @ weights).argmax(axis=1)], np.int64
    )


def fit_softmax(features: Floats, truth: npt.NDArray[np.integer], classes: int) -> Floats:
    """Fit multinomial logistic regression with balanced classes and a small ridge.

    Parameters
    ----------
    features : array, shape (n, f)
        The last column is the constant, which is not penalized.
    truth : array of int, shape (n,)
        Channels from 0 to ``classes`` - 1, each of which occurs.
    classes : int
        Number of classes.

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


def _with_constant(features: Floats) -> Floats:
    return np.concatenate([features, np.ones((len(features), 1))], axis=1)
