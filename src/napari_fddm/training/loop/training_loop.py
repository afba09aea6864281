"""A training loop that can be killed at any moment and ends the same.

Everything random in a step follows from (seed, step): the order, the augmentation and
the dropout. A checkpoint holds weights, optimizer, schedule, the best weights so far
and the log's place, so that a resumed training takes the very steps that one without a
break takes.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from napari_fddm.core.errors import TrainingError
from napari_fddm.training.loop.checkpoint import load_checkpoint, save_checkpoint
from napari_fddm.training.loop.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from torch import nn

    from napari_fddm.models.device import ComputeDevice
    from napari_fddm.training.loop.run_log import RunLog

LOG_EVERY = 10
MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """Settings of the loop.

    Attributes
    ----------
    steps, batch_size : int
        Optimizer steps at most, and samples in each.
    lr : float
        Peak learning rate of AdamW, reached after 5 % and brought down by a cosine.
    weight_decay : float
        Of AdamW.
    seed : int
        Of order, augmentation and dropout.
    save_every, validate_every : int
        Steps between checkpoints and between validations.
    patience : int
        Validations without a better score before the training stops; 0: never.
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
        """Refuse numbers that cannot be."""
        for name in ("steps", "batch_size", "save_every", "validate_every"):
            if getattr(self, name) < 1:
                raise TrainingError(f"--{name.replace('_', '-')} must be at least 1.")
        if not 0 < self.lr < math.inf:
            raise TrainingError(f"--lr cannot be {self.lr}: it must be above 0.")


class Task(Protocol):
    """What is learned."""

    @property
    def module(self) -> nn.Module:
        """Every parameter that requires a gradient is trained."""
        ...

    def loss(self, rng: np.random.Generator, batch_size: int) -> torch.Tensor:
        """Return the loss of a batch that ``rng`` draws."""
        ...

    def after_step(self) -> None:
        """Do what has to follow an optimizer step."""
        ...

    def score(self) -> float | None:
        """Return how good the module is on validation data, higher is better."""
        ...


@dataclass(frozen=True, slots=True)
class LoopResult:
    """How a training ended.

    Attributes
    ----------
    steps : int
        Steps taken.
    best_step : int
        After which the weights are that the module has now.
    best_score : float or None
        Their score; None without validation data.
    stopped_early : bool
        Whether patience ended it.
    """

    steps: int
    best_step: int
    best_score: float | None
    stopped_early: bool


@dataclass(slots=True)
class _State:
    step: int = 0
    best_step: int = 0
    best_score: float | None = None
    waited: int = 0
    best: dict[str, torch.Tensor] | None = None
    seconds: float = 0.0


def run_loop(
    task: Task,
    settings: LoopSettings,
    compute: ComputeDevice,
    checkpoint: Path,
    log: RunLog,
    *,
    identity: str = "",
) -> Generator[Progress, None, LoopResult]:
    """Train a task's module in place; goes on from the checkpoint if there is one.

    Parameters
    ----------
    task : Task
        What is learned.
    settings : LoopSettings
        How.
    compute : ComputeDevice
        Where, and in which precision.
    checkpoint : Path
        Written every few steps.
    log : RunLog
        Gets losses and scores.
    identity : str
        Of data and network: a checkpoint of another one is refused.

    Raises
    ------
    TrainingError
        If a loss or gradient is no number, or the checkpoint is of another training.
    """
    module = task.module
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, settings.steps)
    )
    scaler = torch.amp.GradScaler(compute.device.type, enabled=compute.dtype is torch.float16)
    parts = {"optimizer": optimizer, "schedule": schedule, "scaler": scaler}
    about = {**asdict(settings), "identity": identity}
    state = _resume(module, parts, checkpoint, about)
    log.rewind(state.step)
    yield Progress("training", state.step, settings.steps)
    started = time.monotonic() - state.seconds
    while state.step < settings.steps and not _is_patience_over(state, settings):
        loss = _step(task, settings, compute, parameters, optimizer, scaler, state.step)
        schedule.step()
        task.after_step()
        state.step += 1
        if state.step % LOG_EVERY == 0 or state.step == settings.steps:
            lr = float(schedule.get_last_lr()[0])
            log.append(step=state.step, loss=round(loss, 6), lr=lr)
        if state.step % settings.validate_every == 0 or state.step == settings.steps:
            _validate(task, state, log)
        state.seconds = time.monotonic() - started
        if state.step % settings.save_every == 0 or state.step == settings.steps:
            _save(module, parts, checkpoint, about, state)
        yield Progress(f"loss {loss:.3f}", state.step, settings.steps)
    stopped = state.step < settings.steps
    _save(module, parts, checkpoint, about, state)
    if state.best is not None:
        module.load_state_dict(state.best, strict=False)
    module.eval()
    if not any(record.get("end") for record in log.records()):
        log.append(step=state.step, seconds=round(state.seconds, 1), end=True)
    return LoopResult(state.step, state.best_step or state.step, state.best_score, stopped)


def learning_rate_factor(step: int, steps: int) -> float:
    """Return the warm-up and cosine factor of a step."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def trained_state(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return copies of the tensors that training changes: trained parameters and buffers."""
    named = {n: p for n, p in module.named_parameters() if p.requires_grad}
    kept = module.state_dict().keys()
    buffers = {n: b for n, b in module.named_buffers() if n in kept}
    return {n: t.detach().cpu().clone() for n, t in (named | buffers).items()}


def _step(
    task: Task,
    settings: LoopSettings,
    compute: ComputeDevice,
    parameters: list[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    step: int,
) -> float:
    rng = np.random.default_rng([settings.seed, step])
    torch.manual_seed(int(rng.integers(2**62)))  # dropout
    task.module.train()
    with compute.autocast():
        loss = task.loss(rng, settings.batch_size)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise _no_number("loss", step, settings)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(scaler.scale(loss))
    scaler.unscale_(optimizer)
    norm = torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
    # With float16 the scaler skips such a step and scales less.
    if not scaler.is_enabled() and not torch.isfinite(norm):
        raise _no_number("gradient", step, settings)
    scaler.step(optimizer)
    scaler.update()
    return value


def _no_number(what: str, step: int, settings: LoopSettings) -> TrainingError:
    return TrainingError(
        f"the {what} of step {step + 1} is not a number, so nothing can be learned from it.",
        hint=f"Start again with --fresh and a lower --lr (it is {settings.lr:g}); if it stays so, "
        "look for broken images in the data.",
    )


def _validate(task: Task, state: _State, log: RunLog) -> None:
    task.module.eval()
    score = task.score()
    if score is None:
        return
    better = state.best_score is None or score > state.best_score
    state.waited = 0 if better else state.waited + 1
    if better:
        state.best_score, state.best_step = score, state.step
        state.best = trained_state(task.module)
    log.append(step=state.step, score=round(score, 6), best=better)


def _is_patience_over(state: _State, settings: LoopSettings) -> bool:
    return bool(settings.patience) and state.waited >= settings.patience


def _save(
    module: nn.Module, parts: dict[str, Any], path: Path, about: dict[str, Any], state: _State
) -> None:
    save_checkpoint(
        path,
        about=about,
        model=trained_state(module),
        best=state.best,
        step=state.step,
        best_step=state.best_step,
        best_score=state.best_score,
        waited=state.waited,
        seconds=state.seconds,
        **{name: part.state_dict() for name, part in parts.items()},
    )


def _resume(module: nn.Module, parts: dict[str, Any], path: Path, about: dict[str, Any]) -> _State:
    stored = load_checkpoint(path)
    if stored is None:
        return _State()
    changed = [k for k, v in about.items() if stored.get("about", {}).get(k) != v]
    if changed:
        names = ", ".join("the data or the network" if c == "identity" else c for c in changed)
        raise TrainingError(
            f"{path.parent} holds a training with other settings: {names}.",
            hint="Give the earlier ones to go on, --fresh to start over, or another --out.",
        )
    module.load_state_dict(stored["model"], strict=False)
    for name, part in parts.items():
        part.load_state_dict(copy.deepcopy(stored[name]))
    return _State(
        stored["step"],
        stored["best_step"],
        stored["best_score"],
        stored["waited"],
        stored["best"],
        stored.get("seconds", 0.0),
    )
