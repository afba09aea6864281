"""The loop: properties P9, P11, P12, P14, P17, and one step as the direct prediction."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from napari_fddm.core.errors import ConfigError, EngineError
from napari_fddm.core.geometry import Window
from napari_fddm.diffusion import BrownianBridgeScheduler, refinement_loss, sample_bridge
from napari_fddm.diffusion.noise import cell_noise
from napari_fddm.diffusion.sampling import DenoiserFunction, project_to_probabilities, region_noise

if TYPE_CHECKING:
    from napari_fddm.diffusion.bridge import BridgeStepOutput, Schedule

CLASSES, SIZE = 7, 8
SCHEDULES: tuple[Schedule, ...] = ("exact", "bbdm")
WINDOWS = [Window(-4, 0, SIZE, SIZE), Window(0, 6, SIZE, SIZE), Window(1000, -77, SIZE, SIZE)]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, channels: int = CLASSES, batch: int = 3) -> torch.Tensor:
    shape = (batch, channels, SIZE, SIZE)
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


SOURCE = normal(1).mul(2).softmax(dim=1)
CONDITION = normal(2, channels=10)


def denoise(sample: torch.Tensor, timestep: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
    """Answer cell by cell, so that it cannot mix the entries of a batch."""
    m = (timestep.to(sample) / 1000).reshape(-1, 1, 1, 1)
    return 3 * sample * m + condition[:, :CLASSES] * (1 - m) + condition[:, 3:10]


def refine(
    *,
    denoiser: DenoiserFunction = denoise,
    source: torch.Tensor = SOURCE,
    condition: torch.Tensor = CONDITION,
    windows: list[Window] | None = None,
    steps: int = 4,
    eta: float = 1.0,
    seed: int | None = 5,
    sample: int = 0,
    boot_noise: bool = False,
    schedule: Schedule = "exact",
) -> torch.Tensor:
    noise = None
    if seed is not None:
        places = WINDOWS if windows is None else windows
        noise = region_noise(places, channels=CLASSES, seed=seed, sample=sample, like=source)
    return sample_bridge(
        denoiser,
        BrownianBridgeScheduler(schedule=schedule),
        source,
        condition,
        num_inference_steps=steps,
        eta=eta,
        noise=noise,
        boot_noise=boot_noise,
    )


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_one_step_is_the_direct_prediction(schedule: Schedule, eta: float) -> None:
    end = BrownianBridgeScheduler(schedule=schedule).last_timestep
    direct = denoise(SOURCE, torch.full((3,), end), CONDITION).softmax(dim=1)
    assert torch.equal(refine(steps=1, eta=eta, seed=None, schedule=schedule), direct)
    assert torch.equal(refine(steps=1, eta=eta, seed=9, schedule=schedule), direct)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 7])
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_p09_an_oracle_denoiser_finds_the_truth(schedule: Schedule, steps: int, eta: float) -> None:
    truth = normal(3).softmax(dim=1)
    found = refine(
        denoiser=lambda *_: truth.log(), steps=steps, eta=eta, schedule=schedule, boot_noise=True
    )
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-10)


def test_p11_without_noise_every_seed_gives_the_same() -> None:
    runs = [refine(eta=0.0, seed=seed) for seed in (1, 2, None)]
    assert torch.equal(runs[0], runs[1])
    assert torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("boot_noise", [False, True])
def test_p11_with_noise_the_seed_and_the_sample_decide(boot_noise: bool) -> None:
    eta = 0.0 if boot_noise else 1.0
    first = refine(eta=eta, boot_noise=boot_noise)
    assert torch.equal(first, refine(eta=eta, boot_noise=boot_noise))
    assert not torch.allclose(first, refine(eta=eta, boot_noise=boot_noise, seed=6), atol=1e-3)
    assert not torch.allclose(first, refine(eta=eta, boot_noise=boot_noise, sample=1), atol=1e-3)


@pytest.mark.parametrize("batches", [[[0], [1], [2]], [[2, 0], [1]], [[1, 2, 0]], [[1, 1, 2], [0]]])
def test_p11_batches_do_not_matter(batches: list[list[int]]) -> None:
    together = refine()
    for members in batches:
        batch = refine(
            source=SOURCE[members],
            condition=CONDITION[members],
            windows=[WINDOWS[i] for i in members],
        )
        torch.testing.assert_close(batch, together[members], rtol=0, atol=1e-12)


def test_p11_noise_drawn_in_the_order_of_a_batch_would_not_do() -> None:
    def in_order(batch: int) -> torch.Tensor:
        random = generator(5)
        shape = (batch, CLASSES, SIZE, SIZE)
        return sample_bridge(
            denoise,
            BrownianBridgeScheduler(),
            SOURCE[-batch:],
            CONDITION[-batch:],
            num_inference_steps=4,
            noise=lambda _: torch.randn(shape, generator=random, dtype=torch.float64),
        )

    assert not torch.allclose(in_order(3)[-1:], in_order(1), atol=1e-3)


def test_p11_overlapping_regions_get_the_same_sample_where_they_overlap() -> None:
    whole = Window(-10, 20, 12, 14)
    field = normal(7, channels=CLASSES + 10, batch=1)[:, :, :1, :1].expand(-1, -1, 12, 14)
    source, condition = field[:, :CLASSES].softmax(dim=1), field[:, CLASSES:]
    full = refine(source=source, condition=condition, windows=[whole])
    part = refine(
        source=source[:, :, 3:9, 5:],
        condition=condition[:, :, 3:9, 5:],
        windows=[Window(-7, 25, 6, 9)],
    )
    torch.testing.assert_close(part, full[:, :, 3:9, 5:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_p12_an_identity_refiner_returns_the_coarse_map(schedule: Schedule, eta: float) -> None:
    found = refine(denoiser=lambda *_: SOURCE.log(), eta=eta, schedule=schedule)
    torch.testing.assert_close(found, SOURCE, rtol=0, atol=1e-12)


@settings(deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([0.1, 10.0, 1000.0]))
def test_p14_the_softmax_head_stays_on_the_simplex(seed: int, scale: float) -> None:
    estimates: list[torch.Tensor] = []

    def keep(_: int, step: BridgeStepOutput) -> None:
        estimates.append(step.pred_original_sample)

    wild = normal(seed) * scale
    final = sample_bridge(
        lambda sample, timestep, condition: wild + sample,
        BrownianBridgeScheduler(),
        SOURCE,
        CONDITION,
        num_inference_steps=3,
        noise=region_noise(WINDOWS, channels=CLASSES, seed=seed, like=SOURCE),
        on_step=keep,
    )
    assert len(estimates) == 3
    assert torch.equal(final, estimates[-1])
    for probs in estimates:
        assert float(probs.min()) >= 0.0
        torch.testing.assert_close(probs.sum(dim=1), torch.ones_like(probs[:, 0]))


@pytest.mark.parametrize("kind", ["bridge_difference", "source_minus_sample"])
def test_the_linear_head_is_clipped_to_probabilities(kind: str) -> None:
    raw = normal(4)
    scheduler = BrownianBridgeScheduler(
        prediction_type="bridge_difference"
        if kind == "bridge_difference"
        else "source_minus_sample"
    )
    final = sample_bridge(
        lambda *_: raw, scheduler, SOURCE, CONDITION, num_inference_steps=1, head="linear"
    )
    torch.testing.assert_close(final, project_to_probabilities(SOURCE - raw))
    assert float(final.min()) == 0.0
    torch.testing.assert_close(final.sum(dim=1), torch.ones_like(final[:, 0]))


def test_projection_keeps_probabilities_and_makes_the_hopeless_uniform() -> None:
    torch.testing.assert_close(project_to_probabilities(SOURCE), SOURCE)
    negative = -SOURCE
    torch.testing.assert_close(
        project_to_probabilities(negative), torch.full_like(SOURCE, 1 / CLASSES)
    )


class TinyNet(nn.Module):
    """A condition encoder τ and a two-layer denoiser, in float64."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tau = nn.Conv2d(10, 4, 3, padding=1).double()
        self.inner = nn.Conv2d(CLASSES + 4 + 1, 12, 3, padding=1).double()
        self.out = nn.Conv2d(12, CLASSES, 1).double()

    def forward(
        self, sample: torch.Tensor, timestep: torch.Tensor, condition: torch.Tensor
    ) -> torch.Tensor:
        time = (timestep.to(sample) / 1000).reshape(-1, 1, 1, 1).expand(-1, 1, SIZE, SIZE)
        seen = torch.cat([sample, self.tau(condition), time], dim=1)
        logits: torch.Tensor = self.out(torch.nn.functional.silu(self.inner(seen)))
        return logits


@pytest.mark.parametrize("trans_weight", [0.0, 1.0])
@pytest.mark.parametrize("t", [1, 500, 1000])
def test_p17_gradients_reach_the_network_and_the_condition_encoder(
    t: int, trans_weight: float
) -> None:
    net, scheduler = TinyNet(), BrownianBridgeScheduler()
    truth = SOURCE.argmax(dim=1).flip(1)
    x0 = nn.functional.one_hot(truth, CLASSES).movedim(-1, 1).double()
    timesteps = torch.full((3,), t)
    x_t = scheduler.add_noise(x0, SOURCE, normal(8), timesteps)
    loss = refinement_loss(net(x_t, timesteps, CONDITION), truth, trans_weight=trans_weight)
    gradients = torch.autograd.grad(loss.total, list(net.parameters()))
    for (name, _), gradient in zip(net.named_parameters(), gradients, strict=True):
        assert bool(torch.isfinite(gradient).all()), name
        assert float(gradient.abs().max()) > 0.0, name


def test_a_network_can_be_sampled_from_without_keeping_gradients() -> None:
    probs = refine(denoiser=TinyNet(), steps=3)
    assert not probs.requires_grad
    torch.testing.assert_close(probs.sum(dim=1), torch.ones_like(probs[:, 0]))


def test_the_denoiser_sees_the_source_first_and_one_timestep_per_entry() -> None:
    seen: list[tuple[torch.Tensor, list[int]]] = []

    def watch(
        sample: torch.Tensor, timestep: torch.Tensor, condition: torch.Tensor
    ) -> torch.Tensor:
        seen.append((sample, timestep.tolist()))
        assert condition is CONDITION
        return sample

    refine(denoiser=watch, steps=2)
    assert torch.equal(seen[0][0], SOURCE)
    assert [t for _, t in seen] == [[1000] * 3, [500] * 3]


def test_noise_is_only_asked_for_where_it_is_used() -> None:
    asked: list[int] = []

    def noise(step: int) -> torch.Tensor:
        asked.append(step)
        return torch.zeros_like(SOURCE)

    for eta, boot in ((1.0, False), (0.0, False), (0.0, True)):
        sample_bridge(
            denoise,
            BrownianBridgeScheduler(),
            SOURCE,
            CONDITION,
            num_inference_steps=4,
            eta=eta,
            noise=noise,
            boot_noise=boot,
        )
        asked.append(-1)
    assert asked == [0, 1, 2, -1, -1, 0, -1]


def test_region_noise_is_the_noise_of_the_cells() -> None:
    noise = region_noise(WINDOWS, channels=CLASSES, seed=3, sample=2)(6)
    assert noise.dtype == torch.float32
    for entry, window in zip(noise, WINDOWS, strict=True):
        expected = cell_noise(window, channels=CLASSES, seed=3, sample=2, step=6)
        np.testing.assert_array_equal(entry.numpy(), expected)


@pytest.mark.parametrize("boot_noise", [False, True])
def test_missing_noise_is_an_error_not_an_unseeded_draw(boot_noise: bool) -> None:
    with pytest.raises(ConfigError, match="noise"):
        refine(seed=None, eta=0.0 if boot_noise else 0.5, boot_noise=boot_noise)


def test_a_denoiser_of_other_classes_is_refused() -> None:
    with pytest.raises(ConfigError, match="classes"):
        refine(denoiser=lambda sample, *_: sample[:, :5])


def test_an_unknown_head_is_refused() -> None:
    with pytest.raises(ConfigError, match="head"):
        sample_bridge(
            denoise,
            BrownianBridgeScheduler(),
            SOURCE,
            CONDITION,
            num_inference_steps=1,
            head="sigmoid",  # type: ignore[arg-type]
        )


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_that_are_not_finite_do_not_pass_as_a_result(bad: float) -> None:
    with pytest.raises(EngineError, match="finite"):
        refine(denoiser=lambda sample, *_: sample * bad)


def test_a_callback_can_stop_the_loop() -> None:
    class StopHereError(Exception):
        pass

    def stop(step: int, _: BridgeStepOutput) -> None:
        if step == 1:
            raise StopHereError

    calls: list[int] = []

    def count(sample: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return sample

    with pytest.raises(StopHereError):
        sample_bridge(
            count,
            BrownianBridgeScheduler(),
            SOURCE,
            CONDITION,
            num_inference_steps=5,
            eta=0.0,
            on_step=stop,
        )
    assert len(calls) == 2
