"""The gate: which sites are held out, how they are scored, and what passes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.training.adapt.events import Verdict
from napari_fddm.training.adapt.judging import assign_folds, balanced_accuracy
from napari_fddm.training.adapt.samples import Samples
from napari_fddm.training.adapt.unpainted import choose_reference
from tests.support.embedding import painted


def test_folds_never_hold_out_all_sites_of_a_class():
    rng = np.random.default_rng(0)
    samples, _, _ = painted([2, 3, 3, 4, 4, 7, 7, 7], rng)
    folds = assign_folds(samples)
    for value in (3, 4, 7):
        sites = {int(s) for s in samples.cells.site[samples.cells.label == value]}
        assert len({folds[s] for s in sites}) > 1


def test_balanced_accuracy_counts_classes_and_sites_alike():
    samples = Samples(
        np.zeros((7, 2), np.int64), np.array([2, 2, 2, 2, 3, 3, 4]), np.ones(7),
        np.array([1, 1, 1, 2, 3, 3, 4]),
    )  # fmt: skip
    predicted = np.array([2, 2, 2, 7, 3, 7, 7])
    # class 2: site 1 right, site 2 wrong → 1/2; class 3: one site, half right → 1/2
    assert balanced_accuracy(samples, predicted, [2, 3]) == pytest.approx(0.5)
    assert balanced_accuracy(samples, predicted, [2]) == pytest.approx(0.5)
    assert balanced_accuracy(samples, predicted, [5]) is None


@pytest.mark.parametrize(
    ("scores", "accepted"),
    [
        ((0.5, 0.6, 0.5, 0.5), True),
        ((0.5, 0.5, 0.5, 0.6), True),
        ((0.5, 0.5, 0.5, 0.5), False),
        ((0.5, 0.9, 0.5, 0.49), False),
        ((0.5, 0.49, 0.5, 0.9), False),
        ((None, None, 0.5, 0.6), True),
        ((None, None, None, None), False),
    ],
)
def test_the_gate_wants_neither_worse_and_one_better(scores, accepted):
    assert Verdict(*scores, 6, ("VT", "NC")).accepted is accepted


def test_the_verdict_in_words():
    assert Verdict(0.61, 0.84, 0.5, 0.755, 6, ()).in_words == "tiles 61 % → 84 %, cells 50 % → 76 %"


def test_reference_tiles_are_analyzed_unpainted_and_stay_nearly_the_same():
    analyzed = np.ones((20, 20), bool)
    analyzed[:5] = False
    painted = {(7, 7), (8, 8)}
    chosen = choose_reference(analyzed, painted, 50)
    assert len(set(chosen)) == 50
    assert all(analyzed[index] and index not in painted for index in chosen)
    more = choose_reference(analyzed, painted | set(chosen[:5]), 50)
    assert len(set(more) & set(chosen)) == 45
