"""The bridge as a stochastic process: properties P2–P7 and P13 of its mathematics."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from napari_fddm.core.errors import ConfigError
from napari_fddm.diffusion.process import (
    bbdm_mixing,
    bridge_posterior,
    bridge_transition,
    bridge_variance,
    exact_mixing,
    noise_factors,
)

ATOL = 1e-10
unit = st.floats(0.0, 1.0)
inner = st.floats(0.01, 0.99)
variances = st.floats(0.05, 4.0)
values = st.floats(-2.0, 2.0)
etas = st.sampled_from([0.0, 0.3, 0.8, 1.0])


@st.composite
def ordered_ms(draw: st.DrawFn, count: int) -> list[float]:
    ms = sorted(draw(st.lists(inner, min_size=count, max_size=count, unique=True)))
    assume(all(b - a > 1e-3 for a, b in pairwise(ms)))
    return ms


def log_density(x: float, mean: float, variance: float) -> float:
    return -0.5 * ((x - mean) ** 2 / variance + math.log(2 * math.pi * variance))


def test_exact_mixing_is_pinned_at_both_ends() -> None:
    mixing = exact_mixing(1000)
    assert mixing.size == 1001
    assert (mixing[0], mixing[250], mixing[-1]) == (0.0, 0.25, 1.0)


def test_bbdm_mixing_is_pinned_at_neither_end() -> None:
    mixing = bbdm_mixing(1000)
    assert mixing.size == 1000
    np.testing.assert_allclose(
        [bridge_variance(m, 0.5) for m in (mixing[0], mixing[-1])], 9.99e-4, atol=1e-12
    )


@settings(deadline=None)
@given(unit, variances)
def test_p02_variance_is_symmetric_bounded_and_linear_in_s(m: float, s: float) -> None:
    d = bridge_variance(m, s)
    assert 0.0 <= d <= s / 2 + ATOL
    assert d == pytest.approx(bridge_variance(1.0 - m, s), abs=ATOL)
    assert bridge_variance(m, 3.0 * s) == pytest.approx(3.0 * d, abs=ATOL)


def test_p02_the_largest_variance_is_half_of_s() -> None:
    assert bridge_variance(0.5, 0.5) == 0.25


@settings(deadline=None)
@given(ordered_ms(3), variances)
def test_p03_transitions_compose(ms: list[float], s: float) -> None:
    m_n, m_k, m_t = ms
    r_kn, d_kn = bridge_transition(m_k, m_n, s)
    r_tk, d_tk = bridge_transition(m_t, m_k, s)
    r_tn, d_tn = bridge_transition(m_t, m_n, s)
    assert min(d_kn, d_tk, d_tn) >= 0.0
    assert r_tk * r_kn == pytest.approx(r_tn, abs=ATOL)
    assert d_tk + r_tk**2 * d_kn == pytest.approx(d_tn, abs=ATOL)
    shift_kn, shift_tk = m_k - r_kn * m_n, m_t - r_tk * m_k
    assert r_tk * shift_kn + shift_tk == pytest.approx(m_t - r_tn * m_n, abs=ATOL)


@settings(deadline=None)
@given(ordered_ms(2), variances)
def test_p03_the_transition_carries_the_marginal(ms: list[float], s: float) -> None:
    m_n, m_t = ms
    r, added = bridge_transition(m_t, m_n, s)
    assert r**2 * bridge_variance(m_n, s) + added == pytest.approx(bridge_variance(m_t, s))


@settings(deadline=None)
@given(ordered_ms(2), variances, values, values, values, values)
def test_p04_bayes_identity(
    ms: list[float], s: float, x0: float, y: float, z_n: float, z_t: float
) -> None:
    m_n, m_t = ms
    d_n, d_t = bridge_variance(m_n, s), bridge_variance(m_t, s)
    mean_n, mean_t = (1 - m_n) * x0 + m_n * y, (1 - m_t) * x0 + m_t * y
    # Points within reach of both marginals, so that no density is astronomically small.
    x_n, x_t = mean_n + math.sqrt(d_n) * z_n, mean_t + math.sqrt(d_t) * z_t
    r, d_tn = bridge_transition(m_t, m_n, s)
    post = bridge_posterior(m_t, m_n, s)
    post_mean = post.c_xt * x_t + post.c_yt * y - post.c_et * (x_t - x0)
    forward = log_density(x_n, mean_n, d_n)
    forward += log_density(x_t, r * x_n + (m_t - r * m_n) * y, d_tn)
    backward = log_density(x_t, mean_t, d_t) + log_density(x_n, post_mean, post.variance)
    assert forward == pytest.approx(backward, rel=1e-9, abs=1e-8)


@settings(deadline=None)
@given(ordered_ms(2), variances)
def test_p05_factors_equal_their_closed_forms(ms: list[float], s: float) -> None:
    m_n, m_t = ms
    post = bridge_posterior(m_t, m_n, s)
    expected = (1.0, 0.0, 1.0 - m_n / m_t, 2.0 * s * m_n * (m_t - m_n) / m_t)
    np.testing.assert_allclose(post, expected, rtol=0, atol=ATOL)


@settings(deadline=None)
@given(ordered_ms(2), variances)
def test_p05_factors_equal_the_published_general_formulas(ms: list[float], s: float) -> None:
    m_n, m_t = ms
    d_n, d_t = bridge_variance(m_n, s), bridge_variance(m_t, s)
    r = (1.0 - m_t) / (1.0 - m_n)
    d_tn = d_t - d_n * r**2
    expected = (
        d_n / d_t * r + (1.0 - m_n) * d_tn / d_t,
        m_n - m_t * r * d_n / d_t,
        (1.0 - m_n) * d_tn / d_t,
        d_tn * d_n / d_t,
    )
    np.testing.assert_allclose(bridge_posterior(m_t, m_n, s), expected, rtol=0, atol=ATOL)


@settings(deadline=None)
@given(st.floats(0.0, 0.999), variances)
def test_p05_the_pinned_end_knows_nothing_but_the_marginal(m_n: float, s: float) -> None:
    post = bridge_posterior(1.0, m_n, s)
    assert post.variance == pytest.approx(bridge_variance(m_n, s), abs=ATOL)
    assert post.c_et == pytest.approx(1.0 - m_n, abs=ATOL)


@settings(deadline=None)
@given(ordered_ms(2), variances, values, values, values)
def test_p06_three_forms_of_the_posterior_mean_agree(
    ms: list[float], s: float, x0: float, y: float, x_t: float
) -> None:
    m_n, m_t = ms
    d_n, d_t = bridge_variance(m_n, s), bridge_variance(m_t, s)
    r, d_tn = bridge_transition(m_t, m_n, s)
    post = bridge_posterior(m_t, m_n, s)
    k, _ = noise_factors(m_t, m_n, s, eta=1.0)
    as_product = d_n / d_t * r * x_t + (1 - m_n) * d_tn / d_t * x0 + (m_n - m_t * r * d_n / d_t) * y
    as_factors = post.c_xt * x_t + post.c_yt * y - post.c_et * (x_t - x0)
    as_ddim = (1 - m_n) * x0 + m_n * y + k * (x_t - (1 - m_t) * x0 - m_t * y)
    np.testing.assert_allclose([as_factors, as_ddim], as_product, rtol=0, atol=ATOL)


def test_p06_the_printed_plus_sign_is_wrong() -> None:
    m_n, m_t, s, x0, y, x_t = 0.3, 0.7, 0.5, 1.0, 0.0, 0.4
    post = bridge_posterior(m_t, m_n, s)
    true_mean = m_n / m_t * x_t + (1 - m_n / m_t) * x0
    minus = post.c_xt * x_t + post.c_yt * y - post.c_et * (x_t - x0)
    plus = post.c_xt * x_t + post.c_yt * y + post.c_et * (x_t - x0)
    assert minus == pytest.approx(true_mean, abs=ATOL)
    assert abs(plus - true_mean) > 0.5


@settings(deadline=None)
@given(ordered_ms(2), variances, etas)
def test_p07_marginal_is_preserved_for_every_eta(ms: list[float], s: float, eta: float) -> None:
    m_n, m_t = ms
    k, new_sd = noise_factors(m_t, m_n, s, eta)
    kept = k**2 * bridge_variance(m_t, s)
    assert kept + new_sd**2 == pytest.approx(bridge_variance(m_n, s), abs=ATOL)


@settings(deadline=None)
@given(ordered_ms(2), variances, etas)
def test_p07_regression_the_legacy_eta_loses_variance(
    ms: list[float], s: float, eta: float
) -> None:
    m_n, m_t = ms
    k, new_sd = noise_factors(m_t, m_n, s, eta, legacy=True)
    total = k**2 * bridge_variance(m_t, s) + new_sd**2
    lost = (1.0 - eta**2) * bridge_posterior(m_t, m_n, s).variance
    assert total == pytest.approx(bridge_variance(m_n, s) - lost, abs=ATOL)
    if eta < 1.0:
        assert lost > 1e-6  # so the marginal is not preserved


def test_p07_the_pinned_end_has_no_noise_to_keep() -> None:
    assert noise_factors(1.0, 0.6, 0.5, eta=0.0) == (0.0, 0.0)
    k, new_sd = noise_factors(1.0, 0.6, 0.5, eta=1.0)
    assert k == 0.0
    assert new_sd**2 == pytest.approx(bridge_variance(0.6, 0.5), abs=ATOL)


GOLDENS = [
    (999, 943, 0.944000056, 5.281108622e-2),
    (943, 888, 0.941737350, 5.174370685e-2),
    (500, 444, 0.888223776, 4.969074116e-2),
    (55, 1, 0.035731539, 1.927571688e-3),
    (1, 0, 0.500250376, 4.997496244e-4),
]


@pytest.mark.parametrize(("t", "n", "ratio", "variance"), GOLDENS)
def test_p13_goldens_of_the_published_schedule(
    t: int, n: int, ratio: float, variance: float
) -> None:
    mixing = bbdm_mixing(1000)
    post = bridge_posterior(float(mixing[t]), float(mixing[n]), 0.5)
    assert mixing[n] / mixing[t] == pytest.approx(ratio, rel=1e-8)
    assert 1.0 - post.c_et == pytest.approx(ratio, rel=1e-8)
    assert post.variance == pytest.approx(variance, rel=1e-9)


def test_p13_correct_eta_zero_amplifies_the_end_mismatch() -> None:
    mixing = bbdm_mixing(1000)
    k, _ = noise_factors(float(mixing[999]), float(mixing[943]), 0.5, eta=0.0)
    assert k == pytest.approx(7.33, abs=0.005)


@pytest.mark.parametrize(("m_t", "m_n"), [(0.5, 0.5), (0.3, 0.6), (1.2, 0.1), (0.5, -0.1)])
def test_a_step_must_go_towards_the_clean_end(m_t: float, m_n: float) -> None:
    with pytest.raises(ConfigError):
        bridge_posterior(m_t, m_n, 0.5)
    with pytest.raises(ConfigError):
        bridge_transition(m_t, m_n, 0.5)


@pytest.mark.parametrize("eta", [-0.1, 1.1, math.nan])
def test_eta_must_be_from_zero_to_one(eta: float) -> None:
    with pytest.raises(ConfigError, match="eta"):
        noise_factors(0.5, 0.2, 0.5, eta)
