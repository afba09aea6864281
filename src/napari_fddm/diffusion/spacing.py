"""Spacing of the reverse process: which timesteps it visits.

``last`` is the timestep of the source end, where sampling starts, ``first`` the
smallest one a state can be denoised from. The clean end (m = 0) is never among the
timesteps: it is where the last step ends.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


def linear_timesteps(num_inference_steps: int, first: int, last: int) -> list[int]:
    """Return evenly spaced timesteps; one more such step would be the clean end.

    Parameters
    ----------
    num_inference_steps : int
        n, from 1 to ``last - first + 1``.
    first, last : int
        Limits; the clean end is at ``first - 1``.

    Returns
    -------
    list of int
        n timesteps, strictly decreasing from ``last``.

    Raises
    ------
    ConfigError
        If there are not that many timesteps.
    """
    n = _checked_count(num_inference_steps, first, last)
    wanted = last - np.arange(n) * (last - first + 1) / n
    # The steps are at least 1 apart, so rounding halves upwards keeps them distinct.
    return [int(t) for t in np.floor(wanted + 0.5)]


def log_snr_timesteps(
    num_inference_steps: int, mixing: npt.NDArray[np.float64], first: int
) -> list[int]:
    """Return timesteps that are evenly spaced in the logarithm of the signal-to-noise ratio.

    With y given, x_t shows x_0 under noise of variance σ² = 2 s m / (1 - m)
    (``docs/algorithm.md#conditional-diffusion``), so log σ² is logit(m) plus a constant
    and even spacing in it is even spacing in logit(m), whatever s is. Where the bridge
    is pinned, logit(m) is infinite; the pin then counts as half a grid step away from its end.

    Parameters
    ----------
    num_inference_steps : int
        n, from 1 to ``len(mixing) - first``.
    mixing : array of float64, shape (timesteps,)
        m of every timestep, increasing.
    first : int
        Smallest timestep.

    Returns
    -------
    list of int
        n timesteps, strictly decreasing from ``len(mixing) - 1``.

    Raises
    ------
    ConfigError
        If there are not that many timesteps.
    """
    last = mixing.size - 1
    n = _checked_count(num_inference_steps, first, last)
    half_step = 0.5 * float(mixing[1] - mixing[0])
    start = min(float(mixing[-1]), 1.0 - half_step)
    end = max(float(mixing[0]), half_step)
    logits = np.linspace(_logit(start), _logit(end), n + 1)[:-1]
    wanted = np.interp(1.0 / (1.0 + np.exp(-logits)), mixing, np.arange(mixing.size))
    wanted[0] = last
    # Where the wanted steps are closer than one timestep, take neighboring timesteps.
    steps = np.arange(n)
    rounded = np.floor(wanted + 0.5).astype(np.int64)
    decreasing = np.minimum.accumulate(rounded + steps) - steps
    return [int(t) for t in np.maximum(decreasing, first + (n - 1 - steps))]


def bbdm_timesteps(num_inference_steps: int, last: int = 999) -> list[int]:
    """Return the timesteps of BBDM's published sampler (``docs/algorithm.md#timesteps``).

    Its rule needs at least three steps, and from 502 of 1000 on repeats index 1.
    There our own applies: 1 and 2 steps divide the way to the clean end evenly, 502
    and more the way from ``last`` to 0.

    Parameters
    ----------
    num_inference_steps : int
        n, from 1 to ``last + 1``.
    last : int
        Timestep of the source end.

    Returns
    -------
    list of int
        n timesteps, strictly decreasing from ``last``, to 0 if n ≥ 3.

    Raises
    ------
    ConfigError
        If there are not that many timesteps.
    """
    n = _checked_count(num_inference_steps, 0, last)
    if n < 3:
        return linear_timesteps(n, 0, last)
    if n > last // 2 + 2:
        return [int(t) for t in np.floor(np.linspace(last, 0, n) + 0.5)]
    spaced = np.trunc(np.arange(last, 1, -(last / (n - 2))))
    return [*(int(t) for t in spaced), 1, 0]


def checked_timesteps(timesteps: Sequence[int], first: int, last: int) -> list[int]:
    """Return a custom schedule as a list, checked.

    Raises
    ------
    ConfigError
        If it is empty, not strictly decreasing, or leaves ``first``…``last``.
    """
    steps = [int(t) for t in timesteps]
    decreasing = all(t > n for t, n in pairwise(steps))
    if not steps or not decreasing or steps[0] > last or steps[-1] < first:
        raise ConfigError(
            f"timesteps must be strictly decreasing within {first}…{last}, got {steps}."
        )
    return steps


def _checked_count(num_inference_steps: int, first: int, last: int) -> int:
    most = last - first + 1
    if not 1 <= num_inference_steps <= most:
        raise ConfigError(
            f"num_inference_steps must be from 1 to {most}, got {num_inference_steps}.",
            hint="1 is the direct prediction; 5 to 20 are usual.",
        )
    return num_inference_steps


def _logit(p: float) -> float:
    return float(np.log(p) - np.log1p(-p))
