"""FDDM's blank filter: tiles without any edge are taken for background.

See ``docs/algorithm.md#blank-filter``.

It is off by default. Glass costs the network little time and is one of its classes
anyway; but a tile of pale, homogeneous necrosis has no edges either, and a filter that
takes it for background removes it from the tumor bed unnoticed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    import numpy.typing as npt

MEAN_EDGE = 1.0
"""A tile is blank if its mean absolute Laplacian is at most this (FDDM's inference)."""
LAPLACIAN = np.array([[2, 0, 2], [0, -8, 0], [2, 0, 2]], np.int16)
"""OpenCV's Laplacian of size 3."""
GRAY = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue (ITU-R BT.601, as OpenCV has them)."""


def blank_tiles(pixels_nhwc: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return which tiles have no edges.

    Parameters
    ----------
    pixels_nhwc : array of uint8, shape (n, h, w, 3)

    Returns
    -------
    array of bool, shape (n,)
        Where the mean over the tile of min(255, |Laplacian of gray|) is at most 1.
        Gray is rounded to whole numbers; beyond its border a tile is mirrored.
    """
    gray = np.rint(pixels_nhwc.astype(np.float32) @ GRAY).astype(np.int16)  # (n, h, w)
    edges = ndimage.correlate(gray, LAPLACIAN[None], mode="mirror")  # (n, h, w), ±4080 at most
    mean = np.minimum(np.abs(edges), 255).mean(axis=(1, 2), dtype=np.float64)
    return np.asarray(mean <= MEAN_EDGE)
