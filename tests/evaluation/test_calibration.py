"""Calibration: by hand, calibrated by construction, and refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import MapGeometry
from napari_fddm.core.maps import ProbabilityMap
from napari_fddm.evaluation import calibration
from napari_fddm.evaluation.calibration import (
    CalibrationSums,
    check_probabilities,
    sum_calibration,
)


def a_map(probs: np.ndarray, coverage: np.ndarray | None = None) -> ProbabilityMap:
    shape = probs.shape[1:]
    covered = np.ones(shape, bool) if coverage is None else coverage
    return ProbabilityMap(probs, covered, MapGeometry(shape, 8.0, 0.5))


def sums_of(probs: np.ndarray, truth: np.ndarray, **options) -> CalibrationSums:
    rows, cols = (np.arange(n) for n in truth.shape)
    scored = options.pop("scored", truth != 0)
    return sum_calibration(a_map(probs, **options), rows, cols, truth, scored)


def test_two_cells_by_hand():
    probs = np.zeros((7, 1, 2), np.float32)
    probs[:2, 0, 0] = 0.75, 0.25
    probs[1:3, 0, 1] = 0.5, 0.5
    found = sums_of(probs, np.array([[1, 3]], np.uint8))
    assert found.total == 2
    assert found.mean_nll() == pytest.approx((-math.log(0.75) - math.log(0.5)) / 2)
    assert found.mean_brier() == pytest.approx((2 * 0.25**2 + 2 * 0.5**2) / 2)
    # 0.75 and right; 0.5, a tie that goes to the lower class and is wrong
    assert found.ece() == pytest.approx((0.25 + 0.5) / 2)
    assert found.clipped == 0


def test_truth_drawn_from_the_probabilities_is_calibrated():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(7, 0.4), (300, 300)).transpose(2, 0, 1)
    below = probs.cumsum(axis=0) < rng.random((300, 300))
    truth = (below.sum(axis=0) + 1).clip(1, 7).astype(np.uint8)
    honest = sums_of(probs, truth)
    assert honest.ece() < 0.01
    assert honest.mean_brier() == pytest.approx(
        float((1 - (probs**2).sum(axis=0)).mean()), rel=0.02
    )
    sharp = probs**4 / (probs**4).sum(axis=0)
    overconfident = sums_of(sharp, truth)
    assert overconfident.ece() > 0.1
    assert overconfident.mean_nll() > honest.mean_nll()
    assert overconfident.mean_brier() > honest.mean_brier()


def test_bands_and_slides_add_up(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(1)
    probs = rng.dirichlet(np.ones(7), (9, 11)).transpose(2, 0, 1)
    truth = rng.integers(0, 8, (9, 11)).astype(np.uint8)
    whole = sums_of(probs, truth)
    monkeypatch.setattr(calibration, "_BAND", 22)
    bands = sums_of(probs, truth)
    halves = sums_of(probs[:, :4], truth[:4]) + sums_of(probs[:, 4:], truth[4:])
    for other in (bands, halves):
        assert (other.cells == whole.cells).all()
        assert other.mean_nll() == pytest.approx(whole.mean_nll())
        assert other.ece() == pytest.approx(whole.ece())


def test_each_cell_of_the_truth_has_the_probabilities_of_the_cell_it_lies_in():
    probs = np.zeros((7, 1, 2), np.float32)
    probs[1, 0, 0] = probs[2, 0, 1] = 1
    truth = np.array([[2, 2, 3, 3, 3], [2, 3, 3, 3, 3]], np.uint8)
    rows, cols = np.array([0, 0]), np.array([0, 0, 1, 1, -1])  # the last column lies outside
    found = sum_calibration(a_map(probs), rows, cols, truth, truth != 0)
    assert found.total == 8
    assert found.hits.sum() == 7
    assert found.clipped == 1


def test_what_is_not_covered_does_not_count():
    probs = np.full((7, 2, 2), np.nan, np.float32)
    probs[:, 0, 0] = 1 / 7
    covered = np.array([[True, False], [False, False]])
    check_probabilities(a_map(probs, covered), "map")
    found = sums_of(probs, np.ones((2, 2), np.uint8), coverage=covered)
    assert found.total == 1
    assert found.mean_nll() == pytest.approx(math.log(7))
    nothing = CalibrationSums.empty()
    assert (nothing.ece(), nothing.mean_brier(), nothing.mean_nll()) == (None, None, None)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -0.5, 0.9])
def test_probabilities_that_are_none_are_refused_with_their_place(wrong: float):
    probs = np.full((7, 5, 6), 1 / 7, np.float16)
    check_probabilities(a_map(probs), "map")
    probs[3, 2, 4] = wrong
    with pytest.raises(StoreError, match=r"of 1 cells are none, first in row 2, column 4"):
        check_probabilities(a_map(probs), "map")
