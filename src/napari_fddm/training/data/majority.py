"""The most frequent label in each block of a label map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.tiling import CELL_PX, CELLS_PER_TILE

if TYPE_CHECKING:
    import numpy.typing as npt

    Labels = npt.NDArray[np.uint8]


def cell_majority(labels: Labels, n_classes: int) -> Labels:
    """Return the most frequent label value of each bridge cell, 0 where most is unknown.

    Parameters
    ----------
    labels : array of uint8, shape (H, W)
        Label values at the analysis resolution, 0 unknown.
    n_classes : int
        Highest label value.

    Returns
    -------
    array of uint8, shape (H // 32, W // 32)
        A cell has a value if at least half of it is labeled; ties go to the lowest value.
    """
    return _block_majority(labels, CELL_PX, n_classes, least_labeled=CELL_PX**2 // 2)


def tile_majority(cells: Labels, n_classes: int) -> Labels:
    """Return the most frequent label value among the cells of each tile, 0 if none has one.

    Parameters
    ----------
    cells : array of uint8, shape (8 R, 8 C)
        Label values of bridge cells, 0 unknown.
    n_classes : int
        Highest label value.

    Returns
    -------
    array of uint8, shape (R, C)
    """
    return _block_majority(cells, CELLS_PER_TILE, n_classes, least_labeled=1)


def _block_majority(labels: Labels, edge: int, n_classes: int, *, least_labeled: int) -> Labels:
    height, width = (n // edge for n in labels.shape)
    blocks = labels[: height * edge, : width * edge].reshape(height, edge, width, edge)
    counts = np.stack([(blocks == v).sum(axis=(1, 3)) for v in range(1, n_classes + 1)], axis=-1)
    known = counts.sum(axis=-1) >= least_labeled
    return np.where(known, counts.argmax(axis=-1) + 1, 0).astype(np.uint8)
