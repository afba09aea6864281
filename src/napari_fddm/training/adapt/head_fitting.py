"""Retraining of a head from its own weights: strokes pull, the old head holds.

The loss is cross-entropy on the painted samples, plus two ties to the old head: its own
answers on places where nobody painted (distillation; Hinton, Vinyals and Dean 2015), and
the distance from its weights (L2-SP; Li, Grandvalet and Davoine, ICML 2018). Where an
unpainted place looks like a painted one, strokes are to spread to it, so the tie is
loosened there.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt


USUAL_FROM = 512
"""Unpainted places whose distances are looked at: all of them would take longer than learning."""


@dataclass(frozen=True, slots=True)
class HeadFitting:
    """Settings; each was chosen on simulated strokes (``benchmarks/adapt_simulation.py``).

    Attributes
    ----------
    steps : int
        Of Adam, each on all samples.
    lr : float
        Its rate, brought down to zero by a cosine.
    hold_answers : float
        Weight of the distillation, against 1 for the strokes.
    hold_weights : float
        Weight of half the squared distance from the old weights.
    reach : float
        How alike an unpainted place must be to a painted one for its tie to be loosened:
        the tie's weight is 1 − exp(−(d / (reach · d̄))²), d the distance to the nearest
        painted sample, d̄ the median distance between unpainted ones.
    noise : float
        Standard deviation of the noise on standardized features: few samples fill more of
        the space.
    seed : int
        Of that noise.
    """

    steps: int = 60
    lr: float = 3e-3
    hold_answers: float = 0.05
    hold_weights: float = 1e-2
    reach: float = 1.0
    noise: float = 0.6
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """What a head learns from.

    Attributes
    ----------
    features : tensor, shape (n, d)
        Of painted samples.
    channels : tensor of int64, shape (n,)
        Their class channels.
    weights : tensor, shape (n,)
        Sum to 1.
    unpainted : tensor, shape (m, d)
        Features of places where nobody painted.
    """

    features: torch.Tensor
    channels: torch.Tensor
    weights: torch.Tensor
    unpainted: torch.Tensor

    @classmethod
    def of(
        cls,
        features: npt.NDArray[np.floating],
        labels: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float64],
        unpainted: npt.NDArray[np.floating],
    ) -> Examples:
        """Take arrays; labels are class values, from 1."""
        return cls(
            torch.from_numpy(features).float(),
            torch.from_numpy(labels - 1),
            torch.from_numpy(weights).float(),
            torch.from_numpy(unpainted).float(),
        )


def fit_head(head: nn.Module, examples: Examples, settings: HeadFitting) -> nn.Module:
    """Return a retrained copy of a head; the head itself stays as it is.

    Parameters
    ----------
    head : nn.Module
        Turns (n, d) into class scores (n, classes); on the CPU, in float32.
    examples : Examples
        Strokes, and unpainted places.
    settings : HeadFitting
        How.
    """
    with _one_thread():
        return _fit(head, examples, settings)


def _fit(head: nn.Module, examples: Examples, settings: HeadFitting) -> nn.Module:
    new = copy.deepcopy(head).train()
    start = [p.detach().clone() for p in new.parameters()]
    hold = _ties(examples, settings)
    with torch.no_grad():
        answers = head(examples.unpainted).softmax(dim=1)
    spread = _spread(examples)
    generator = torch.Generator().manual_seed(settings.seed)
    optimizer = torch.optim.Adam(new.parameters(), lr=settings.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    for _ in range(settings.steps):
        noise = torch.randn(examples.features.shape, generator=generator)
        noisy = examples.features + settings.noise * spread * noise
        losses = functional.cross_entropy(new(noisy), examples.channels, reduction="none")
        loss = (examples.weights * losses).sum()
        if len(hold):
            held = functional.cross_entropy(new(examples.unpainted), answers, reduction="none")
            loss = loss + settings.hold_answers * (hold * held).mean()
        moved = sum((p - q).square().sum() for p, q in zip(new.parameters(), start, strict=True))
        loss = loss + 0.5 * settings.hold_weights * moved
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return new.eval()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one thread: a step is so small that threads only wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _spread(examples: Examples) -> torch.Tensor:
    """Return the standard deviation of each feature, shape (d,)."""
    known = torch.cat([examples.features, examples.unpainted])
    return known.std(dim=0) if len(known) > 1 else torch.zeros(known.shape[1])


def _ties(examples: Examples, settings: HeadFitting) -> torch.Tensor:
    """Return how firmly each unpainted place is held, in [0, 1], shape (m,)."""
    if not len(examples.unpainted):
        return torch.zeros(0)
    scale = _spread(examples).clamp(min=1e-6)
    painted, unpainted = examples.features / scale, examples.unpainted / scale
    nearest = torch.cdist(unpainted, painted).min(dim=1).values
    some = unpainted[:: max(1, len(unpainted) // USUAL_FROM)]
    usual = torch.cdist(some, some).median()
    return 1 - torch.exp(-((nearest / (settings.reach * usual).clamp(min=1e-6)) ** 2))
