"""Retraining of a classification head on painted samples, starting from its own weights.

The loss is the cross-entropy on the painted samples, and two terms that keep the new head near
the old one: the cross-entropy with the old head's answers on unpainted samples (distillation;
Hinton, Vinyals and Dean 2015), and the squared distance from its weights (L2-SP; Li, Grandvalet
and Davoine, ICML 2018). An unpainted sample that looks like a painted one is to follow the
strokes, so the distillation weighs less there.
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


DISTANCE_SAMPLES = 512
"""Unpainted samples whose distances are measured: all of them would take longer than learning."""


@dataclass(frozen=True, slots=True)
class HeadFitting:
    """Settings; each was chosen on simulated strokes (``benchmarks/adapt_simulation.py``).

    Attributes
    ----------
    steps : int
        Steps of Adam, each on all samples.
    lr : float
        Learning rate of the first step, which a cosine brings down to zero.
    hold_answers : float
        Weight of the distillation, where the strokes have 1.
    hold_weights : float
        Weight of half the squared distance from the old weights.
    reach : float
        How similar to a painted sample an unpainted one must be to be distilled less: its
        weight is 1 − exp(−(d / (reach · d̄))²), where d is the distance to the nearest painted
        sample and d̄ the median distance between unpainted ones.
    noise : float
        Standard deviation of the noise that is added to standardized features, so that few
        samples cover more of the feature space.
    seed : int
        Seed of that noise.
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
    """Samples on which a head is retrained.

    Attributes
    ----------
    features : tensor, shape (n, d)
        Features of painted samples.
    channels : tensor of int64, shape (n,)
        Their class channels.
    weights : tensor, shape (n,)
        Their weights, which sum to 1.
    unpainted : tensor, shape (m, d)
        Features of unpainted samples.
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
        """Convert arrays; labels are class values, from 1."""
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
        Maps (n, d) to logits (n, classes); on the CPU, in float32.
    examples : Examples
        Painted and unpainted samples.
    settings : HeadFitting
        Steps, weights of the loss and so on.
    """
    with _one_thread():
        return _fit(head, examples, settings)


def _fit(head: nn.Module, examples: Examples, settings: HeadFitting) -> nn.Module:
    new = copy.deepcopy(head).train()
    old = [p.detach().clone() for p in new.parameters()]
    hold = _distillation_weights(examples, settings)
    with torch.no_grad():
        answers = head(examples.unpainted).softmax(dim=1)
    scale = _standard_deviation(examples)
    generator = torch.Generator().manual_seed(settings.seed)
    optimizer = torch.optim.Adam(new.parameters(), lr=settings.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
    for _ in range(settings.steps):
        noise = torch.randn(examples.features.shape, generator=generator)
        noisy = examples.features + settings.noise * scale * noise
        losses = functional.cross_entropy(new(noisy), examples.channels, reduction="none")
        loss = (examples.weights * losses).sum()
        if len(hold):
            held = functional.cross_entropy(new(examples.unpainted), answers, reduction="none")
            loss = loss + settings.hold_answers * (hold * held).mean()
        moved = sum((p - q).square().sum() for p, q in zip(new.parameters(), old, strict=True))
        loss = loss + 0.5 * settings.hold_weights * moved
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return new.eval()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in one thread: a step is so small that several threads would be slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _standard_deviation(examples: Examples) -> torch.Tensor:
    """Return the standard deviation of each feature, shape (d,)."""
    known = torch.cat([examples.features, examples.unpainted])
    return known.std(dim=0) if len(known) > 1 else torch.zeros(known.shape[1])


def _distillation_weights(examples: Examples, settings: HeadFitting) -> torch.Tensor:
    """Return the weight of each unpainted sample in the distillation, in [0, 1], shape (m,)."""
    if not len(examples.unpainted):
        return torch.zeros(0)
    scale = _standard_deviation(examples).clamp(min=1e-6)
    painted, unpainted = examples.features / scale, examples.unpainted / scale
    nearest = torch.cdist(unpainted, painted).min(dim=1).values
    some = unpainted[:: max(1, len(unpainted) // DISTANCE_SAMPLES)]
    median = torch.cdist(some, some).median()
    return 1 - torch.exp(-((nearest / (settings.reach * median).clamp(min=1e-6)) ** 2))
