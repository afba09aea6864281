"""Region slides whose maps and truth are known by construction."""

from __future__ import annotations

import numpy as np

from napari_fddm.training.regions import RegionSlide
from napari_fddm.training.regions.coarse import CoarseMaps
from napari_fddm.training.regions.files import RegionMeta


def one_hot(index, classes=7):
    """Return (classes, h, w) float16 of a map of class indices."""
    return np.moveaxis(np.eye(classes, dtype=np.float16)[index], 2, 0)


def coded_slide(rng, tiles=(8, 8), *, case="a", name=None, classes=7) -> RegionSlide:
    """Return a slide whose source, features and truth all say the same class in each cell."""
    rows, cols = tiles
    index = rng.integers(0, classes, (rows * 8, cols * 8))
    coarse = CoarseMaps(
        one_hot(rng.integers(0, classes, tiles), classes),
        one_hot(index, classes),
        np.stack([index / 10] * 6).astype(np.float16),
    )
    meta = RegionMeta(slide=name or f"slide-{case}", case=case)
    return RegionSlide(meta, coarse, (index + 1).astype(np.uint8))


def blocky_slide(rng, tiles=(8, 8), *, case="a", noise=0.3) -> RegionSlide:
    """Return a slide of 64-cell blocks with a source that is unsure and sometimes wrong."""
    rows, cols = tiles
    truth = rng.integers(0, 7, (rows, cols)).repeat(8, axis=0).repeat(8, axis=1)
    said = np.where(rng.random(truth.shape) < noise, rng.integers(0, 7, truth.shape), truth)
    cells = 0.7 * one_hot(said).astype(np.float32) + 0.3 / 7
    coarse = CoarseMaps(
        cells.reshape(7, rows, 8, cols, 8).mean(axis=(2, 4)).astype(np.float16),
        cells.astype(np.float16),
        np.stack([truth / 10] * 6).astype(np.float16),
    )
    return RegionSlide(
        RegionMeta(slide=f"blocky-{case}", case=case), coarse, (truth + 1).astype(np.uint8)
    )
