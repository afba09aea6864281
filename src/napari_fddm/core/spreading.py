"""Spread strokes to cells that look alike: a random walker on the grid of bridge cells.

A random walker (Grady, PAMI 2006) starts in each cell. It prefers steps to neighbors that
look like the cell it is in: in color and texture, and in their stage-1 probabilities. Before
each step it stops with a small probability, which limits its typical distance (the reach). The
probability that a cell takes a painted class is that of its walker arriving at a stroke of
that class; where the walker stops before, the cell keeps its stage-1 probabilities (the priors
of Grady 2005). So a stroke fills the tissue around it that looks the same and has the same
stage-1 class, and ends where either changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg

from napari_fddm.core.classes import BACKGROUND_CHANNEL

if TYPE_CHECKING:
    import numpy.typing as npt

REACH_CELLS = 32.0
"""Typical distance that a walker covers in uniform tissue, in cells: 1 mm.

See ``docs/algorithm.md#spreading-strokes``.
"""
TISSUE_WIDTH = 2.0
"""Tissue differences are measured in this multiple of the median difference of neighbors:
cells that differ by more are hardly connected."""
CLASS_WIDTH = 0.2
"""Hellinger distance of stage-1 probabilities beyond which cells are hardly connected."""
TOLERANCE = 1e-4
"""Relative residual at which the conjugate gradient solver stops."""


def spread_strokes(
    source: npt.NDArray[np.float32],
    tissue: npt.NDArray[np.floating],
    strokes: npt.NDArray[np.uint8],
    analyzed: npt.NDArray[np.bool_],
    reach: float = REACH_CELLS,
) -> npt.NDArray[np.float32]:
    """Return stage-1 probabilities changed to the strokes' classes, on them and around them.

    Parameters
    ----------
    source : array of float32, shape (classes, H, W)
        y, stage-1 probabilities of cells.
    tissue : array, shape (features, H, W)
        O, the tissue features of the cells.
    strokes : array of uint8, shape (H, W)
        Class values, 0 where nobody painted.
    analyzed : array of bool, shape (H, W)
        Cells that a walker can be in.
    reach : float
        Typical distance that a walker covers, cells.

    Returns
    -------
    array of float32, shape (classes, H, W)
        One-hot under strokes; elsewhere still probabilities.
    """
    spread = source.copy()
    seeds = (strokes > 0) & analyzed
    spread[:, seeds] = np.eye(len(source), dtype=np.float32)[strokes[seeds] - 1].T
    if not seeds.any():
        return spread
    place = np.flatnonzero(analyzed)
    weights = _similarity(source, tissue, analyzed)
    # (degree + 1 / reach²) p = W p in free cells; p is 1 under strokes of the class.
    system = sparse.diags_array(weights.sum(axis=1) + reach**-2) - weights
    painted = strokes.ravel()[place]
    free = painted == 0
    if not free.any():
        return spread
    inner = system.tocsr()[free][:, free]
    jacobi = sparse.diags_array(1 / inner.diagonal())
    border = weights[free][:, ~free]
    arrived = np.zeros((len(source), int(free.sum())))
    for value in np.unique(painted[~free]):
        boundary = border @ (painted[~free] == value).astype(np.float64)
        found, _ = cg(inner, boundary, rtol=TOLERANCE, M=jacobi)
        arrived[value - 1] = np.clip(found, 0.0, 1.0)
    stopped = np.clip(1.0 - arrived.sum(axis=0), 0.0, 1.0)
    flat = spread.reshape(len(source), -1)
    touched = arrived.sum(axis=0) > 0  # the others stay as they are, bit for bit
    cells = place[free][touched]
    mixed = arrived[:, touched] + stopped[touched] * flat[:, cells]
    flat[:, cells] = mixed / mixed.sum(axis=0)
    return spread


def _similarity(
    source: npt.NDArray[np.float32],
    tissue: npt.NDArray[np.floating],
    analyzed: npt.NDArray[np.bool_],
) -> sparse.csr_array:
    """Return the similarity of neighboring analyzed cells, 0 to 1, as a symmetric matrix."""
    number = np.full(analyzed.shape, -1)
    number[analyzed] = np.arange(np.count_nonzero(analyzed))
    pairs = [
        (number[:, :-1].ravel(), number[:, 1:].ravel()),
        (number[:-1].ravel(), number[1:].ravel()),
    ]
    one, other = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    both = (one >= 0) & (other >= 0)
    one, other = one[both], other[both]
    features = tissue[:, analyzed].astype(np.float64)
    roots = np.sqrt(source[:, analyzed].astype(np.float64))
    squared = np.square(features[:, one] - features[:, other]).sum(axis=0)
    hellinger = 1.0 - (roots[:, one] * roots[:, other]).sum(axis=0)  # squared
    # Glass is the same everywhere: with it the median would make all tissue look different.
    glass = source[BACKGROUND_CHANNEL, analyzed] > 0.5
    in_tissue = squared[~(glass[one] & glass[other])]
    typical = np.median(in_tissue) if in_tissue.size else 0.0
    similarity = np.exp(
        -squared / max(2 * TISSUE_WIDTH**2 * typical, 1e-12)
        - np.clip(hellinger, 0.0, 1.0) / CLASS_WIDTH**2
    )
    size = int(np.count_nonzero(analyzed))
    ends = (np.concatenate([one, other]), np.concatenate([other, one]))
    return sparse.coo_array(
        (np.concatenate([similarity, similarity]), ends), shape=(size, size)
    ).tocsr()
