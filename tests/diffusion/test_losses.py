"""The training objective (P15) and where on the bridge it is taken."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_fddm.core.errors import ConfigError
from napari_fddm.diffusion import BrownianBridgeScheduler, refinement_loss
from napari_fddm.diffusion.losses import (
    IGNORED,
    TimestepDensity,
    clamped_log_probs,
    linear_head_loss,
    one_hot,
    sample_timesteps,
    segmentation_loss,
    transition_loss,
)

if TYPE_CHECKING:
    from napari_fddm.diffusion.bridge import PredictionType

CLASSES = 7


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def logits(seed: int = 0) -> torch.Tensor:
    return torch.randn((3, CLASSES, 5, 6), generator=generator(seed), dtype=torch.float64)


def index_map(seed: int = 0) -> torch.Tensor:
    return torch.randint(0, CLASSES, (3, 5, 6), generator=generator(seed))


def test_p15_the_transition_loss_is_the_error_of_the_bridge_difference() -> None:
    scheduler = BrownianBridgeScheduler()
    x0, y = one_hot(index_map(), CLASSES).double(), logits(1).softmax(dim=1)
    eps, t = logits(2), torch.tensor([3, 500, 1000])
    x_t = scheduler.add_noise(x0, y, eps, t)
    pred = logits(3).softmax(dim=1)
    target = scheduler.get_target(x0, y, eps, t)
    error = (target - (x_t - pred)).abs().mean()
    torch.testing.assert_close(transition_loss(x0, pred), error, rtol=0, atol=1e-10)


def test_p15_a_confident_and_right_answer_costs_nothing() -> None:
    truth = index_map()
    right = one_hot(truth, CLASSES).double() * 60.0
    loss = refinement_loss(right, truth, trans_weight=1.0)
    assert float(loss.total) < 1e-10


def test_p15_cross_entropy_on_a_regressed_one_hot_never_gets_there() -> None:
    truth = index_map()
    exact = one_hot(truth, CLASSES).double().requires_grad_()
    upstream = segmentation_loss(exact, truth)
    (gradient,) = torch.autograd.grad(upstream, exact)
    assert upstream.item() == pytest.approx(math.log(1 + 6 / math.e), abs=1e-10)
    assert upstream.item() == pytest.approx(1.165422, abs=1e-6)
    assert float(gradient.abs().max()) > 1e-3


def test_p15_the_linear_head_is_scored_on_clamped_probabilities() -> None:
    truth = index_map()
    x0 = one_hot(truth, CLASSES).double()
    assert float(segmentation_loss(clamped_log_probs(x0), truth)) < 1e-4
    hostile = torch.full_like(x0, -3.0)  # nothing positive: FDDM's eq. 4 has no value here
    assert float(segmentation_loss(clamped_log_probs(hostile), truth)) == pytest.approx(math.log(7))


@pytest.mark.parametrize("kind", ["bridge_difference", "noise", "source_minus_sample"])
def test_p15_the_papers_objective_is_least_for_the_true_target(kind: PredictionType) -> None:
    scheduler = BrownianBridgeScheduler(prediction_type=kind)
    truth, t = index_map(), torch.tensor([3, 500, 990])
    x0, y, eps = one_hot(truth, CLASSES).double(), logits(1).softmax(dim=1), logits(2)
    x_t = scheduler.add_noise(x0, y, eps, t)
    target = scheduler.get_target(x0, y, eps, t)
    exact = linear_head_loss(scheduler, target, x_t, y, t, truth)
    assert float(exact.total) < 1e-4
    output = (target + 0.1).requires_grad_()
    loss = linear_head_loss(scheduler, output, x_t, y, t, truth, seg_weight=2.0)
    torch.testing.assert_close(loss.total, loss.trans + 2.0 * loss.seg)
    if kind == "bridge_difference":
        assert loss.trans.item() == pytest.approx(0.1, abs=1e-10)  # |e - ê|
    assert float(loss.total.detach()) > float(exact.total)
    (gradient,) = torch.autograd.grad(loss.total, output)
    assert bool(torch.isfinite(gradient).all())


def test_segmentation_loss_is_the_mean_cross_entropy() -> None:
    expected = functional.cross_entropy(logits(), index_map())
    torch.testing.assert_close(segmentation_loss(logits(), index_map()), expected)


def test_class_weights_enter_the_mean_as_torch_has_them() -> None:
    weights = torch.tensor([0.2, 1, 1, 1, 1, 1, 0.2], dtype=torch.float64)
    truth = index_map()
    truth[:, 2] = IGNORED
    expected = functional.cross_entropy(logits(), truth, weight=weights, ignore_index=IGNORED)
    torch.testing.assert_close(segmentation_loss(logits(), truth, weights), expected)
    # A common factor changes nothing.
    torch.testing.assert_close(segmentation_loss(logits(), truth, weights * 5.4), expected)


def test_cells_without_a_class_change_no_term() -> None:
    truth, changed = index_map(), logits().clone()
    truth[:, 1:3] = IGNORED
    changed[:, :, 1:3] += 10 * logits(5)[:, :, 1:3]
    before = refinement_loss(logits(), truth, trans_weight=1.0)
    after = refinement_loss(changed, truth, trans_weight=1.0)
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("weights", [None, torch.ones(CLASSES, dtype=torch.float64)])
def test_a_batch_without_any_class_costs_zero_and_teaches_nothing(
    weights: torch.Tensor | None,
) -> None:
    guess = logits().requires_grad_()
    nothing = torch.full((3, 5, 6), IGNORED)
    loss = refinement_loss(guess, nothing, trans_weight=1.0, class_weights=weights)
    (gradient,) = torch.autograd.grad(loss.total, guess)
    assert loss.total.item() == 0.0
    assert torch.equal(gradient, torch.zeros_like(guess))


def test_the_total_weighs_its_terms() -> None:
    loss = refinement_loss(logits(), index_map(), seg_weight=2.0, trans_weight=3.0)
    torch.testing.assert_close(loss.total, 2.0 * loss.seg + 3.0 * loss.trans)
    default = refinement_loss(logits(), index_map())
    torch.testing.assert_close(default.total, default.seg)
    assert float(default.trans) > 0.0


def test_an_absolute_error_sharpens_what_cross_entropy_leaves_calibrated() -> None:
    # 70 of 100 cells are class 0, the rest class 1, and nothing tells them apart.
    truth = torch.tensor([0] * 70 + [1] * 30).reshape(1, 1, 100)
    p = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)

    def best(trans_weight: float) -> float:
        totals = [
            refinement_loss(
                torch.stack([q.log(), (1 - q).log()]).reshape(1, 2, 1, 1).expand(1, 2, 1, 100),
                truth,
                trans_weight=trans_weight,
            ).total
            for q in p
        ]
        return float(p[int(torch.stack(totals).argmin())])

    assert best(0.0) == pytest.approx(0.70, abs=1e-6)
    assert best(1.0) > 0.75


def test_one_hot_is_uniform_where_nothing_is_known() -> None:
    truth = torch.tensor([[[0, 6, IGNORED]]])
    x0 = one_hot(truth, CLASSES)
    assert x0.shape == (1, CLASSES, 1, 3)
    torch.testing.assert_close(x0.sum(dim=1), torch.ones(1, 1, 3))
    assert x0[0, :, 0, 0].tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert x0[0, :, 0, 1].tolist() == [0, 0, 0, 0, 0, 0, 1]
    torch.testing.assert_close(x0[0, :, 0, 2], torch.full((CLASSES,), 1 / CLASSES))


@pytest.mark.parametrize("schedule", ["exact", "bbdm"])
def test_timesteps_follow_the_density(schedule: str) -> None:
    scheduler = BrownianBridgeScheduler(schedule="exact" if schedule == "exact" else "bbdm")
    density = TimestepDensity(end_share=0.25, location=1.0, scale=0.7)
    n = 40_000
    t = sample_timesteps(n, scheduler, generator(1), density=density).numpy()
    assert t.min() >= scheduler.first_timestep
    assert t.max() == scheduler.last_timestep
    at_end = t == scheduler.last_timestep
    assert at_end.mean() == pytest.approx(0.25, abs=5 * math.sqrt(0.25 * 0.75 / n) + 1e-3)
    m = scheduler.mixing[t[~at_end]]
    logit = np.log(m / (1 - m))
    assert logit.mean() == pytest.approx(1.0, abs=0.03)
    assert logit.std() == pytest.approx(0.7, abs=0.03)


def test_timesteps_lean_towards_the_source_end_by_default() -> None:
    scheduler = BrownianBridgeScheduler()
    t = sample_timesteps(10_000, scheduler, generator(2)).double() / 1000
    assert float((t > 0.5).double().mean()) > 0.8


def test_timesteps_at_the_extremes_of_the_share() -> None:
    scheduler = BrownianBridgeScheduler()
    always = TimestepDensity(end_share=1.0)
    assert set(sample_timesteps(50, scheduler, generator(1), density=always).tolist()) == {1000}
    low = TimestepDensity(end_share=0.0, location=-40.0, scale=0.1)
    assert set(sample_timesteps(50, scheduler, generator(1), density=low).tolist()) == {1}


def test_timesteps_depend_on_the_generator_alone() -> None:
    scheduler = BrownianBridgeScheduler()
    a, b, c = (sample_timesteps(64, scheduler, generator(s)) for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert a.dtype == torch.long


@pytest.mark.parametrize(
    ("end_share", "scale"), [(-0.1, 1.0), (1.1, 1.0), (0.2, 0.0), (math.nan, 1.0)]
)
def test_impossible_densities_are_refused(end_share: float, scale: float) -> None:
    with pytest.raises(ConfigError):
        TimestepDensity(end_share=end_share, scale=scale)
