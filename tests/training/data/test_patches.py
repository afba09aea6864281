"""Patches and regions are cut where they should be, with the truth of their place."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.training.data.patches import cell_majority, dominant, tissue_share


def test_the_dominant_class_is_of_the_labeled_pixels_and_ties_go_to_the_lowest():
    labels = np.zeros((10, 10), np.uint8)
    assert dominant(labels, 7) == (0, 0.0)
    labels[0, :3], labels[1, :3] = 5, 4
    assert dominant(labels, 7) == (4, 0.06)
    labels[2, 0] = 5
    assert dominant(labels, 7) == (5, 0.07)


def test_cells_are_majorities_where_half_is_known():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (256, 256)).astype(np.uint8)
    labels[:32, :32] = 0
    labels[:8, :32] = 2
    found = cell_majority(labels, 7)
    for row, col in np.ndindex(8, 8):
        block = labels[32 * row : 32 * row + 32, 32 * col : 32 * col + 32]
        counts = np.bincount(block.ravel(), minlength=8)
        expected = counts[1:].argmax() + 1 if counts[1:].sum() * 2 >= 1024 else 0
        assert found[row, col] == expected
    assert found[0, 0] == 0


def test_tissue_is_what_is_stained():
    image = np.full((10, 10, 3), 240, np.uint8)
    assert tissue_share(image) == 0
    image[:3] = (220, 140, 200)
    assert tissue_share(image) == pytest.approx(0.3)
