"""The Brownian bridge between a coarse map and a true one, as a diffusion scheduler.

Notation: x_0 the true map (``original_sample``), y the coarse map (``source``),
x_t the state between them (``sample``), each (b, c, h, w); m_t in [0, 1] how far
the state has moved from x_0 to y; d_t its variance. FDDM is arXiv 2501.01932,
BBDM arXiv 2205.07680; their formulas are used with the signs and the eta that
``docs/algorithm.md#bridge`` derives, since the printed ones do not hold.

"Discrete diffusion" in FDDM's title is this Gaussian bridge on class
probabilities; there are no categorical transitions.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
import torch

from napari_fddm.core.errors import ConfigError
from napari_fddm.diffusion import process, spacing

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

Schedule = Literal["exact", "bbdm"]
PredictionType = Literal["bridge_difference", "noise", "source_minus_sample"]
StepSpacing = Literal["linear", "log_snr"]

CLEAN_END = -1
"""What `previous_timestep` returns where m = 0 has no timestep of its own ("bbdm")."""


class BridgeStepOutput(NamedTuple):
    """One reverse step: x_n and the estimate of x_0 it was made from, each (b, c, h, w)."""

    prev_sample: torch.Tensor
    pred_original_sample: torch.Tensor


class BrownianBridgeScheduler:
    """Brownian bridge with the calling conventions of diffusers' schedulers.

    Parameters
    ----------
    num_train_timesteps : int
        T. The exact schedule has the timesteps 0…T, BBDM's has 0…T - 1.
    max_variance : float
        s > 0; the bridge's variance is 2 s m (1 - m). It only shifts the log-SNR.
    schedule : {"exact", "bbdm"}
        "exact" is m_t = t / T, pinned to x_0 and to y at its ends. "bbdm" is the
        published code's m = linspace(0.001, 0.999, T), pinned at neither.
    prediction_type : {"bridge_difference", "noise", "source_minus_sample"}
        What the network's output means: x_t - x_0, the noise ε, or y - x_0.
    legacy_eta : bool
        Reproduce the published reverse step, under-dispersed for eta < 1
        (``docs/algorithm.md#bridge-step``). For comparisons only.
    step_spacing : {"linear", "log_snr"}, optional
        How `set_timesteps` spaces its steps. By default log-SNR for the exact
        schedule, and BBDM's own list, which is its "linear", for "bbdm".

    Attributes
    ----------
    timesteps : Tensor of int64, shape (num_inference_steps,)
        Strictly decreasing; all of them until `set_timesteps` is called.
    mixing : array of float64
        m of every timestep, read-only.

    Raises
    ------
    ConfigError
        If a parameter has a value that is not allowed.
    """

    def __init__(
        self,
        num_train_timesteps: int = 1000,
        max_variance: float = 0.5,
        schedule: Schedule = "exact",
        prediction_type: PredictionType = "bridge_difference",
        *,
        legacy_eta: bool = False,
        step_spacing: StepSpacing | None = None,
    ) -> None:
        if num_train_timesteps < 2:
            raise ConfigError(f"num_train_timesteps must be at least 2, got {num_train_timesteps}.")
        if not (math.isfinite(max_variance) and max_variance > 0):
            raise ConfigError(f"max_variance must be a positive number, got {max_variance}.")
        if step_spacing is None:
            step_spacing = "log_snr" if schedule == "exact" else "linear"
        for name, value, kind in (
            ("schedule", schedule, Schedule),
            ("prediction_type", prediction_type, PredictionType),
            ("step_spacing", step_spacing, StepSpacing),
        ):
            if value not in get_args(kind):
                allowed = ", ".join(get_args(kind))
                raise ConfigError(f"{name} cannot be {value!r}.", hint=f"Use one of {allowed}.")
        self.num_train_timesteps = num_train_timesteps
        self.max_variance = float(max_variance)
        self.schedule = schedule
        self.prediction_type = prediction_type
        self.legacy_eta = legacy_eta
        self.step_spacing = step_spacing
        mixing_of = process.exact_mixing if schedule == "exact" else process.bbdm_mixing
        self.mixing = mixing_of(num_train_timesteps)
        self.mixing.flags.writeable = False
        self.set_timesteps(self.last_timestep - self.first_timestep + 1)

    # Schedule -----------------------------------------------------------------

    @property
    def first_timestep(self) -> int:
        """Smallest timestep a sample can be denoised from: 1 if m_0 = 0, else 0."""
        return 1 if self.schedule == "exact" else 0

    @property
    def last_timestep(self) -> int:
        """Timestep of the source end, where sampling starts."""
        return int(self.mixing.size) - 1

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: torch.device | str | None = None,
        *,
        timesteps: Sequence[int] | None = None,
    ) -> None:
        """Choose the timesteps that the reverse process visits.

        Parameters
        ----------
        num_inference_steps : int, optional
            Number of network calls, the first at the source end. The last one's
            ``prev_sample`` is at m = 0 exactly.
        device : device, optional
            Where to put `timesteps`.
        timesteps : sequence of int, optional
            A custom schedule, strictly decreasing, without the clean end.

        Raises
        ------
        ConfigError
            If neither or both are given, or the values are not possible.
        """
        first, last = self.first_timestep, self.last_timestep
        if (num_inference_steps is None) == (timesteps is None):
            raise ConfigError("set_timesteps needs num_inference_steps or timesteps, and only one.")
        if num_inference_steps is None:
            steps = spacing.checked_timesteps(timesteps or (), first, last)
        elif self.step_spacing == "log_snr":
            steps = spacing.log_snr_timesteps(num_inference_steps, self.mixing, first)
        elif self.schedule == "bbdm":
            steps = spacing.bbdm_timesteps(num_inference_steps, last)
        else:
            steps = spacing.linear_timesteps(num_inference_steps, first, last)
        self.timesteps = torch.tensor(steps, dtype=torch.long, device=device)
        clean_end = 0 if self.schedule == "exact" else CLEAN_END
        self._first_visited = steps[0]
        self._previous = dict(pairwise([*steps, clean_end]))

    def previous_timestep(self, timestep: int | torch.Tensor) -> int:
        """Return where `step` goes from this timestep: 0 or `CLEAN_END` after the last.

        Raises
        ------
        ConfigError
            If `set_timesteps` did not choose this timestep.
        """
        t = _as_int(timestep)
        if t not in self._previous:
            raise ConfigError(
                f"timestep {t} is not one of the {len(self._previous)} chosen ones.",
                hint="Iterate over scheduler.timesteps.",
            )
        return self._previous[t]

    def timestep_at(self, mixing: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Return the timesteps, from `first_timestep` on, whose m is nearest."""
        nearest = np.interp(mixing, self.mixing, np.arange(self.mixing.size))
        return np.maximum(np.floor(nearest + 0.5).astype(np.int64), self.first_timestep)

    # The process, in float64 --------------------------------------------------

    def m(self, timestep: int) -> float:
        """Return m_t; 0 for `CLEAN_END`."""
        return 0.0 if timestep == CLEAN_END else float(self.mixing[timestep])

    def variance(self, timestep: int) -> float:
        """Return d_t, the variance of q(x_t | x_0, y); see `process.bridge_variance`."""
        return process.bridge_variance(self.m(timestep), self.max_variance)

    def posterior(self, timestep: int, previous: int) -> process.Posterior:
        """Return c_xt, c_yt, c_et and the variance; see `process.bridge_posterior`."""
        return process.bridge_posterior(self.m(timestep), self.m(previous), self.max_variance)

    def noise_factors(self, timestep: int, previous: int, eta: float) -> tuple[float, float]:
        """Return the kept noise's factor k and the new noise's sd; see `process.noise_factors`."""
        m_t, m_n = self.m(timestep), self.m(previous)
        return process.noise_factors(m_t, m_n, self.max_variance, eta, legacy=self.legacy_eta)

    # Training -----------------------------------------------------------------

    def add_noise(
        self,
        original_sample: torch.Tensor,
        source: torch.Tensor,
        noise: torch.Tensor,
        timesteps: torch.Tensor | int,
    ) -> torch.Tensor:
        """Draw x_t from q(x_t | x_0, y) = N((1 - m_t) x_0 + m_t y, d_t) (FDDM 2.3).

        Parameters
        ----------
        original_sample, source, noise : Tensor, shape (b, c, h, w)
            x_0, y and ε ~ N(0, 1).
        timesteps : Tensor of int64, shape (b,), or int

        Returns
        -------
        Tensor, shape (b, c, h, w)
            Exactly x_0 where m = 0 and exactly y where m = 1. The classes of a cell
            sum to 1 + sqrt(d_t) Σ ε, not to 1.

        Raises
        ------
        ConfigError
            If a timestep is out of range.
        """
        m, sd = self._coefficients(timesteps, original_sample)  # (b 1 1 1)
        return torch.lerp(original_sample, source, m) + sd * noise

    def get_target(
        self,
        original_sample: torch.Tensor,
        source: torch.Tensor,
        noise: torch.Tensor,
        timesteps: torch.Tensor | int,
    ) -> torch.Tensor:
        """Return what the network should predict; parameters as of `add_noise`.

        The bridge difference m_t (y - x_0) + sqrt(d_t) ε (FDDM eq. 2) is x_t - x_0.
        """
        if self.prediction_type == "noise":
            return noise
        if self.prediction_type == "source_minus_sample":
            return source - original_sample
        m, sd = self._coefficients(timesteps, original_sample)  # (b 1 1 1)
        return m * (source - original_sample) + sd * noise

    # Sampling -----------------------------------------------------------------

    def predict_original(
        self,
        model_output: torch.Tensor,
        sample: torch.Tensor,
        source: torch.Tensor,
        timesteps: torch.Tensor | int,
    ) -> torch.Tensor:
        """Turn the network's output into its estimate of x_0 (docs/algorithm.md#prediction-types).

        All are (b, c, h, w); ``timesteps`` is (b,) or one for all.

        Raises
        ------
        ConfigError
            If the output is the noise and m = 1, where x_t = y does not depend on x_0.
        """
        if self.prediction_type == "bridge_difference":
            return sample - model_output
        if self.prediction_type == "source_minus_sample":
            return source - model_output
        m, sd = self._coefficients(timesteps, sample)  # (b 1 1 1)
        if bool((m == 1).any()):
            raise ConfigError(
                "the noise prediction is undefined at m = 1, where it divides by 1 - m.",
                hint='Use prediction_type="bridge_difference" or schedule="bbdm".',
            )
        # FDDM eq. 3, with minus before the noise, where the paper prints plus.
        return (sample - m * source - sd * model_output) / (1.0 - m)

    def step(
        self,
        model_output: torch.Tensor,
        timestep: int | torch.Tensor,
        sample: torch.Tensor,
        source: torch.Tensor,
        *,
        eta: float = 1.0,
        generator: torch.Generator | None = None,
        variance_noise: torch.Tensor | None = None,
        boot_noise: bool = False,
    ) -> BridgeStepOutput:
        """Go back from x_t to x_n, given the network's output at t.

        Parameters
        ----------
        model_output, sample, source : Tensor, shape (b, c, h, w)
            The network's output, of the scheduler's ``prediction_type``, x_t and y.
        timestep : int or Tensor
            t, one of `timesteps`.
        eta : float
            1 draws from the exact posterior, 0 follows a deterministic path with
            the same marginals.
        generator : torch.Generator, optional
            Where new noise comes from; torch's default one if left out.
        variance_noise : Tensor, shape (b, c, h, w), optional
            The new noise itself.
        boot_noise : bool
            Take the first step with eta = 1. A path that leaves the pinned end
            without noise stays where training never goes (``docs/algorithm.md#first-step``).

        Raises
        ------
        ConfigError
            If the timestep is not one of `timesteps`, or eta is not from 0 to 1.
        """
        t = _as_int(timestep)
        return self.step_from_original(
            self.predict_original(model_output, sample, source, t),
            t,
            sample,
            source,
            eta=eta,
            generator=generator,
            variance_noise=variance_noise,
            boot_noise=boot_noise,
        )

    def step_from_original(
        self,
        pred_original_sample: torch.Tensor,
        timestep: int | torch.Tensor,
        sample: torch.Tensor,
        source: torch.Tensor,
        *,
        eta: float = 1.0,
        generator: torch.Generator | None = None,
        variance_noise: torch.Tensor | None = None,
        boot_noise: bool = False,
    ) -> BridgeStepOutput:
        """Go back from x_t to x_n, given an estimate of x_0; otherwise as `step`.

        For a head that predicts x_0 itself, like softmax over the classes: no round
        trip through x_t - x_0, which would lose the last bits.
        """
        t = _as_int(timestep)
        n = self.previous_timestep(t)
        if boot_noise and t == self._first_visited:
            eta = 1.0

        # 1. Split the next marginal's variance: k² d_t kept from x_t, new_sd² drawn anew
        #    (as DDIM does, arXiv:2010.02502; docs/algorithm.md#bridge-step).
        k, new_sd = self.noise_factors(t, n, eta)

        # 2. The noise that x_t holds: R = x_t - (1 - m_t) x_0 - m_t y.
        residual = sample - torch.lerp(pred_original_sample, source, self.m(t))  # (b c h w)

        # 3. The mean (1 - m_n) x_0 + m_n y + k R. At eta = 1 it is the posterior's,
        #    c_xt x_t + c_yt y - c_et (x_t - x_0), for then k = m_n / m_t.
        prev_sample = torch.lerp(pred_original_sample, source, self.m(n)) + k * residual

        # 4. New noise; none on the last step, where d_n = 0 and prev_sample is x_0.
        if new_sd > 0.0:
            if variance_noise is None:
                variance_noise = _randn_like(sample, generator)
            prev_sample = prev_sample + new_sd * variance_noise
        return BridgeStepOutput(prev_sample, pred_original_sample)

    # Helpers ------------------------------------------------------------------

    def _coefficients(
        self, timesteps: torch.Tensor | int, like: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        wanted = torch.as_tensor(timesteps, dtype=torch.long)
        if bool(((wanted < 0) | (wanted > self.last_timestep)).any()):
            raise ConfigError(f"timesteps must be from 0 to {self.last_timestep}, got {timesteps}.")
        m = torch.tensor(self.mixing, dtype=torch.float64, device=wanted.device)[wanted]
        sd = torch.sqrt(2.0 * self.max_variance * m * (1.0 - m))
        shape = (-1, *[1] * (like.ndim - 1))  # (b 1 1 1)
        return m.to(like).reshape(shape), sd.to(like).reshape(shape)


def _as_int(timestep: int | torch.Tensor) -> int:
    if isinstance(timestep, torch.Tensor) and timestep.numel() != 1:
        raise ConfigError(f"a step has one timestep, got {timestep.numel()}.")
    return int(timestep)


def _randn_like(sample: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    # Drawn on the generator's device, so that a CPU seed gives the same noise on a GPU.
    device = sample.device if generator is None else generator.device
    noise = torch.randn(sample.shape, generator=generator, device=device, dtype=sample.dtype)
    return noise.to(sample.device)
