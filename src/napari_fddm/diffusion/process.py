"""The Brownian bridge as functions of m: variances, transition, posterior.

All in float64. m_t in [0, 1] is how far the state x_t has moved from x_0 to y, s
the ``max_variance``, n the step that comes before t on the way (m_n < m_t).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_fddm.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt


class Posterior(NamedTuple):
    """q(x_n | x_t, x_0, y) in BBDM's factors: mean = c_xt x_t + c_yt y - c_et (x_t - x_0).

    Attributes
    ----------
    c_xt, c_yt, c_et : float
        Factors of the state, the source and the bridge difference.
    variance : float
        Posterior variance, the same for every element.
    """

    c_xt: float
    c_yt: float
    c_et: float
    variance: float


def exact_mixing(num_train_timesteps: int) -> npt.NDArray[np.float64]:
    """Return m_t = t / T for t = 0…T, pinned to x_0 and to y (FDDM 2.3)."""
    return np.arange(num_train_timesteps + 1, dtype=np.float64) / num_train_timesteps


def bbdm_mixing(num_train_timesteps: int) -> npt.NDArray[np.float64]:
    """Return the published code's T values from 0.001 to 0.999, pinned at neither end."""
    return np.linspace(0.001, 0.999, num_train_timesteps)


def bridge_variance(m: float, s: float) -> float:
    """Return d = 2 s m (1 - m), the variance of q(x_t | x_0, y): s / 2 at most."""
    return 2.0 * s * m * (1.0 - m)


def bridge_transition(m_t: float, m_n: float, s: float) -> tuple[float, float]:
    """Return r and d_{t|n} of the forward step n → t (``docs/algorithm.md#forward-process``).

    x_t = r x_n + (m_t - r m_n) y + sqrt(d_{t|n}) z with r = (1 - m_t) / (1 - m_n)
    and d_{t|n} = d_t - r² d_n, written here without the cancelling difference.

    Raises
    ------
    ConfigError
        If n does not come before t.
    """
    _require_order(m_t, m_n)
    r = (1.0 - m_t) / (1.0 - m_n)
    return r, 2.0 * s * r * (m_t - m_n)


def bridge_posterior(m_t: float, m_n: float, s: float) -> Posterior:
    """Return BBDM's factors of q(x_n | x_t, x_0, y) (``docs/algorithm.md#posterior``).

    BBDM and FDDM print the mean with plus before c_et; it has to be minus. The two
    ratios are reduced by 1 - m_t, so that they stay finite at the pinned source
    end, where d_t = 0. Because d is proportional to m (1 - m), the factors come out
    as 1, 0 and 1 - m_n / m_t: y itself has no part in the update.

    Raises
    ------
    ConfigError
        If n does not come before t.
    """
    _require_order(m_t, m_n)
    carried = m_n / m_t  # (d_n / d_t) r
    added = (m_t - m_n) / (m_t * (1.0 - m_n))  # d_{t|n} / d_t
    return Posterior(
        c_xt=carried + (1.0 - m_n) * added,
        c_yt=m_n - m_t * carried,
        c_et=(1.0 - m_n) * added,
        variance=added * bridge_variance(m_n, s),
    )


def noise_factors(
    m_t: float, m_n: float, s: float, eta: float, *, legacy: bool = False
) -> tuple[float, float]:
    """Return how much of the state's noise is kept, k, and the new noise's sd.

    k² d_t + sd² = d_n for every eta, so every state has the marginal of the bridge
    (``docs/algorithm.md#bridge-step``; DDIM, arXiv:2010.02502, makes the same argument).
    The published code (``legacy``) leaves eta out of k, and then this only holds for eta = 1.
    At the pinned source end there is no noise to keep: k = 0, and what eta < 1
    leaves out is missing from the next state.

    Raises
    ------
    ConfigError
        If eta is not from 0 to 1, or n does not come before t.
    """
    if not 0.0 <= eta <= 1.0:
        raise ConfigError(f"eta must be from 0 to 1, got {eta}.")
    new = bridge_posterior(m_t, m_n, s).variance
    removed = new if legacy else eta**2 * new
    d_t, d_n = bridge_variance(m_t, s), bridge_variance(m_n, s)
    k = math.sqrt(max(d_n - removed, 0.0) / d_t) if d_t > 0.0 else 0.0
    return k, eta * math.sqrt(new)


def _require_order(m_t: float, m_n: float) -> None:
    if not 0.0 <= m_n < m_t <= 1.0:
        raise ConfigError(f"a step goes from m to a smaller m within [0, 1], not {m_t} to {m_n}.")
