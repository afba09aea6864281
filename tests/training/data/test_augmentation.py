"""Augmentation keeps truth with its pixels; sampling is balanced; color is a real baseline."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fddm.training.data.augmentation import HEMATOXYLIN_EOSIN, Augmentation, augment, restain
from napari_fddm.training.data.sampling import Sampler
from napari_fddm.training.stage1.color_baseline import fit_softmax, predict_by_color
from napari_fddm.training.stage1.scores import balanced_accuracy, confusion, scores_by_case

NO_STAIN = Augmentation(stain_scale=0, stain_shift=0)


@pytest.mark.parametrize("seed", range(8))
def test_truth_moves_with_its_pixels(seed):
    truth = torch.from_numpy(np.random.default_rng(1).integers(0, 8, (5, 8, 8)))
    pixels = (30 * truth).to(torch.uint8).repeat_interleave(4, 1).repeat_interleave(4, 2)
    pixels = pixels[..., None].expand(-1, -1, -1, 3)
    moved, cells = augment(pixels, truth, np.random.default_rng(seed), NO_STAIN)
    assert torch.equal(moved[:, ::4, ::4, 0].long(), 30 * cells)
    assert not torch.equal(cells, truth)


def test_all_eight_positions_occur():
    corner = torch.zeros(400, 4, 4)
    corner[:, 0, 1] = 1
    pixels = torch.zeros(400, 4, 4, 3, dtype=torch.uint8)
    _, moved = augment(pixels, corner, np.random.default_rng(0), NO_STAIN)
    assert len({tuple(m.flatten().tolist()) for m in moved}) == 8


def test_without_strength_nothing_changes_and_the_seed_decides():
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8))
    assert torch.equal(restain(pixels, np.random.default_rng(0), NO_STAIN), pixels)
    how = Augmentation()
    first, again, other = (restain(pixels, np.random.default_rng(s), how) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_stain_keeps_its_color_and_changes_its_strength():
    """Pure hematoxylin stays on the line of its densities."""
    stain = HEMATOXYLIN_EOSIN[0] / np.linalg.norm(HEMATOXYLIN_EOSIN[0])
    amounts = np.linspace(0.2, 1.2, 16).reshape(1, 4, 4, 1)
    pixels = np.round(256 * np.exp(-amounts * stain) - 1).astype(np.uint8)
    how = Augmentation(stain_scale=0.25, stain_shift=0.0)
    changed = restain(torch.from_numpy(pixels), np.random.default_rng(5), how).numpy()
    density = -np.log((changed.astype(float) + 1) / 256)
    along = density @ stain
    assert np.abs(density - along[..., None] * stain).max() < 0.02
    ratio = along / amounts[..., 0]
    assert np.ptp(ratio) < 0.03
    assert 0.75 < ratio.mean() < 1.25
    assert abs(ratio.mean() - 1) > 0.02


def test_classes_and_cases_count_alike():
    values = np.array([1] * 90 + [2] * 9 + [3])
    cases = np.array(["a"] * 80 + ["b"] * 10 + ["a"] * 10)
    everything = np.arange(100)
    drawn = Sampler.over(everything, values, cases, balanced=True).draw(
        np.random.default_rng(0), 6000
    )
    assert np.bincount(values[drawn])[1:] == pytest.approx([2000] * 3, rel=0.1)
    first = cases[drawn][values[drawn] == 1]
    assert (first == "a").mean() == pytest.approx(0.5, abs=0.05)
    plain = Sampler.over(everything, values, cases, balanced=False)
    assert (values[plain.draw(np.random.default_rng(0), 6000)] == 1).mean() == pytest.approx(
        0.9, abs=0.02
    )


def test_balanced_accuracy_is_the_mean_recall_of_what_is_there():
    truth, said = np.array([0, 0, 0, 2, 2]), np.array([0, 0, 1, 2, 1])
    matrix = confusion(truth, said, 4)
    assert matrix.sum() == 5
    assert balanced_accuracy(matrix) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert np.isnan(balanced_accuracy(np.zeros((4, 4), np.int64)))
    made = scores_by_case(truth, said, np.array(list("aabbb")), ("w", "x", "y", "z"))
    assert made["cases"]["a"]["recall"] == {"w": 1.0}
    assert made["cases"]["b"]["tiles"] == 3


def test_color_separates_what_color_separates():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300) * 2
    features = rng.normal(size=(300, 6)) + 4 * np.eye(6)[truth]
    said = predict_by_color(features[:200], truth[:200], features[200:])
    assert set(said) <= {0, 2, 4}
    assert (said == truth[200:]).mean() > 0.9


def test_the_baseline_has_no_slope_left():
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(size=(50, 3)), np.ones((50, 1))], axis=1)
    truth = np.arange(50) % 2
    weights = fit_softmax(features, truth, 2)
    logits = features @ weights
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    slope = features.T @ (probs - np.eye(2)[truth]) / 50
    slope[:-1] += 1e-2 * weights[:-1]
    assert np.abs(slope).max() < 1e-4
