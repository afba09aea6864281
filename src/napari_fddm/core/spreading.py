"""Corrections spread to where tissue and classes look alike, on the grid of bridge cells.

A random walker (Grady, PAMI 2006) starts in each cell and steps to a neighbor the more
readily the more the two look alike: in color and texture, and in what stage 1 says of
them. Before each step it may give up, so that it comes about a given way far. A cell takes
a painted class with the probability that its walker gets to a stroke of that class; if it
gives up, the cell keeps what stage 1 says (Grady 2005's priors). So a stroke fills tissue
that looks like its own and that stage 1 took for the same, and ends at a border of either.
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
"""How far a walker comes through uniform tissue, in cells: 1 mm.

See ``docs/algorithm.md#spreading-strokes``.
"""
TISSUE_WIDTH = 2.0
"""Difference of tissue, as a multiple of the usual one between neighbors, beyond which two
cells no longer look alike."""
CLASS_WIDTH = 0.2
"""Hellinger distance of stage-1 probabilities beyond which two cells are of other classes."""
TOLERANCE = 1e-4


def spread_strokes(
    source: npt.NDArray[np.float32],
    tissue: npt.NDArray[np.floating],
    strokes: npt.NDArray[np.uint8],
    analyzed: npt.NDArray[np.bool_],
    reach: float = REACH_CELLS,
) -> npt.NDArray[np.float32]:
    """Return stage-1 probabilities that agree with strokes, and around them where it fits.

    Parameters
    ----------
    source : array of float32, shape (classes, H, W)
        y, stage-1 probabilities of cells.
    tissue : array, shape (features, H, W)
        O, what the cells look like.
    strokes : array of uint8, shape (H, W)
        Class values, 0 where nobody painted.
    analyzed : array of bool, shape (H, W)
        Cells that a walker can be in.
    reach : float
        Cells that a walker comes far, about.

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
    weights = _likeness(source, tissue, analyzed)
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
        pull = border @ (painted[~free] == value).astype(np.float64)
        found, _ = cg(inner, pull, rtol=TOLERANCE, M=jacobi)
        arrived[value - 1] = np.clip(found, 0.0, 1.0)
    gave_up = np.clip(1.0 - arrived.sum(axis=0), 0.0, 1.0)
    flat = spread.reshape(len(source), -1)
    touched = arrived.sum(axis=0) > 0  # the others stay as they are, bit for bit
    cells = place[free][touched]
    mixed = arrived[:, touched] + gave_up[touched] * flat[:, cells]
    flat[:, cells] = mixed / mixed.sum(axis=0)
    return spread


def _likeness(
    source: npt.NDArray[np.float32],
    tissue: npt.NDArray[np.floating],
    analyzed: npt.NDArray[np.bool_],
) -> sparse.csr_array:
    """Return how alike analyzed neighbors are, 0 to 1, as a symmetric matrix of their order."""
    number = np.full(analyzed.shape, -1)
    number[analyzed] = np.arange(np.count_nonzero(analyzed))
    pairs = [
        (number[:, :-1].ravel(), number[:, 1:].ravel()),
        (number[:-1].ravel(), number[1:].ravel()),
    ]
    one, other = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    both = (one >= 0) & (other >= 0)
    one, other = one[both], other[both]
    looks = tissue[:, analyzed].astype(np.float64)
    says = np.sqrt(source[:, analyzed].astype(np.float64))
    squared = np.square(looks[:, one] - looks[:, other]).sum(axis=0)
    hellinger = 1.0 - (says[:, one] * says[:, other]).sum(axis=0)  # squared
    # Glass is alike everywhere and would make all tissue look different.
    glass = source[BACKGROUND_CHANNEL, analyzed] > 0.5
    in_tissue = squared[~(glass[one] & glass[other])]
    usual = np.median(in_tissue) if in_tissue.size else 0.0
    alike = np.exp(
        -squared / max(2 * TISSUE_WIDTH**2 * usual, 1e-12)
        - np.clip(hellinger, 0.0, 1.0) / CLASS_WIDTH**2
    )
    size = int(np.count_nonzero(analyzed))
    ends = (np.concatenate([one, other]), np.concatenate([other, one]))
    return sparse.coo_array((np.concatenate([alike, alike]), ends), shape=(size, size)).tocsr()
