"""Measures a refiner on region datasets, beside methods that need no training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.config import AnalysisConfig
from napari_fddm.core.necrosis import ClassAreas, compute_rate, find_definition
from napari_fddm.training.stage2.rivals import bilinear, find_method, tile_map, token_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_fddm.pipeline.stage2.refiner import HasRefiner
    from napari_fddm.training.regions import RegionSlide
    from napari_fddm.training.stage2.rivals import Method


def evaluate_refiner(
    model: HasRefiner, slides: Sequence[RegionSlide], *, steps: Sequence[int]
) -> dict[str, dict[str, float | None]]:
    """Compare the refined token map, and simple alternatives, with the truth.

    Parameters
    ----------
    model : HasRefiner
        A model with a refiner.
    slides : sequence of RegionSlide
        Slides that were not used in training.
    steps : sequence of int
        Numbers of bridge steps to try.

    Returns
    -------
    dict
        By method: mean IoU over the classes that occur, background included, and, for the
        osteosarcoma classes, the mean absolute error of the fddm rate in percentage points.
    """
    methods: dict[str, Method] = {
        "tiles": tile_map,
        "tiles, bilinear": bilinear,
        "token map": token_map,
    }
    for count in steps:
        config = AnalysisConfig(steps=count)
        methods[f"refined, {count} steps"] = find_method("bridge", model, config)
    return {name: _scores(method, slides) for name, method in methods.items()}


def _scores(method: Method, slides: Sequence[RegionSlide]) -> dict[str, float | None]:
    classes = slides[0].coarse.classes
    confusion = np.zeros((classes, classes), np.int64)
    errors = []
    for slide in slides:
        known = slide.truth > 0
        labels = (method(slide.coarse).argmax(axis=0) + 1).astype(np.uint8)
        pairs = (slide.truth[known].astype(np.int64) - 1) * classes + labels[known] - 1
        confusion += np.bincount(pairs, minlength=classes**2).reshape(confusion.shape)
        if classes == len(OSTEOSARCOMA):
            rate, true_rate = _rate(labels[known]), _rate(slide.truth[known])
            if rate is not None and true_rate is not None:
                errors.append(abs(rate - true_rate))
    hits = np.diag(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - hits
    iou = hits[union > 0] / union[union > 0]
    return {
        "mean_iou": round(float(iou.mean()), 4),
        "fddm_rate_error_points": round(100 * float(np.mean(errors)), 2) if errors else None,
    }


def _rate(labels: npt.NDArray[np.uint8]) -> float | None:
    return compute_rate(ClassAreas.from_labels(labels[None], 1.0), find_definition("fddm")).rate
