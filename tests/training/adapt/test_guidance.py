"""Guidance says how many strokes there are and how many are missing."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.geometry import MapGeometry
from napari_fddm.pipeline.store import Strokes
from napari_fddm.training.adapt.guidance import LEAST_SITES, NotEnoughStrokesError, StrokeCounts
from napari_fddm.training.adapt.samples import painted_samples

CELLS = MapGeometry((64, 64), 64.0, 0.5)  # 32 µm

LABELS = MapGeometry((512, 512), 8.0, 0.5)  # 4 µm: 8 by 8 in a cell


def strokes(*blocks: tuple[int, int, int, int, int]) -> Strokes:
    """Blocks of label cells: row, column, height, width, value."""
    painted = np.zeros(LABELS.shape, np.uint8)
    for row, col, height, width, value in blocks:
        painted[row : row + height, col : col + width] = value
    return Strokes(painted, LABELS)


def spread(count: int, *values: int) -> Strokes:
    places = [(row, col) for row in range(0, 512, 160) for col in range(0, 512, 160)][:count]
    return strokes(*[(r, c, 32, 32, values[i % len(values)]) for i, (r, c) in enumerate(places)])


@pytest.mark.parametrize(
    ("given_strokes", "enough", "words"),
    [
        (
            strokes(),
            False,
            ("0 places", f"{LEAST_SITES} places or more", "without strokes: background"),
        ),
        (
            spread(2, 2, 3),
            False,
            ("2 places: viable tumor 1, necrosis 1", "there are 2", "background, fibrosis"),
        ),
        (spread(8, 2), False, ("8 places: viable tumor 8", "at least 2 classes")),
        (spread(8, 2, 3), True, ("viable tumor 4, necrosis 4", "12 places, spread")),
        (spread(16, 2, 3), True, ("16 places",)),
    ],
)
def test_guidance_says_what_there_is_and_what_is_missing(given_strokes, enough, words):
    counts = StrokeCounts.of(painted_samples(given_strokes, CELLS), OSTEOSARCOMA)
    assert counts.enough is enough
    said = f"{counts.in_words} {counts.advice}"
    assert all(word in said for word in words)
    if enough:
        counts.require_enough()
    else:
        with pytest.raises(NotEnoughStrokesError) as caught:
            counts.require_enough()
        assert caught.value.hint == counts.advice
