"""Where a slide has no pixels: nobody stored them, and white says nothing of tissue there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.slides.base import PyramidSlide

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry
    from napari_fddm.core.protocols import Slide

_PARTS = 4
"""Each cell is looked at in so many parts along a side: a slide's tiles end within cells."""
_MOST_LOST = 0.5
"""A cell of which a larger share has no pixels counts as not stored. Up to 7 of its 16 parts
may be those that the end of a stored tile cuts."""


def cells_not_stored(slide: Slide, geometry: MapGeometry) -> npt.NDArray[np.bool_] | None:
    """Return which cells of a map lie where a slide has no pixels; None if it has them all.

    Parameters
    ----------
    slide : Slide
        Open slide.
    geometry : MapGeometry
        The map; covers the slide from its corner.

    Returns
    -------
    array of bool, shape (H, W), or None
    """
    if not isinstance(slide, PyramidSlide):
        return None
    size = slide.levels[0].shape
    rows, cols = (max(1, round(side / geometry.cell * _PARTS)) for side in size)
    stored = slide.stored_mask((rows, cols))
    if stored is None:
        return None
    lost, parts = ~stored, []
    for axis, cells in enumerate(geometry.shape):
        count = stored.shape[axis]
        centers = (np.arange(count) + 0.5) * size[axis] / count
        index = np.minimum((centers / geometry.cell).astype(int), cells - 1)
        present, starts = np.unique(index, return_index=True)
        sums = np.zeros((*lost.shape[:axis], cells, *lost.shape[axis + 1 :]), np.int32)
        added = np.add.reduceat(lost, starts, axis=axis, dtype=np.int32)
        sums[(slice(None),) * axis + (present,)] = added
        lost = sums
        parts.append(np.bincount(index, minlength=cells))
    return np.asarray(lost > _MOST_LOST * np.outer(*parts))
