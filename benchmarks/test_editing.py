"""A stroke on a large map: counting what the stroke covers against counting the map."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.edits import ShadowCounter
from napari_fddm.core.geometry import Window
from napari_fddm.core.necrosis import ClassAreas, count_labels, necrosis_report

BRUSH = 500
CELL_MM2 = 1.6e-5


def labels_of(side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 8, (side, side)).astype(np.uint8)


def stroke_to_rate(side: int):
    labels = labels_of(side)
    counter = ShadowCounter(labels, 7)
    window = Window(200, 200, BRUSH, BRUSH)
    values = iter(range(10**9))

    def stroke() -> float | None:
        labels[window.slices] = 1 + next(values) % 7
        counter.update(labels, window)
        return necrosis_report(ClassAreas.from_counts(counter.counts, CELL_MM2)).main.rate

    return stroke


@pytest.mark.benchmark(group="stroke of 500 cells to rate")
@pytest.mark.parametrize("side", [1_000, 12_500])
def test_incremental(benchmark, side):
    assert benchmark(stroke_to_rate(side)) is not None


@pytest.mark.benchmark(group="stroke of 500 cells to rate")
def test_reference_full_recount(benchmark):
    labels = labels_of(12_500)
    assert benchmark(lambda: count_labels(labels, 7)).sum() == labels.size
