"""One optimizer step of a training: backward pass, gradient clipping, AdamW, learning rate."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from napari_fddm.models import ComputeDevice
    from napari_fddm.training.loop.settings import LoopOptions, LoopSettings


class NotFiniteError(ArithmeticError):
    """A loss or a gradient is infinite or not a number; the message says which of the two."""


class Optimizer:
    """AdamW with a learning-rate schedule, clipped gradients and a scaler for float16.

    Parameters
    ----------
    module : nn.Module
        Its parameters that require a gradient are trained.
    settings : LoopSettings
        Steps, learning rate and weight decay.
    options : LoopOptions
        Schedule, clipping and precision.
    compute : ComputeDevice
        Device and precision.
    """

    def __init__(
        self,
        module: nn.Module,
        settings: LoopSettings,
        options: LoopOptions,
        compute: ComputeDevice,
    ) -> None:
        self._parameters = [p for p in module.parameters() if p.requires_grad]
        self._max_norm = options.max_gradient_norm
        self._adamw = torch.optim.AdamW(
            self._parameters, lr=settings.lr, weight_decay=settings.weight_decay
        )
        self._lr_scheduler = _lr_scheduler(self._adamw, settings, options)
        scaled = options.mixed_precision and compute.dtype is torch.float16
        self._scaler = torch.amp.GradScaler(compute.device.type, enabled=scaled)
        self._stateful: dict[str, Any] = {
            "optimizer": self._adamw,
            "schedule": self._lr_scheduler,
            "scaler": self._scaler,
        }

    @property
    def lr(self) -> float:
        """Learning rate of the next step."""
        return float(self._adamw.param_groups[0]["lr"])

    def step(self, loss: torch.Tensor) -> tuple[float, float]:
        """Change the weights and return the loss and the norm of its gradient.

        Raises
        ------
        NotFiniteError
            If the loss or the gradient is not finite; the weights are then unchanged.
        """
        value = float(loss.detach())
        if not math.isfinite(value):
            raise NotFiniteError("loss")
        self._adamw.zero_grad(set_to_none=True)
        torch.autograd.backward(self._scaler.scale(loss))
        self._scaler.unscale_(self._adamw)
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters, self._max_norm))
        # With float16 the scaler skips such a step and scales less from then on.
        if not self._scaler.is_enabled() and not math.isfinite(norm):
            raise NotFiniteError("gradient")
        self._scaler.step(self._adamw)
        self._scaler.update()
        if isinstance(self._lr_scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            self._lr_scheduler.step(value)
        else:
            self._lr_scheduler.step()
        return value, norm

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of optimizer, schedule and scaler."""
        return {name: part.state_dict() for name, part in self._stateful.items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what a checkpoint kept; parts that it lacks stay as they are."""
        for name, part in self._stateful.items():
            if name in state:
                part.load_state_dict(copy.deepcopy(state[name]))


def learning_rate_factor(step: int, steps: int) -> float:
    """Return the share of the peak learning rate at a step: warm-up, then a cosine to 1 %."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _lr_scheduler(
    optimizer: torch.optim.Optimizer, settings: LoopSettings, options: LoopOptions
) -> torch.optim.lr_scheduler.LRScheduler:
    if options.lr_schedule == "plateau":
        return torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=0.5, patience=3000, threshold=1e-4, cooldown=3000, min_lr=5e-7
        )
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, settings.steps)
    )
