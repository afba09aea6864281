"""A small picture of a whole slide, for orientation only."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import SlideError
from napari_fddm.core.resample import area_average

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_fddm.core.protocols import RgbImage, Slide

MOST_PIXELS = 1 << 25
"""A coarsest level beyond this (100 MB) is not read for an overview."""
UNREADABLE = 160
"""Gray value of parts that cannot be decoded."""


def read_overview(
    slide: Slide, longest: int, stop: Callable[[], bool] = lambda: False
) -> RgbImage | None:
    """Read a slide's coarsest level at a given size; damaged parts are gray.

    Parameters
    ----------
    slide : Slide
        An open slide.
    longest : int
        Longer side of the answer, px.
    stop : callable
        Called between chunks; reading is given up when it returns True.

    Returns
    -------
    array of uint8, shape (h, w, 3), or None
        None if reading was given up, or if the file has no level that is coarse enough.
    """
    height, width = slide.levels[-1].shape
    if height * width > MOST_PIXELS:
        return None
    level = slide.as_dask()[-1]
    whole = np.full((height, width, 3), UNREADABLE, np.uint8)
    edges = [0, *np.cumsum(level.chunks[0]).tolist()]
    for top, bottom in pairwise(edges):
        if stop():
            return None
        try:
            whole[top:bottom] = level[top:bottom].compute(scheduler="synchronous")
        except SlideError:
            continue  # it stays gray; reading the place itself raises the error
    downsample = max(1.0, max(height, width) / longest)
    shape = max(1, round(height / downsample)), max(1, round(width / downsample))
    return area_average(whole, (0, 0, height, width), shape)
