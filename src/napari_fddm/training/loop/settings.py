"""Settings of the training loop: what the user chooses, and what differs between trainings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from napari_fddm.core.errors import TrainingError


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """What the user chooses.

    Attributes
    ----------
    steps, batch_size : int
        Most optimizer steps to take, and samples in each.
    lr : float
        Peak learning rate of AdamW.
    weight_decay : float
        Weight decay of AdamW.
    seed : int
        Seed of the order of samples, the augmentation and the dropout.
    save_every, validate_every : int
        Steps between checkpoints and between validations.
    patience : int
        Validations without a better score after which the training stops; 0: never.
    """

    steps: int = 500
    batch_size: int = 32
    lr: float = 5e-4
    weight_decay: float = 0.01
    seed: int = 2000
    save_every: int = 25
    validate_every: int = 25
    patience: int = 8

    def __post_init__(self) -> None:
        """Refuse impossible numbers."""
        for name in ("steps", "batch_size", "save_every", "validate_every"):
            if getattr(self, name) < 1:
                raise TrainingError(f"--{name.replace('_', '-')} must be at least 1.")
        if not 0 < self.lr < math.inf:
            raise TrainingError(f"--lr cannot be {self.lr}: it must be above 0.")


@dataclass(frozen=True, slots=True)
class LoopOptions:
    """What differs between trainings and no user chooses; the defaults are those of stage 1.

    Attributes
    ----------
    lr_schedule : {"cosine", "plateau"}
        A warm-up over 5 % of the steps and a cosine to 1 % of the peak, or halved when the
        loss of the batches stops falling.
    max_gradient_norm : float
        Gradients with a larger norm are scaled down to it.
    mixed_precision : bool
        Whether the loop computes the loss in the precision of the device and scales
        float16 gradients. False: the task chooses the precision itself.
    torch_seed : {"drawn", "counted"}
        What torch's generator is seeded with in each step: the first number that the step's
        NumPy generator draws, or ``seed * 1_000_003 + step``. Both are kept because a
        seed has to give the same weights in every version.
    log_every, first_step : int
        Steps whose number is a multiple of ``log_every`` are logged, and the last one;
        the first step has the number ``first_step``.
    detailed_log : bool
        Whether the lines of the log hold the norm of the gradient and the seconds, too.
        If not, a last line holds the seconds.
    other_settings_hint, not_finite_hint : str
        What the user can do if the checkpoint belongs to a training with other settings,
        and if a loss or gradient is not finite.
    """

    lr_schedule: Literal["cosine", "plateau"] = "cosine"
    max_gradient_norm: float = 1.0
    mixed_precision: bool = True
    torch_seed: Literal["drawn", "counted"] = "drawn"
    log_every: int = 10
    first_step: int = 1
    detailed_log: bool = False
    other_settings_hint: str = (
        "Give the earlier settings to go on, --fresh to start over, or another --out."
    )
    not_finite_hint: str = (
        "Start again with --fresh and a lower --lr; if it happens again, look for broken images "
        "in the data."
    )
