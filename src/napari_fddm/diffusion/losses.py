"""Training of the bridge: the losses of FDDM 2.4 and the random choice of timesteps.

The network emits one logit per class, and x̂_0 = softmax(logits) is a probability
by construction. Then L_seg is an ordinary cross-entropy, and the bridge difference
e = x_t - x_0 is predicted as ê = x_t - x̂_0, so |e - ê| = |x_0 - x̂_0|: FDDM's L_trans
needs no second output. It is off by default, for sampling needs the posterior mean
E[x_0 | x_t], which cross-entropy finds and an absolute error sharpens away
(``docs/algorithm.md#objective``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from napari_fddm.core.errors import ConfigError

if TYPE_CHECKING:
    from napari_fddm.diffusion.bridge import BrownianBridgeScheduler

IGNORED = -1
"""Index of cells without a true class: label value 0, "not analyzed", minus one."""


class RefinementLoss(NamedTuple):
    """The objective and its two terms, as scalars.

    Attributes
    ----------
    total : Tensor
        ``trans_weight`` L_trans + ``seg_weight`` L_seg (FDDM eq. 5).
    seg, trans : Tensor
        The terms without their weights.
    """

    total: torch.Tensor
    seg: torch.Tensor
    trans: torch.Tensor


def segmentation_loss(
    logits: torch.Tensor, index_map: torch.Tensor, class_weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Return L_seg, the mean cross-entropy over the cells with a class (FDDM eq. 4).

    Parameters
    ----------
    logits : Tensor, shape (b, c, h, w)
    index_map : Tensor of int64, shape (b, h, w)
        Class index (label value - 1) per cell; `IGNORED` where there is none.
    class_weights : Tensor, shape (c,), optional
        Weight of each class in the mean.

    Returns
    -------
    Tensor, scalar
        0 if no cell has a class, where a plain mean would be NaN.
    """
    per_cell = functional.cross_entropy(
        logits, index_map, weight=class_weights, ignore_index=IGNORED, reduction="none"
    )  # (b h w)
    counted = (index_map != IGNORED).to(per_cell)  # (b h w)
    if class_weights is not None:
        counted = counted * class_weights.to(per_cell)[index_map.clamp(min=0)]
    return per_cell.sum() / _at_least_tiny(counted.sum())


def transition_loss(
    original_sample: torch.Tensor,
    pred_original_sample: torch.Tensor,
    counted: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return L_trans as the mean of |x_0 - x̂_0|, which is |e - ê| (FDDM eq. 2).

    The paper writes a weighted square; its code, which this follows, the plain
    absolute error.

    Parameters
    ----------
    original_sample, pred_original_sample : Tensor, shape (b, c, h, w)
    counted : Tensor of bool, shape (b, h, w), optional
        The cells to average over; all of them if left out.

    Returns
    -------
    Tensor, scalar
        0 if no cell counts.
    """
    per_cell = (original_sample - pred_original_sample).abs().mean(dim=1)  # (b h w)
    if counted is None:
        return per_cell.mean()
    weights = counted.to(per_cell)
    return (per_cell * weights).sum() / _at_least_tiny(weights.sum())


def refinement_loss(
    logits: torch.Tensor,
    index_map: torch.Tensor,
    *,
    seg_weight: float = 1.0,
    trans_weight: float = 0.0,
    class_weights: torch.Tensor | None = None,
) -> RefinementLoss:
    """Return the training objective L = trans_weight L_trans + λ L_seg (FDDM eq. 5).

    Parameters
    ----------
    logits : Tensor, shape (b, c, h, w)
        The network's output at some x_t.
    index_map : Tensor of int64, shape (b, h, w)
        True class index per cell; `IGNORED` where there is none.
    seg_weight : float
        λ.
    trans_weight : float
        1 for the paper's objective; 0 by default, see the module's text.
    class_weights : Tensor, shape (c,), optional
        Weight of each class in L_seg.
    """
    counted = index_map != IGNORED
    original = one_hot(index_map, logits.shape[1]).to(logits)
    seg = segmentation_loss(logits, index_map, class_weights)
    trans = transition_loss(original, logits.softmax(dim=1), counted)
    total = seg_weight * seg
    if trans_weight != 0.0:
        total = total + trans_weight * trans
    return RefinementLoss(total, seg, trans)


def linear_head_loss(
    scheduler: BrownianBridgeScheduler,
    model_output: torch.Tensor,
    sample: torch.Tensor,
    source: torch.Tensor,
    timesteps: torch.Tensor,
    index_map: torch.Tensor,
    *,
    seg_weight: float = 1.0,
    trans_weight: float = 1.0,
    class_weights: torch.Tensor | None = None,
) -> RefinementLoss:
    """Return the paper's objective for a network whose output is regressed (FDDM 2.4).

    For comparisons with the published model: L_trans + λ L_seg of the original that
    ``model_output`` implies, L_seg on `clamped_log_probs` (``docs/algorithm.md#objective``).
    With the bridge difference e, L_trans is the published |e - ê|.

    Parameters
    ----------
    scheduler : BrownianBridgeScheduler
        Its ``prediction_type`` says what the output means.
    model_output, sample, source : Tensor, shape (b, c, h, w)
        The network's output, x_t and y.
    timesteps : Tensor of int64, shape (b,)
        t.
    index_map : Tensor of int64, shape (b, h, w)
        True class index per cell; `IGNORED` where there is none.
    seg_weight, trans_weight : float
        λ, and the weight of L_trans.
    class_weights : Tensor, shape (c,), optional
        Weight of each class in L_seg.
    """
    pred = scheduler.predict_original(model_output, sample, source, timesteps)
    original = one_hot(index_map, pred.shape[1]).to(pred)
    seg = segmentation_loss(clamped_log_probs(pred), index_map, class_weights)
    trans = transition_loss(original, pred, index_map != IGNORED)
    return RefinementLoss(trans_weight * trans + seg_weight * seg, seg, trans)


def one_hot(index_map: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return x_0 (b, c, h, w) in float32 of a map of class indices (b, h, w).

    Cells without a class become uniform, so that every cell sums to 1.
    """
    known = functional.one_hot(index_map.clamp(min=0), num_classes)  # (b h w c)
    probs = known.movedim(-1, 1).to(torch.float32)
    uniform = torch.full_like(probs, 1.0 / num_classes)
    return torch.where((index_map == IGNORED).unsqueeze(1), uniform, probs)


def clamped_log_probs(pred_original_sample: torch.Tensor, floor: float = 1e-6) -> torch.Tensor:
    """Return logits for `segmentation_loss` from a regressed x̂_0, the paper's linear head.

    A regressed x̂_0 (b, c, h, w) can be zero or negative, where FDDM eq. 4 is not
    defined: it is clamped to ``floor``…1 and made to sum to 1 (``docs/algorithm.md#objective``).
    """
    clamped = pred_original_sample.clamp(floor, 1.0)
    return (clamped / clamped.sum(dim=1, keepdim=True)).log()


@dataclass(frozen=True, slots=True)
class TimestepDensity:
    """Where on the bridge to train: a logit-normal m, and a fixed share at m = 1.

    A uniform m trains mostly on copying: noise per cell leaks the mask, and the loss
    at m = 0.95 is already half of that at m = 1, at 0.5 a tenth
    (``docs/algorithm.md#timestep-density``).

    Attributes
    ----------
    end_share : float
        Probability of the source end, where a one-step prediction starts.
    location, scale : float
        Mean and sd of logit(m) otherwise; the default has its median at m = 0.88.
    """

    end_share: float = 0.25
    location: float = 2.0
    scale: float = 1.5

    def __post_init__(self) -> None:
        """Refuse a share outside 0…1 and a scale that is not positive."""
        if not (0.0 <= self.end_share <= 1.0 and self.scale > 0.0):
            raise ConfigError(f"impossible timestep density {self}.")


def sample_timesteps(
    batch_size: int,
    scheduler: BrownianBridgeScheduler,
    generator: torch.Generator,
    *,
    density: TimestepDensity | None = None,
    device: torch.device | str | None = None,
) -> torch.Tensor:
    """Draw the timesteps of one training batch.

    Parameters
    ----------
    batch_size : int
        b.
    scheduler : BrownianBridgeScheduler
        Its schedule says which timestep has which m.
    generator : torch.Generator
        A CPU generator.
    density : TimestepDensity, optional
        Where to draw; the default one if left out.
    device : device, optional
        Where to put the result.

    Returns
    -------
    Tensor of int64, shape (b,)
        Never the clean end, where there is nothing to learn.
    """
    density = density or TimestepDensity()
    normal = torch.randn(batch_size, generator=generator, dtype=torch.float64)
    m = torch.sigmoid(density.location + density.scale * normal)
    timesteps = torch.from_numpy(scheduler.timestep_at(m.numpy()))
    at_end = torch.rand(batch_size, generator=generator, dtype=torch.float64) < density.end_share
    return torch.where(at_end, scheduler.last_timestep, timesteps).to(device)


def uniform_timesteps(
    batch_size: int, scheduler: BrownianBridgeScheduler, generator: torch.Generator
) -> torch.Tensor:
    """Draw timesteps (b,) evenly from the whole schedule, as the paper's code does."""
    first, last = scheduler.first_timestep, scheduler.last_timestep
    return torch.randint(first, last + 1, (batch_size,), generator=generator)


def _at_least_tiny(total: torch.Tensor) -> torch.Tensor:
    return total.clamp(min=torch.finfo(total.dtype).tiny)
