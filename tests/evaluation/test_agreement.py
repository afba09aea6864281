"""Agreement: published examples, limits, and a slow reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fddm.core.errors import ConfigError
from napari_fddm.evaluation.agreement import (
    bland_altman,
    grade_table,
    icc_agreement,
    icc_consistency,
    weighted_kappa,
)

SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)
"""Six subjects, four judges: table 2 of Shrout & Fleiss, 1979."""

ratings = st.integers(3, 8).flatmap(
    lambda n: st.lists(st.integers(0, 20), min_size=3 * n, max_size=3 * n).map(
        lambda v: np.array(v, float).reshape(n, 3)
    )
)
grades = st.lists(
    st.tuples(st.sampled_from(["I", "II", "III", "IV"]), st.sampled_from(["I", "II", "III", "IV"])),
    min_size=1,
    max_size=30,
)


def slow_icc(values: np.ndarray) -> tuple[float, float] | None:
    """Both forms from sums of squares, term by term."""
    n, k = values.shape
    mean = values.mean()
    rows = sum(k * (values[i].mean() - mean) ** 2 for i in range(n)) / (n - 1)
    cols = sum(n * (values[:, j].mean() - mean) ** 2 for j in range(k)) / (k - 1)
    rest = sum(
        (values[i, j] - values[i].mean() - values[:, j].mean() + mean) ** 2
        for i in range(n)
        for j in range(k)
    ) / ((n - 1) * (k - 1))
    below = rows + (k - 1) * rest + k * (cols - rest) / n
    if rows + rest < 1e-9 or below < 1e-9:
        return None
    return (rows - rest) / below, (rows - rest) / (rows + (k - 1) * rest)


def test_the_example_of_shrout_and_fleiss():
    agreement, consistency = icc_agreement(SHROUT_FLEISS), icc_consistency(SHROUT_FLEISS)
    assert agreement.value == pytest.approx(0.29, abs=0.005)
    assert consistency.value == pytest.approx(0.71, abs=0.005)
    assert (agreement.low, agreement.high) == pytest.approx((0.02, 0.76), abs=0.005)
    assert (consistency.low, consistency.high) == pytest.approx((0.34, 0.95), abs=0.005)


@given(ratings)
def test_icc_is_that_of_the_sums_of_squares(values: np.ndarray):
    expected = slow_icc(values)
    found = icc_agreement(values), icc_consistency(values)
    if expected is not None:
        assert [f.value for f in found] == pytest.approx(expected, abs=1e-9)
        for f in found:
            if f.low is not None:
                assert f.low <= f.value + 1e-9 <= f.high + 2e-9


@given(ratings, st.floats(0.1, 9), st.floats(-50, 50))
def test_icc_does_not_depend_on_the_scale(values: np.ndarray, factor: float, shift: float):
    if slow_icc(values) is not None:
        assert icc_agreement(values * factor + shift).value == pytest.approx(
            icc_agreement(values).value, abs=1e-6
        )


def test_a_rater_who_is_always_higher_is_consistent_but_does_not_agree():
    base = np.arange(6.0)
    shifted = np.stack([base, base + 3], axis=1)
    assert icc_consistency(shifted).value == pytest.approx(1)
    assert icc_agreement(shifted).value == pytest.approx(3.5 / (3.5 + 4.5))
    assert "constant" in icc_agreement(shifted).reason
    same = np.stack([base, base], axis=1)
    assert icc_agreement(same).value == 1


def test_where_there_is_no_icc_the_reason_is_given():
    assert "do not differ" in icc_agreement(np.ones((4, 2))).reason
    assert "do not differ" in icc_consistency(np.ones((4, 2))).reason
    for few in (np.ones((1, 2)), np.ones((3, 1)), np.ones((0, 2))):
        assert icc_agreement(few).value is None
        assert "2 subjects and 2 raters" in icc_consistency(few).reason
    with pytest.raises(ConfigError, match="finite"):
        icc_agreement(np.array([[1, np.nan], [2, 3]]))


def test_icc_s_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(5)
    subjects, raters, rest = 4.0, 1.0, 1.0
    truth = subjects / (subjects + raters + rest)
    hits = 0
    for _ in range(300):
        values = (
            rng.normal(0, subjects**0.5, (15, 1))
            + rng.normal(0, raters**0.5, (1, 4))
            + rng.normal(0, rest**0.5, (15, 4))
        )
        found = icc_agreement(values, level=0.9)
        hits += found.low <= truth <= found.high
    assert 0.85 <= hits / 300 <= 0.96


def test_bland_altman_by_hand():
    first, second = np.array([1.0, 2, 3, 4]), np.array([2.0, 2, 5, 5])
    found = bland_altman(first, second)
    assert (found.n, found.bias) == (4, 1.0)
    assert found.sd == pytest.approx((2 / 3) ** 0.5)
    assert found.limits == pytest.approx((1 - 1.96 * found.sd, 1 + 1.96 * found.sd))
    t = 3.182446  # of 3 degrees of freedom
    assert found.bias_interval[1] - 1 == pytest.approx(t * found.sd / 2, rel=1e-6)
    assert found.high_interval[1] - found.limits[1] == pytest.approx(
        t * found.sd * (3 / 4) ** 0.5, rel=1e-6
    )
    assert bland_altman(first[:1], second[:1]) is None


@given(grades)
def test_kappa_is_that_of_all_pairs(pairs: list[tuple[str, str]]):
    order = ["I", "II", "III", "IV"]
    one, other = ([order.index(p[k]) for p in pairs] for k in (0, 1))
    table = grade_table(*([p[k] for p in pairs] for k in (0, 1)))
    assert table.sum() == len(pairs)
    observed = np.mean([(a - b) ** 2 for a, b in zip(one, other, strict=True)])
    expected = np.mean([(a - b) ** 2 for a in one for b in other])
    found = weighted_kappa(table)
    if expected == 0:
        assert found.value is None
        assert "same grade" in found.reason
    else:
        assert found.value == pytest.approx(1 - observed / expected)


def test_kappa_agrees_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 4, (2, 60))
    names = np.array(["I", "II", "III", "IV"])
    expected = metrics.cohen_kappa_score(one, other, weights="quadratic", labels=range(4))
    assert weighted_kappa(grade_table(names[one], names[other])).value == pytest.approx(expected)


def test_kappa_of_nobody_is_none():
    found = weighted_kappa(grade_table([], []))
    assert (found.value, found.reason) == (None, "no subject was graded by both")
