"""The timesteps of the reverse process."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.errors import ConfigError
from napari_fddm.diffusion.process import bbdm_mixing, exact_mixing
from napari_fddm.diffusion.spacing import (
    bbdm_timesteps,
    checked_timesteps,
    linear_timesteps,
    log_snr_timesteps,
)

BBDM_20 = [
    *(999, 943, 888, 832, 777, 721, 666, 610, 555, 499),
    *(444, 388, 333, 277, 222, 166, 111, 55, 1, 0),
]


def assert_sound(steps: list[int], n: int, first: int, last: int) -> None:
    assert len(steps) == n
    assert steps[0] == last
    assert steps[-1] >= first
    assert all(t > k for t, k in pairwise(steps))


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    total = draw(st.integers(2, 1200))
    return total, draw(st.integers(1, total))


@settings(deadline=None)
@given(sizes())
def test_exact_timesteps_are_strictly_decreasing_from_the_source_end(size: tuple[int, int]) -> None:
    total, n = size
    assert_sound(linear_timesteps(n, 1, total), n, 1, total)
    assert_sound(log_snr_timesteps(n, exact_mixing(total), 1), n, 1, total)


@settings(deadline=None)
@given(sizes())
def test_bbdm_timesteps_are_strictly_decreasing_for_every_count(size: tuple[int, int]) -> None:
    total, n = size
    assert_sound(bbdm_timesteps(n, total - 1), n, 0, total - 1)
    assert_sound(log_snr_timesteps(n, bbdm_mixing(total), 0), n, 0, total - 1)


def test_all_timesteps_are_visited_when_all_are_asked_for() -> None:
    assert linear_timesteps(50, 1, 50) == list(range(50, 0, -1))
    assert log_snr_timesteps(50, exact_mixing(50), 1) == list(range(50, 0, -1))
    assert bbdm_timesteps(1000) == list(range(999, -1, -1))


def test_bbdm_list_of_twenty_steps() -> None:
    assert bbdm_timesteps(20) == BBDM_20


@pytest.mark.parametrize("n", [3, 5, 20, 200, 501])
def test_bbdm_list_follows_the_published_rule(n: int) -> None:
    published = [int(i) for i in np.arange(999, 1, -(999 / (n - 2)))] + [1, 0]
    assert bbdm_timesteps(n) == published


def test_bbdm_one_and_two_steps_have_a_rule_of_their_own() -> None:
    assert bbdm_timesteps(1) == [999]
    assert bbdm_timesteps(2) == [999, 499]


def test_linear_steps_are_even() -> None:
    assert linear_timesteps(5, 1, 1000) == [1000, 800, 600, 400, 200]


def test_log_snr_steps_are_even_in_the_logit() -> None:
    m = np.array(log_snr_timesteps(9, exact_mixing(10**6), 1)[1:]) / 10**6
    logits = np.log(m / (1 - m))
    np.testing.assert_allclose(np.diff(logits), np.diff(logits).mean(), rtol=1e-2)


def test_log_snr_steps_are_denser_near_the_source_end_than_linear_ones() -> None:
    log_snr = np.array(log_snr_timesteps(10, exact_mixing(1000), 1))
    linear = np.array(linear_timesteps(10, 1, 1000))
    assert (log_snr >= 950).sum() > (linear >= 950).sum()


@pytest.mark.parametrize("n", [0, -1, 1001])
def test_impossible_counts_are_refused(n: int) -> None:
    with pytest.raises(ConfigError, match="num_inference_steps"):
        linear_timesteps(n, 1, 1000)
    with pytest.raises(ConfigError, match="num_inference_steps"):
        log_snr_timesteps(n, exact_mixing(1000), 1)
    with pytest.raises(ConfigError, match="num_inference_steps"):
        bbdm_timesteps(n)


@pytest.mark.parametrize("steps", [[], [5, 5], [3, 7], [11], [4, 0]])
def test_own_timesteps_must_decrease_within_the_schedule(steps: list[int]) -> None:
    with pytest.raises(ConfigError, match="strictly decreasing"):
        checked_timesteps(steps, 1, 10)
