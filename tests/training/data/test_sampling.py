"""Batches: every class alike, and within a class every case alike."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.training.data.sampling import Sampler

# Class 1 has 90 samples of case a and 10 of b, class 2 has 5 of a; the last ten are held out.
VALUES = np.array([1] * 100 + [2] * 5 + [2] * 10)
CASES = np.array(["a"] * 90 + ["b"] * 10 + ["a"] * 15)
TRAINING = np.arange(105)


def shares(balanced: bool) -> tuple[float, float]:
    """Of class 2, and of case b among class 1."""
    sampler = Sampler.over(TRAINING, VALUES, CASES, balanced=balanced)
    drawn = sampler.draw(np.random.default_rng(0), 4000)
    assert drawn.max() < 105
    values, cases = VALUES[drawn], CASES[drawn]
    return (values == 2).mean(), (cases[values == 1] == "b").mean()


def test_balanced_batches_hold_classes_and_cases_alike():
    assert shares(balanced=True) == pytest.approx((0.5, 0.5), abs=0.04)


def test_without_balancing_every_sample_counts_alike():
    assert shares(balanced=False) == pytest.approx((5 / 105, 0.1), abs=0.02)


def test_the_same_seed_draws_the_same():
    sampler = Sampler.over(TRAINING, VALUES, CASES, balanced=True)
    one, same = (sampler.draw(np.random.default_rng(3), 50) for _ in range(2))
    assert np.array_equal(one, same)
