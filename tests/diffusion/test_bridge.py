"""The scheduler: properties P1, P6–P10, P12, P14, P16 and its calling conventions."""

from __future__ import annotations

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.errors import ConfigError
from napari_fddm.diffusion import BrownianBridgeScheduler
from napari_fddm.diffusion.bridge import CLEAN_END, PredictionType, Schedule

SHAPE = (2, 7, 4, 5)  # b c h w
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)
PREDICTION_TYPES: tuple[PredictionType, ...] = get_args(PredictionType)
etas = st.sampled_from([0.0, 0.3, 0.8, 1.0])
seeds = st.integers(0, 2**31)
own_timesteps = st.lists(st.integers(1, 999), min_size=1, max_size=8, unique=True).map(
    lambda steps: sorted(steps, reverse=True)
)


def normal(seed: int, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def probabilities(seed: int) -> torch.Tensor:
    return normal(seed).mul(2.0).softmax(dim=1)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def oracle_run(
    scheduler: BrownianBridgeScheduler,
    x0: torch.Tensor,
    y: torch.Tensor,
    start: torch.Tensor,
    *,
    eta: float,
    seed: int = 0,
) -> list[torch.Tensor]:
    """States of a run whose network knows x_0, the start included."""
    states = [start]
    random = generator(seed)
    for t in scheduler.timesteps:
        output = states[-1] - x0  # the true bridge difference
        step = scheduler.step(output, t, states[-1], y, eta=eta, generator=random)
        states.append(step.prev_sample)
    return states


@settings(deadline=None)
@given(seeds, st.floats(0.05, 4.0))
def test_p01_exact_pins(seed: int, s: float) -> None:
    scheduler = BrownianBridgeScheduler(max_variance=s)
    x0, y, eps = probabilities(seed), probabilities(seed + 1), normal(seed + 2) * 100
    assert torch.equal(scheduler.add_noise(x0, y, eps, 0), x0)
    assert torch.equal(scheduler.add_noise(x0, y, eps, scheduler.last_timestep), y)


def test_p01_pins_hold_in_float32_and_per_batch_entry() -> None:
    scheduler = BrownianBridgeScheduler()
    x0, y, eps = (a.float() for a in (probabilities(1), probabilities(2), normal(3)))
    x_t = scheduler.add_noise(x0, y, eps, torch.tensor([0, 1000]))
    assert x_t.dtype == torch.float32
    assert torch.equal(x_t[0], x0[0])
    assert torch.equal(x_t[1], y[1])


def test_the_bbdm_schedule_is_pinned_at_neither_end() -> None:
    scheduler = BrownianBridgeScheduler(schedule="bbdm")
    x0, y, eps = probabilities(1), probabilities(2), normal(3)
    assert not torch.allclose(scheduler.add_noise(x0, y, eps, 0), x0, atol=1e-3)
    assert not torch.allclose(scheduler.add_noise(x0, y, eps, 999), y, atol=1e-3)


def test_p06_a_step_with_eta_one_has_the_posterior_mean_of_the_factors() -> None:
    scheduler = BrownianBridgeScheduler()
    scheduler.set_timesteps(timesteps=[700, 300])
    x0, y, x_t = probabilities(1), probabilities(2), normal(3)
    post = scheduler.posterior(700, 300)
    mean = post.c_xt * x_t + post.c_yt * y - post.c_et * (x_t - x0)
    zeros = torch.zeros(SHAPE, dtype=torch.float64)
    got = scheduler.step(x_t - x0, 700, x_t, y, variance_noise=zeros).prev_sample
    torch.testing.assert_close(got, mean, rtol=0, atol=1e-10)
    ones = torch.ones(SHAPE, dtype=torch.float64)
    noisy = scheduler.step(x_t - x0, 700, x_t, y, variance_noise=ones).prev_sample
    torch.testing.assert_close(noisy - got, math.sqrt(post.variance) * ones, rtol=0, atol=1e-10)


@pytest.mark.parametrize("eta", [0.0, 0.3, 0.8, 1.0])
def test_p07_states_keep_the_marginal_variance_and_legacy_ones_do_not(eta: float) -> None:
    ratios = {}
    for legacy in (False, True):
        scheduler = BrownianBridgeScheduler(legacy_eta=legacy)
        scheduler.set_timesteps(timesteps=[700, 300])
        n = 200_000
        zeros = torch.zeros((n, 1, 1, 1), dtype=torch.float64)
        x_t = scheduler.add_noise(zeros, zeros, normal(1, (n, 1, 1, 1)), 700)
        x_n = scheduler.step(x_t, 700, x_t, zeros, eta=eta, generator=generator(2)).prev_sample
        ratios[legacy] = float(x_n.var()) / scheduler.variance(300)
    lost = (1 - eta**2) * scheduler.posterior(700, 300).variance / scheduler.variance(300)
    assert ratios[False] == pytest.approx(1.0, abs=0.02)
    assert ratios[True] == pytest.approx(1.0 - lost, abs=0.02)
    assert eta == 1.0 or ratios[True] < 0.85


@pytest.mark.parametrize("schedule", SCHEDULES)
@settings(deadline=None)
@given(seed=seeds, t=st.integers(1, 999))
def test_p08_all_prediction_types_find_the_same_original(
    schedule: Schedule, seed: int, t: int
) -> None:
    x0, y, eps = probabilities(seed), probabilities(seed + 1), normal(seed + 2)
    for kind in PREDICTION_TYPES:
        scheduler = BrownianBridgeScheduler(schedule=schedule, prediction_type=kind)
        x_t = scheduler.add_noise(x0, y, eps, t)
        target = scheduler.get_target(x0, y, eps, t)
        found = scheduler.predict_original(target, x_t, y, t)
        torch.testing.assert_close(found, x0, rtol=0, atol=1e-10)
        if kind == "bridge_difference":
            torch.testing.assert_close(target, x_t - x0, rtol=0, atol=1e-10)


def test_p08_timesteps_may_differ_within_a_batch() -> None:
    scheduler = BrownianBridgeScheduler(prediction_type="noise")
    x0, y, eps, t = probabilities(1), probabilities(2), normal(3), torch.tensor([10, 990])
    x_t = scheduler.add_noise(x0, y, eps, t)
    torch.testing.assert_close(x_t[1:], scheduler.add_noise(x0[1:], y[1:], eps[1:], 990))
    found = scheduler.predict_original(eps, x_t, y, t)
    torch.testing.assert_close(found, x0, rtol=0, atol=1e-10)


def test_p08_the_noise_cannot_be_inverted_at_the_source_end() -> None:
    scheduler = BrownianBridgeScheduler(prediction_type="noise")
    with pytest.raises(ConfigError, match="m = 1"):
        scheduler.predict_original(normal(1), normal(2), normal(3), 1000)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("legacy", [False, True])
@settings(deadline=None)
@given(steps=own_timesteps, eta=etas, seed=seeds)
def test_p09_an_oracle_finds_the_original_on_any_schedule(
    schedule: Schedule, legacy: bool, steps: list[int], eta: float, seed: int
) -> None:
    scheduler = BrownianBridgeScheduler(schedule=schedule, legacy_eta=legacy)
    scheduler.set_timesteps(timesteps=steps)
    x0, y = probabilities(seed), probabilities(seed + 1)
    final = oracle_run(scheduler, x0, y, y, eta=eta, seed=seed)[-1]
    torch.testing.assert_close(final, x0, rtol=0, atol=1e-6)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("n", [1, 2, 3, 20])
def test_p09_an_oracle_finds_the_original_on_the_own_schedules(schedule: Schedule, n: int) -> None:
    scheduler = BrownianBridgeScheduler(schedule=schedule)
    scheduler.set_timesteps(n)
    x0, y = probabilities(1), probabilities(2)
    states = oracle_run(scheduler, x0, y, y, eta=1.0)
    assert len(states) == n + 1
    torch.testing.assert_close(states[-1], x0, rtol=0, atol=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
@settings(deadline=None)
@given(steps=own_timesteps, seed=seeds)
def test_p10_legacy_eta_zero_telescopes(schedule: Schedule, steps: list[int], seed: int) -> None:
    scheduler = BrownianBridgeScheduler(schedule=schedule, legacy_eta=True)
    scheduler.set_timesteps(timesteps=steps)
    x0, y = probabilities(seed), probabilities(seed + 1)
    start = scheduler.add_noise(x0, y, normal(seed + 2), steps[0])
    states = oracle_run(scheduler, x0, y, start, eta=0.0)
    for t, state in zip(steps, states, strict=False):
        share = scheduler.m(t) / scheduler.m(steps[0])
        torch.testing.assert_close(state - x0, share * (start - x0), rtol=0, atol=1e-10)


@pytest.mark.parametrize("schedule", SCHEDULES)
@settings(deadline=None)
@given(steps=own_timesteps, eta=etas, seed=seeds)
def test_p12_an_identity_refiner_returns_the_source(
    schedule: Schedule, steps: list[int], eta: float, seed: int
) -> None:
    scheduler = BrownianBridgeScheduler(schedule=schedule)
    scheduler.set_timesteps(timesteps=[scheduler.last_timestep, *steps[1:]])
    y = probabilities(seed)
    sample, random = y, generator(seed)
    for t in scheduler.timesteps:
        step = scheduler.step_from_original(y, t, sample, y, eta=eta, generator=random)
        sample = step.prev_sample
        if eta == 0.0:
            assert torch.equal(sample, y)
    assert torch.equal(sample, y)


def test_p14_classes_sum_to_one_plus_the_noise() -> None:
    scheduler = BrownianBridgeScheduler()
    x0, y, eps = probabilities(1), probabilities(2), normal(3)
    total = scheduler.add_noise(x0, y, eps, 400).sum(dim=1)
    expected = 1 + math.sqrt(scheduler.variance(400)) * eps.sum(dim=1)
    torch.testing.assert_close(total, expected, rtol=0, atol=1e-10)
    assert not torch.allclose(total, torch.ones_like(total), atol=0.1)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("t", [1, 300, 900])
def test_p16_monte_carlo_of_the_marginal(schedule: Schedule, t: int) -> None:
    scheduler = BrownianBridgeScheduler(schedule=schedule)
    n, m, d = 100_000, scheduler.m(t), scheduler.variance(t)
    x0, y = torch.full((n, 1), 0.9).double(), torch.full((n, 1), 0.2).double()
    x_t = scheduler.add_noise(x0, y, normal(t, (n, 1)), t)
    assert float(x_t.mean()) == pytest.approx((1 - m) * 0.9 + m * 0.2, abs=4 * math.sqrt(d / n))
    assert float(x_t.var()) == pytest.approx(d, abs=4 * d * math.sqrt(2 / (n - 1)))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_last_step_is_the_prediction_itself(schedule: Schedule) -> None:
    scheduler = BrownianBridgeScheduler(schedule=schedule)
    scheduler.set_timesteps(4)
    t = scheduler.timesteps[-1]
    guess, sample, y = probabilities(1), normal(2), probabilities(3)
    step = scheduler.step_from_original(guess, t, sample, y, generator=generator(1))
    assert torch.equal(step.prev_sample, guess)
    assert torch.equal(step.pred_original_sample, guess)


def test_where_the_last_step_goes() -> None:
    exact, bbdm = BrownianBridgeScheduler(), BrownianBridgeScheduler(schedule="bbdm")
    for scheduler, end in ((exact, 0), (bbdm, CLEAN_END)):
        scheduler.set_timesteps(3)
        assert scheduler.previous_timestep(scheduler.timesteps[0]) == int(scheduler.timesteps[1])
        assert scheduler.previous_timestep(scheduler.timesteps[-1]) == end
        assert scheduler.m(end) == 0.0


def test_boot_noise_makes_only_the_first_step_noisy() -> None:
    scheduler = BrownianBridgeScheduler()
    scheduler.set_timesteps(3)
    first, second = scheduler.timesteps[:2]
    x0, y = probabilities(1), probabilities(2)

    def stepped(t: torch.Tensor, seed: int, *, eta: float = 0.0, boot: bool = True) -> torch.Tensor:
        random = generator(seed)
        return scheduler.step_from_original(
            x0, t, y, y, eta=eta, generator=random, boot_noise=boot
        ).prev_sample

    assert torch.equal(stepped(first, 5), stepped(first, 5, eta=1.0, boot=False))
    assert not torch.equal(stepped(first, 5), stepped(first, 6))
    assert torch.equal(stepped(second, 5), stepped(second, 6))
    # Without it the path stays on the line from x_0 to y.
    line = torch.lerp(x0, y, scheduler.m(int(second)))
    torch.testing.assert_close(stepped(first, 5, boot=False), line, rtol=0, atol=1e-12)


def test_given_noise_goes_before_the_generator() -> None:
    scheduler = BrownianBridgeScheduler()
    scheduler.set_timesteps(2)
    t, x0, y, eps = scheduler.timesteps[0], probabilities(1), probabilities(2), normal(3)
    given_noise = scheduler.step_from_original(x0, t, y, y, variance_noise=eps, generator=None)
    drawn = scheduler.step_from_original(x0, t, y, y, generator=generator(3))
    torch.testing.assert_close(given_noise.prev_sample, drawn.prev_sample)


def test_a_step_unpacks_like_a_tuple_and_keeps_float32() -> None:
    scheduler = BrownianBridgeScheduler()
    scheduler.set_timesteps(2)
    y = probabilities(1).float()
    previous, original = scheduler.step(torch.zeros_like(y), scheduler.timesteps[0], y, y)
    assert previous.dtype == original.dtype == torch.float32


def test_timesteps_are_all_visited_before_a_choice_and_int64_after() -> None:
    scheduler = BrownianBridgeScheduler(num_train_timesteps=10)
    assert scheduler.timesteps.tolist() == list(range(10, 0, -1))
    scheduler.set_timesteps(1)
    assert scheduler.timesteps.tolist() == [10]
    assert scheduler.timesteps.dtype == torch.long


def test_default_spacing_follows_the_schedule() -> None:
    assert BrownianBridgeScheduler().step_spacing == "log_snr"
    bbdm = BrownianBridgeScheduler(schedule="bbdm")
    bbdm.set_timesteps(5)
    assert bbdm.timesteps.tolist() == [999, 666, 333, 1, 0]
    linear = BrownianBridgeScheduler(step_spacing="linear")
    linear.set_timesteps(4)
    assert linear.timesteps.tolist() == [1000, 750, 500, 250]


def test_timestep_at_is_nearest_and_never_the_clean_end() -> None:
    m = np.array([0.0, 0.0004, 0.2503, 0.99999, 1.0])
    assert BrownianBridgeScheduler().timestep_at(m).tolist() == [1, 1, 250, 1000, 1000]
    bbdm = BrownianBridgeScheduler(schedule="bbdm")
    assert bbdm.timestep_at(np.array([0.0, 0.5, 1.0])).tolist() == [0, 500, 999]


def test_the_mixing_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="read-only"):
        BrownianBridgeScheduler().mixing[3] = 0.5


@pytest.mark.parametrize(
    "kwargs",
    [
        {"num_train_timesteps": 1},
        {"max_variance": 0.0},
        {"max_variance": math.nan},
        {"schedule": "cosine"},
        {"prediction_type": "epsilon"},
        {"step_spacing": "sin"},
    ],
)
def test_impossible_parameters_are_refused(kwargs: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        BrownianBridgeScheduler(**kwargs)


def test_impossible_calls_are_refused() -> None:
    scheduler = BrownianBridgeScheduler()
    scheduler.set_timesteps(2)
    x = probabilities(1)
    with pytest.raises(ConfigError, match="not one of the 2 chosen"):
        scheduler.step(x, 17, x, x)
    with pytest.raises(ConfigError, match="one timestep"):
        scheduler.step(x, torch.tensor([1000, 500]), x, x)
    with pytest.raises(ConfigError, match="eta"):
        scheduler.step(x, 1000, x, x, eta=1.5)
    with pytest.raises(ConfigError, match="only one"):
        scheduler.set_timesteps()
    with pytest.raises(ConfigError, match="only one"):
        scheduler.set_timesteps(2, timesteps=[5])
    with pytest.raises(ConfigError, match="strictly decreasing"):
        scheduler.set_timesteps(timesteps=[5, 0])
    for t in (-1, 1001):
        with pytest.raises(ConfigError, match="from 0 to 1000"):
            scheduler.add_noise(x, x, x, t)
