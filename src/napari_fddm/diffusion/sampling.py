"""The sampling loop: the reverse process from the coarse map to the refined one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np
import torch

from napari_fddm.core.errors import ConfigError, EngineError
from napari_fddm.diffusion.noise import cell_noise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_fddm.core.geometry import Window
    from napari_fddm.diffusion.bridge import BridgeStepOutput, BrownianBridgeScheduler

    NoiseSource = Callable[[int], torch.Tensor]
    """From the index of a step, 0 at the source end, to its noise (b, c, h, w)."""

Head = Literal["softmax", "linear"]


class Clamp(NamedTuple):
    """Cells whose x_0 is known.

    Attributes
    ----------
    original : Tensor, shape (b, c, h, w)
        Their x_0; elsewhere it means nothing.
    known : Tensor of bool, shape (b, 1, h, w)
        Where x_0 is known.
    """

    original: torch.Tensor
    known: torch.Tensor

    def put(self, values: torch.Tensor) -> torch.Tensor:
        """Return a map (b, c, h, w) with the known x_0 put into it, bit for bit."""
        return torch.where(self.known, self.original.to(values.dtype), values)


class DenoiserFunction(Protocol):
    """A denoiser as the sampler calls it: a network, or any function with its arguments."""

    def __call__(
        self, sample: torch.Tensor, timestep: torch.Tensor, condition: torch.Tensor, /
    ) -> torch.Tensor:
        """Return the output (b, c, h, w) for x_t (b, c, h, w), t (b,), condition (b, k, h, w)."""
        ...


def sample_bridge(
    denoiser: DenoiserFunction,
    scheduler: BrownianBridgeScheduler,
    source_bchw: torch.Tensor,
    condition_bchw: torch.Tensor,
    *,
    num_inference_steps: int,
    eta: float = 1.0,
    noise: NoiseSource | None = None,
    boot_noise: bool = False,
    head: Head = "softmax",
    clamp: Clamp | None = None,
    on_step: Callable[[int, BridgeStepOutput], None] | None = None,
) -> torch.Tensor:
    """Refine a batch of coarse maps into class probabilities.

    Parameters
    ----------
    denoiser : DenoiserFunction
        The network, in evaluation mode and on the device of the source.
    scheduler : BrownianBridgeScheduler
        The bridge; its timesteps are set here.
    source_bchw : Tensor, shape (b, c, h, w)
        y, the coarse class probabilities.
    condition_bchw : Tensor, shape (b, k, h, w)
        What the denoiser sees of the tissue and of y, unchanged in every step.
    num_inference_steps : int
        Network calls. With 1 the result is softmax(denoiser(y, T, condition)), the
        direct prediction (``docs/algorithm.md#conditional-diffusion``).
    eta : float
        1 draws from the exact posterior, 0 follows a deterministic path.
    noise : callable, optional
        Gives each step its noise; see `region_noise`. It may be left out only where no
        noise is needed: with eta 0 or in a single step.
    boot_noise : bool
        Take the first step with eta = 1 whatever eta is.
    head : {"softmax", "linear"}
        "softmax": the output is logits of x_0. "linear": it is what the scheduler's
        ``prediction_type`` says, and the result is clipped to probabilities.
    clamp : Clamp, optional
        Cells whose x_0 is known: it replaces the network's estimate in every step. The
        source must have the same values there (`Clamp.put`): a bridge between equal ends.
    on_step : callable, optional
        Called after each step with its index and result; may raise to stop.

    Returns
    -------
    Tensor, shape (b, c, h, w)
        Probabilities, in the type of the source.

    Raises
    ------
    ConfigError
        If a parameter is not allowed, noise is needed but missing, or the denoiser's
        output has another shape than the source.
    EngineError
        If the result is not finite.
    """
    last = num_inference_steps - 1
    noisy_steps = range(last if eta > 0 else min(last, int(boot_noise)))
    if noise is None and len(noisy_steps) > 0:
        raise ConfigError(
            "sampling in several steps with eta > 0 or boot_noise draws noise, but none is given.",
            hint="Pass noise=region_noise(…), or eta=0.",
        )
    scheduler.set_timesteps(num_inference_steps, device=source_bchw.device)
    with torch.no_grad():
        sample = source_bchw  # x_T = y
        for i, timestep in enumerate(scheduler.timesteps):
            # 1. Call the network, and turn its output into an estimate of x_0.
            output = denoiser(sample, timestep.expand(sample.shape[0]), condition_bchw)
            pred_original = _pred_original(output, head, scheduler, sample, source_bchw, timestep)
            if clamp is not None:
                pred_original = clamp.put(pred_original)

            # 2. Take one reverse step. The last one ends at m = 0 and needs no noise.
            stepped = scheduler.step_from_original(
                pred_original,
                timestep,
                sample,
                source_bchw,
                eta=eta,
                variance_noise=noise(i) if noise is not None and i in noisy_steps else None,
                boot_noise=boot_noise,
            )
            sample = stepped.prev_sample  # (b c h w)
            if on_step is not None:
                on_step(i, stepped)
        # 3. x_0 is the estimate itself: probabilities already, if the head is softmax.
        probs = sample if head == "softmax" else project_to_probabilities(sample)
        if clamp is not None:
            probs = clamp.put(probs)
    if not bool(torch.isfinite(probs).all()):
        raise EngineError(
            "the refiner's network returned numbers that are not finite.",
            hint="Run it in float32, and check its weights.",
        )
    return probs


def project_to_probabilities(values: torch.Tensor) -> torch.Tensor:
    """Clip negative classes to 0 and make every cell of (b, c, h, w) sum to 1.

    Cells without a positive class become uniform.
    """
    positive = values.clamp(min=0)
    total = positive.sum(dim=1, keepdim=True)  # (b 1 h w)
    uniform = torch.full_like(values, 1.0 / values.shape[1])
    return torch.where(
        total > 0, positive / total.clamp(min=torch.finfo(total.dtype).tiny), uniform
    )


def region_noise(
    windows: Sequence[Window],
    *,
    channels: int,
    seed: int,
    sample: int = 0,
    like: torch.Tensor | None = None,
) -> NoiseSource:
    """Return the noise of a batch of regions, keyed by their place on the cell grid.

    Parameters
    ----------
    windows : sequence of Window
        The regions on the global cell grid, one per batch entry, of equal size.
    channels : int
        Number of classes.
    seed, sample : int
        Seed of the run and number of the sample.
    like : Tensor, optional
        Device and dtype of the noise; CPU and float32 if left out.

    Returns
    -------
    callable
        From the step's index to a Tensor of shape (b, c, h, w).
    """

    def noise_of(step: int) -> torch.Tensor:
        batch = np.stack(
            [cell_noise(w, channels=channels, seed=seed, sample=sample, step=step) for w in windows]
        )  # (b c h w)
        noise = torch.from_numpy(batch)
        return noise if like is None else noise.to(like)

    return noise_of


def _pred_original(
    output: torch.Tensor,
    head: Head,
    scheduler: BrownianBridgeScheduler,
    sample: torch.Tensor,
    source: torch.Tensor,
    timestep: torch.Tensor,
) -> torch.Tensor:
    if output.shape != sample.shape:
        raise ConfigError(
            f"the denoiser returned {tuple(output.shape)} for a map of {tuple(sample.shape)}.",
            hint="Its output channels must be the classes of the source.",
        )
    if head == "softmax":
        return output.to(sample.dtype).softmax(dim=1)
    if head == "linear":
        return scheduler.predict_original(output.to(sample.dtype), sample, source, timestep)
    raise ConfigError(f"head cannot be {head!r}.", hint="Use softmax or linear.")
