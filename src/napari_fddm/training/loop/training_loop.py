"""The training loop of every network: steps, validation, checkpoints and the log of a run.

Everything random in a step follows from the seed and the number of the step. A checkpoint
holds everything else: weights, optimizer, the best or averaged weights so far, and the
steps taken. So a training that was killed at any moment and started again ends with the
weights of one that was never interrupted, on the same machine and number of threads.
"""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from napari_fddm.core.errors import TrainingError
from napari_fddm.training.loop.checkpoint import load_checkpoint, restoring, save_checkpoint
from napari_fddm.training.loop.optimizer import NotFiniteError, Optimizer
from napari_fddm.training.loop.progress import JobProgress
from napari_fddm.training.loop.settings import LoopOptions, LoopSettings
from napari_fddm.training.loop.step_log import StepLog, StepResult

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from torch import nn

    from napari_fddm.models import ComputeDevice
    from napari_fddm.training.loop.run_log import RunLog
    from napari_fddm.training.loop.weight_average import WeightAverage


_SAVED = frozenset({"step", "best_step", "best_score", "waited", "best", "seconds"})
"""What a checkpoint keeps of `_Training`, beside weights and optimizer."""


class Task(Protocol):
    """What is trained, on what, and how it is judged."""

    @property
    def module(self) -> nn.Module:
        """Every parameter that requires a gradient is trained."""
        ...

    def loss(self, rng: np.random.Generator, batch_size: int) -> torch.Tensor:
        """Return the loss of a batch that ``rng`` draws; torch's generator is seeded."""
        ...

    def after_step(self) -> None:
        """Do what has to follow an optimizer step, e.g. clamp parameters."""
        ...

    def score(self) -> float | None:
        """Return the score on validation data, higher is better; None without such data."""
        ...


@dataclass(frozen=True, slots=True)
class LoopResult:
    """How a training ended.

    Attributes
    ----------
    steps : int
        Steps taken.
    best_step : int
        Number of steps after which the module had the weights that it has now.
    best_score : float or None
        Their score; None without validation data.
    stopped_early : bool
        Whether it stopped because the score had not improved for too long.
    seconds : float
        Duration, that before an interruption included.
    """

    steps: int
    best_step: int
    best_score: float | None
    stopped_early: bool
    seconds: float = field(compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return what a model card tells: all but the duration, which the log has."""
        values = asdict(self)
        del values["seconds"]
        return values


def run_loop(
    task: Task,
    settings: LoopSettings,
    compute: ComputeDevice,
    checkpoint: Path | None,
    log: RunLog | None,
    *,
    identity: str = "",
    saved_settings: Mapping[str, Any] | None = None,
    options: LoopOptions | None = None,
    average: WeightAverage | None = None,
) -> Generator[JobProgress, None, LoopResult]:
    """Train the module of a task in place, from the checkpoint if there is one.

    Parameters
    ----------
    task : Task
        What is trained.
    settings : LoopSettings
        Steps, batch size, learning rate and so on.
    compute : ComputeDevice
        Device and precision.
    checkpoint : Path or None
        File that is read if it exists, and written every few steps; None: no checkpoints.
    log : RunLog or None
        Gets losses and scores.
    identity : str
        Identifies data and network: a checkpoint with another one is refused.
    saved_settings : mapping, optional
        What a checkpoint must agree with, instead of ``settings`` and ``identity``.
    options : LoopOptions, optional
        What this training does differently from that of stage 1.
    average : WeightAverage, optional
        Gets the weights after each step; the module ends with the average.

    Yields
    ------
    JobProgress
        Before the first step and after each one.

    Raises
    ------
    TrainingError
        If a loss or gradient is not finite, or the checkpoint belongs to another training.
    """
    options = options or LoopOptions()
    training = _Training(
        task,
        settings,
        options,
        compute,
        checkpoint,
        dict(saved_settings or {**asdict(settings), "identity": identity}),
        Optimizer(task.module, settings, options, compute),
        StepLog(log, options),
        average,
    )
    training.resume()
    yield training.progress("training")
    started = time.monotonic() - training.seconds
    while not training.is_over:
        training.take_step()
        training.validate_if_due()
        training.seconds = time.monotonic() - started
        training.log_step()
        training.save_if_due()
        yield training.progress(f"loss {training.loss:.4f}")
    return training.finish()


def trained_state(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of the tensors that training changes: trained parameters and buffers."""
    named = {n: p for n, p in module.named_parameters() if p.requires_grad}
    kept = module.state_dict().keys()
    buffers = {n: b for n, b in module.named_buffers() if n in kept}
    return {n: t.detach().cpu().clone() for n, t in (named | buffers).items()}


@dataclass(slots=True)
class _Training:
    """A training that is going on."""

    task: Task
    settings: LoopSettings
    options: LoopOptions
    compute: ComputeDevice
    checkpoint: Path | None
    saved_settings: dict[str, Any]
    optimizer: Optimizer
    log: StepLog
    average: WeightAverage | None

    step: int = 0  # steps taken
    best_step: int = 0
    best_score: float | None = None
    waited: int = 0  # validations since the best one
    best: dict[str, torch.Tensor] | None = None
    seconds: float = 0.0
    loss: float = math.nan
    gradient_norm: float = math.nan
    score: float | None = None  # of the last step, if it was validated

    @property
    def is_over(self) -> bool:
        patience = self.settings.patience
        return self.step >= self.settings.steps or (bool(patience) and self.waited >= patience)

    def progress(self, what: str) -> JobProgress:
        return JobProgress(what, self.step, self.settings.steps)

    def take_step(self) -> None:
        try:
            self.loss, self.gradient_norm = self.optimizer.step(self._batch_loss())
        except NotFiniteError as error:
            number = self.log.number(self.step + 1)
            raise TrainingError(
                f"the {error} of step {number} of {self.settings.steps} is not a finite number "
                f"(peak learning rate {self.settings.lr:g}), so nothing can be learned from it.",
                hint=self.options.not_finite_hint,
            ) from error
        self.task.after_step()
        if self.average is not None:
            self.average.update(self.task.module, self.step)
        self.step += 1

    def _batch_loss(self) -> torch.Tensor:
        rng = np.random.default_rng([self.settings.seed, self.step])
        if self.options.torch_seed == "drawn":
            torch.manual_seed(int(rng.integers(2**62)))
        else:
            torch.manual_seed(self.settings.seed * 1_000_003 + self.step)
        self.task.module.train()
        with self.compute.autocast() if self.options.mixed_precision else nullcontext():
            return self.task.loss(rng, self.settings.batch_size)

    def validate_if_due(self) -> None:
        """Measure the score, and remember the weights if they are the best so far."""
        self.score = None
        if not self._is_due(self.settings.validate_every):
            return
        self.task.module.eval()
        self.score = self.task.score()
        if self.score is None:
            return
        if self.best_score is None or self.score > self.best_score:
            self.best_score, self.best_step, self.waited = self.score, self.step, 0
            self.best = trained_state(self.task.module)
        else:
            self.waited += 1

    def log_step(self) -> None:
        self.log.add_step(
            StepResult(self.step, self.loss, self.gradient_norm, self.optimizer.lr, self.seconds),
            last=self.step == self.settings.steps,
        )
        if self.score is not None:
            self.log.add_score(self.step, self.score, best=self.best_step == self.step)

    def save_if_due(self) -> None:
        if self._is_due(self.settings.save_every):
            self.save()

    def _is_due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.settings.steps

    def save(self) -> None:
        if self.checkpoint is None:
            return
        save_checkpoint(
            self.checkpoint,
            about=self.saved_settings,
            model=trained_state(self.task.module),
            average=None if self.average is None else self.average.state,
            **{name: getattr(self, name) for name in _SAVED},
            **self.optimizer.state(),
        )

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        stored = None if self.checkpoint is None else load_checkpoint(self.checkpoint)
        if stored is not None and self.checkpoint is not None:
            with restoring(self.checkpoint):
                self._refuse_other_settings(stored)
                self.task.module.load_state_dict(stored["model"], strict=False)
                self.optimizer.load_state(stored)
                if self.average is not None:
                    self.average.load(stored["average"])
                for name in _SAVED & stored.keys():
                    setattr(self, name, stored[name])
        self.log.rewind(self.step)

    def _refuse_other_settings(self, stored: Mapping[str, Any]) -> None:
        # Stage 2 had a loop of its own once, whose checkpoints called them "settings".
        given = stored.get("about", stored.get("settings", {}))
        changed = [k for k, v in self.saved_settings.items() if given.get(k) != v]
        if changed:
            names = ", ".join("the data or the network" if c == "identity" else c for c in changed)
            raise TrainingError(
                f"{self.checkpoint} belongs to a training with other settings: {names}.",
                hint=self.options.other_settings_hint,
            )

    def finish(self) -> LoopResult:
        """Leave the best or averaged weights in the module, and close the log."""
        self.save()
        final = self.best if self.average is None else self.average.state
        if final is not None:
            self.task.module.load_state_dict(final, strict=False)
        self.task.module.eval()
        self.log.add_end(self.step, self.seconds)
        return LoopResult(
            self.step,
            self.best_step or self.step,
            self.best_score,
            self.step < self.settings.steps,
            self.seconds,
        )
