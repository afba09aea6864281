"""What the bundled model reaches on synthetic slides it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.config import AnalysisConfig
from napari_fddm.core.merging import CellAccumulator
from napari_fddm.core.necrosis import ClassAreas, compute_rate, find_definition
from napari_fddm.core.tiling import CELLS_PER_TILE, RegionGrid
from napari_fddm.pipeline.refine import REGION_BATCH, Refiner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fddm.core.geometry import Window
    from napari_fddm.models.bundle import LoadedModel
    from napari_fddm.training.synthetic_data import SlideMaps

N_CLASSES = 7


def evaluate_maps(
    model: LoadedModel, slides: Sequence[SlideMaps], *, steps: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Compare stage-1 cells and the bridge at several step counts with the truth.

    Returns
    -------
    dict
        method → mean IoU over classes and mean absolute error of the fddm rate, in points.
    """
    results = {"stage 1, cells": _scores([s.source.argmax(axis=0) for s in slides], slides)}
    for count in steps:
        refiner = Refiner(model, AnalysisConfig(steps=count))
        maps = [_refine(refiner, slide).argmax(axis=0) for slide in slides]
        results[f"bridge, {count} steps"] = _scores(maps, slides)
    return results


def _refine(refiner: Refiner, slide: SlideMaps) -> np.ndarray:
    """Refine a whole slide's maps, shape (classes, H, W)."""
    height, width = slide.truth.shape
    grid = RegionGrid((height // CELLS_PER_TILE, width // CELLS_PER_TILE))
    accumulator = CellAccumulator((N_CLASSES, height, width))
    windows = [
        grid.tile_window(row, col).scaled(CELLS_PER_TILE)
        for row in range(grid.shape[0])
        for col in range(grid.shape[1])
    ]
    for start in range(0, len(windows), REGION_BATCH):
        batch = windows[start : start + REGION_BATCH]
        inputs = [_padded(slide, window) for window in batch]
        source, features = (np.stack(column) for column in zip(*inputs, strict=True))
        for window, probs in zip(batch, refiner.refine(source, features, batch), strict=True):
            accumulator.add(probs, window.y, window.x)
    return accumulator.merged().probs


def _padded(slide: SlideMaps, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Return y and O of a region, glass where it hangs over the slide."""
    source = np.zeros((N_CLASSES, window.height, window.width), np.float32)
    source[0] = 1.0
    features = np.zeros((len(slide.features), window.height, window.width), np.float32)
    features[:3] = 1.0
    inside = window.clipped(slide.truth.shape)
    rows, cols = inside.slices
    source[:, : inside.height, : inside.width] = slide.source[:, rows, cols]
    features[:, : inside.height, : inside.width] = slide.features[:, rows, cols]
    return source, features


def _scores(predicted: Sequence[np.ndarray], slides: Sequence[SlideMaps]) -> dict[str, float]:
    confusion = np.zeros((N_CLASSES, N_CLASSES), np.int64)
    errors = []
    for labels, slide in zip(predicted, slides, strict=True):
        pairs = slide.truth.astype(np.int64) * N_CLASSES + labels
        confusion += np.bincount(pairs.ravel(), minlength=N_CLASSES**2).reshape(confusion.shape)
        errors.append(abs(_rate(labels) - _rate(slide.truth)))
    true_positive = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - true_positive
    iou = true_positive[union > 0] / union[union > 0]
    return {
        "mean_iou": round(float(iou.mean()), 4),
        "fddm_rate_error_points": round(100 * float(np.mean(errors)), 2),
    }


def _rate(channels: np.ndarray) -> float:
    areas = ClassAreas.from_labels((channels + 1).astype(np.uint8), 1.0)
    rate = compute_rate(areas, find_definition("fddm")).rate
    return float("nan") if rate is None else rate
