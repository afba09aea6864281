"""The bootstrap draws cases, covers what it says, and refuses what it cannot know."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.errors import ConfigError
from napari_fddm.evaluation.intervals import BootstrapSettings, CaseBootstrap, known_mean
from napari_fddm.evaluation.metrics import MetricSettings, weighted_scores

KEEP = np.array([False, True, True])


def test_a_case_is_drawn_whole():
    bootstrap = CaseBootstrap(["a", "b", "a", "c"], BootstrapSettings(resamples=200))
    slides, cases = bootstrap.slide_weights, bootstrap.case_weights
    assert bootstrap.names == ("a", "b", "c")
    assert (slides[:, 0] == slides[:, 2]).all()
    assert (cases.sum(axis=1) == 3).all()
    assert (slides[:, [0, 1, 3]] == cases).all()


def test_the_same_seed_draws_the_same():
    draws = [CaseBootstrap("abcd", BootstrapSettings(seed=seed)).case_weights for seed in (1, 1, 2)]
    assert (draws[0] == draws[1]).all()
    assert (draws[0] != draws[2]).any()


def test_one_case_gives_no_interval_and_says_why():
    bootstrap = CaseBootstrap(["a", "a"], BootstrapSettings())
    assert "there is 1 case" in bootstrap.reason
    assert bootstrap.interval(np.arange(2000.0)) is None
    assert bootstrap.interval_of_mean([0.5]) is None


def test_a_number_that_most_draws_do_not_have_gets_no_interval():
    bootstrap = CaseBootstrap("ab", BootstrapSettings(resamples=100))
    draws = np.arange(100.0)
    assert bootstrap.interval(draws) is not None
    draws[:20] = np.nan
    assert bootstrap.interval(draws) is None
    assert bootstrap.interval_of_mean([0.5, None]) is None  # a quarter draws b twice


def test_the_mean_s_interval_is_that_of_drawn_means():
    values = [0.1, 0.4, None, 0.9, 0.3]
    bootstrap = CaseBootstrap("abcde", BootstrapSettings(resamples=500, level=0.8))
    means = []
    for weights in bootstrap.case_weights:
        drawn = [v for v, w in zip(values, weights, strict=True) for _ in range(w) if v is not None]
        means.append(np.mean(drawn) if drawn else np.nan)
    found = bootstrap.interval_of_mean(values)
    assert (found.low, found.high) == pytest.approx(tuple(np.nanquantile(means, [0.1, 0.9])))
    assert known_mean(values) == pytest.approx(0.425)
    assert known_mean([None]) is None


def test_pooled_draws_equal_pooling_the_drawn_slides():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 9, (4, 3, 3))
    weights = np.array([[2, 0, 1, 1], [1, 1, 1, 1]])
    for settings in (MetricSettings(), MetricSettings("per_slide", "one")):
        scores, means = weighted_scores(counts, weights, "iou", settings, KEEP)
        for row, weight in enumerate(weights):
            drawn = np.repeat(counts, weight, axis=0)
            once = np.ones((1, len(drawn)), np.int64)
            one, mean = weighted_scores(drawn, once, "iou", settings, KEEP)
            np.testing.assert_allclose(scores[row], one[0])
            assert means[row] == pytest.approx(mean[0])


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """30 cases whose accuracies differ: drawing cells instead would cover far less."""
    rng = np.random.default_rng(3)
    cells, trials = 1000, 200
    by_case = by_cell = 0
    for _ in range(trials):
        hits = rng.binomial(cells, rng.beta(8, 2, 30))  # true mean 0.8
        counts = np.zeros((30, 2, 2), np.int64)
        counts[:, 0, 0], counts[:, 0, 1] = hits, cells - hits
        bootstrap = CaseBootstrap([str(i) for i in range(30)], BootstrapSettings(400, 0.9))
        keep = np.array([True, False])
        _, draws = weighted_scores(
            counts, bootstrap.slide_weights, "recall", MetricSettings(), keep
        )
        found = bootstrap.interval(draws)
        by_case += found.low <= 0.8 <= found.high
        share = hits.sum() / (30 * cells)
        by_cell += abs(share - 0.8) <= 1.645 * (share * (1 - share) / (30 * cells)) ** 0.5
    assert 0.83 <= by_case / trials <= 0.95
    assert by_cell / trials < 0.4


@pytest.mark.parametrize("wrong", [{"resamples": 99}, {"level": 1.0}, {"level": 0.0}, {"seed": -1}])
def test_impossible_settings_are_refused(wrong: dict[str, float]):
    with pytest.raises(ConfigError, match="impossible"):
        BootstrapSettings(**wrong)
