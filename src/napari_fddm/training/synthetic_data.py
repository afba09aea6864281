"""Synthetic slides to learn from, and the class of most of a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.slides.synthetic.slide import SyntheticSlide

if TYPE_CHECKING:
    import numpy.typing as npt

SLIDE_PX = 8192
SLIDE_MPP = 0.5
TRUTH_PER_CELL = 8
"""Truth samples along the edge of a cell, for its majority class."""
N_CLASSES = 7


def training_slide(seed: int) -> SyntheticSlide:
    """Return one of the endless synthetic training slides, 4.1 mm wide."""
    return SyntheticSlide(SLIDE_PX, SLIDE_PX, mpp=SLIDE_MPP, seed=seed)


def block_majority(channels: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    """Return the majority of each ``factor`` by ``factor`` block of (H, W)."""
    h, w = (n // factor for n in channels.shape)
    blocks = channels.reshape(h, factor, w, factor).transpose(0, 2, 1, 3)
    return majority(blocks.reshape(h, w, -1), axis=2).astype(np.uint8)


def majority(channels: npt.NDArray[np.uint8], axis: int) -> npt.NDArray[np.int64]:
    """Return the most frequent channel along an axis; ties go to the lowest."""
    counts = np.stack([(channels == c).sum(axis=axis) for c in range(N_CLASSES)], axis=-1)
    return np.asarray(counts.argmax(axis=-1), np.int64)
