"""Training of stage 2: the bridge's denoiser on stage-1 maps (``docs/algorithm.md#stage-2``).

Every random number of a step is a function of the seed and the step, and a checkpoint
holds everything else: a training that was killed ends with the weights of one that was
not, bit for bit, on the same machine and number of threads.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_fddm.core.errors import TrainingError
from napari_fddm.core.tiling import CELLS_PER_REGION
from napari_fddm.diffusion.losses import one_hot
from napari_fddm.training.loop.checkpoint import load_checkpoint, save_checkpoint
from napari_fddm.training.loop.run_log import RunLog
from napari_fddm.training.loop.training_loop import learning_rate_factor
from napari_fddm.training.regions.batches import random_regions
from napari_fddm.training.stage2.recipes import RECIPES, Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_fddm.diffusion.bridge import BrownianBridgeScheduler
    from napari_fddm.models.denoiser import Denoiser
    from napari_fddm.models.device import ComputeDevice
    from napari_fddm.training.regions.coarse import SourceName
    from napari_fddm.training.regions.files import RegionSlide

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RefinerTraining:
    """Settings.

    Attributes
    ----------
    recipe : Recipe
        Objective, schedule, optimizer.
    steps, batch_size : int
        Optimizer steps and regions in each.
    lr : float or None
        Learning rate; the recipe's own without it.
    sources : tuple of {"cells", "tiles"}
        What y is drawn from.
    cells : int
        Edge of a region, a multiple of 8.
    seed : int
        First weights, order, augmentation, noise.
    save_every, log_every : int
        Steps between checkpoints and between lines of the log.
    """

    recipe: Recipe = RECIPES["bridge"]
    steps: int = 1200
    batch_size: int = 8
    lr: float | None = None
    sources: tuple[SourceName, ...] = ("cells",)
    cells: int = CELLS_PER_REGION
    seed: int = 2001
    save_every: int = 100
    log_every: int = 20

    @property
    def peak_lr(self) -> float:
        """The learning rate that counts."""
        return self.recipe.lr if self.lr is None else self.lr

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for checkpoint and card."""
        return asdict(self) | {"lr": self.peak_lr, "sources": list(self.sources)}


class WeightAverage:
    """Exponential moving average of a network's weights."""

    def __init__(self, network: torch.nn.Module, recipe: Recipe) -> None:
        self._recipe = recipe
        self.state = {k: v.detach().clone() for k, v in network.state_dict().items()}

    def update(self, network: torch.nn.Module, step: int) -> None:
        """Take the weights after a step into the average, if it is its turn."""
        recipe = self._recipe
        if step < recipe.ema_from:
            share = 1.0
        elif (step + 1) % recipe.ema_every:
            return
        else:
            # A short training would otherwise keep too much of its first, random weights.
            warm = 9.0 / (step + 10) if recipe.ema_from == 0 else 0.0
            share = max(1.0 - recipe.ema, warm)
        for name, value in network.state_dict().items():
            self.state[name].lerp_(value.detach(), share)


def train_refiner(
    denoiser: Denoiser,
    scheduler: BrownianBridgeScheduler,
    slides: Sequence[RegionSlide],
    settings: RefinerTraining,
    compute: ComputeDevice,
    checkpoint: Path,
    log_file: Path | None = None,
) -> float:
    """Train in place and leave the averaged weights in the network; resumes by itself.

    Parameters
    ----------
    denoiser, scheduler : Denoiser, BrownianBridgeScheduler
        As the recipe's card describes them.
    slides : sequence of RegionSlide
        What to train on.
    settings : RefinerTraining
    compute : ComputeDevice
    checkpoint : Path
        Read if it is there, written every ``save_every`` steps.
    log_file : Path, optional
        JSONL with step, loss, lr, gradient norm and seconds.

    Returns
    -------
    float
        Seconds of training, those before an interruption included.

    Raises
    ------
    TrainingError
        If the checkpoint belongs to other settings, or the loss is not finite.
    """
    recipe = settings.recipe
    denoiser.to(memory_format=torch.channels_last)
    optimizer = recipe.optimizer(denoiser.parameters(), settings.peak_lr)
    schedule = _lr_schedule(optimizer, settings)
    average = WeightAverage(denoiser, recipe)
    start, before = _resume(denoiser, optimizer, schedule, average, settings, checkpoint)
    runlog = None if log_file is None else RunLog(log_file)
    if runlog is not None:
        runlog.rewind(start - 1)  # what was logged after the checkpoint comes again
    began = time.monotonic()
    denoiser.train()
    for step in range(start, settings.steps):
        loss = _loss(denoiser, scheduler, slides, settings, step, compute)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(denoiser.parameters(), recipe.clip or math.inf)
        value = _finite(loss, norm, step, settings)
        optimizer.step()
        schedule.step(value) if recipe.lr_schedule == "plateau" else schedule.step()
        average.update(denoiser, step)
        seconds = before + time.monotonic() - began
        last = step + 1 == settings.steps
        if step % settings.log_every == 0 or last:
            lr = optimizer.param_groups[0]["lr"]
            log.info("refiner step %d/%d loss %.4f", step, settings.steps, value)
            if runlog is not None:
                runlog.append(
                    step=step, loss=value, lr=lr, gradient=norm.item(), seconds=round(seconds, 2)
                )
        if (step + 1) % settings.save_every == 0 or last:
            save_checkpoint(
                checkpoint,
                step=step + 1,
                seconds=seconds,
                settings=settings.as_dict(),
                model=denoiser.state_dict(),
                average=average.state,
                optimizer=optimizer.state_dict(),
                schedule=schedule.state_dict(),
            )
    denoiser.load_state_dict(average.state)
    denoiser.eval()
    return before if start >= settings.steps else seconds


def _lr_schedule(optimizer: torch.optim.Optimizer, settings: RefinerTraining) -> Any:
    if settings.recipe.lr_schedule == "plateau":
        return torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=0.5, patience=3000, threshold=1e-4, cooldown=3000, min_lr=5e-7
        )
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, settings.steps)
    )


def _resume(
    denoiser: Denoiser,
    optimizer: torch.optim.Optimizer,
    schedule: Any,
    average: WeightAverage,
    settings: RefinerTraining,
    checkpoint: Path,
) -> tuple[int, float]:
    """Load a checkpoint, if there is one; return its step and seconds."""
    state = load_checkpoint(checkpoint)
    if state is None:
        return 0, 0.0
    if state["settings"] != settings.as_dict():
        differing = [k for k, v in settings.as_dict().items() if state["settings"].get(k) != v]
        raise TrainingError(
            f"{checkpoint} belongs to a training with other settings ({', '.join(differing)}).",
            hint="Give the same settings to go on, or another folder to start anew.",
        )
    denoiser.load_state_dict(state["model"])
    average.state = state["average"]
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    return int(state["step"]), float(state["seconds"])


def _finite(loss: torch.Tensor, norm: torch.Tensor, step: int, settings: RefinerTraining) -> float:
    """Return the loss as a number."""
    value = loss.item()
    if math.isfinite(value) and bool(torch.isfinite(norm)):
        return value
    what = "loss" if not math.isfinite(value) else "gradient"
    raise TrainingError(
        f"the refiner's {what} is not finite at step {step} of {settings.steps}.",
        hint=f"Lower the learning rate ({settings.peak_lr:g}), or train in float32; the last "
        "checkpoint is kept.",
    )


def _loss(
    denoiser: Denoiser,
    scheduler: BrownianBridgeScheduler,
    slides: Sequence[RegionSlide],
    settings: RefinerTraining,
    step: int,
    compute: ComputeDevice,
) -> torch.Tensor:
    """Return the objective of one batch (FDDM section 2.4)."""
    rng = np.random.default_rng([settings.seed, step])
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
    # 1. Regions: y (b c h w), O (b 6 h w), index map (b h w).
    batch = random_regions(
        slides, settings.batch_size, rng, sources=settings.sources, cells=settings.cells
    )
    y = torch.from_numpy(batch.source).to(compute.device)
    tissue = torch.from_numpy(batch.features).to(compute.device)
    index = torch.from_numpy(batch.truth).to(compute.device)
    # 2. x_t on the bridge between x_0 and y.
    original = one_hot(index, y.shape[1])
    timesteps = settings.recipe.timesteps(len(y), scheduler, generator).to(compute.device)
    noise = torch.randn(original.shape, generator=generator).to(compute.device)
    sample = scheduler.add_noise(original, y, noise, timesteps)
    # 3. What the network says of x_0.
    with compute.autocast():
        output = denoiser(sample, timesteps, torch.cat([y, tissue], dim=1))
    return settings.recipe.loss(scheduler, output.float(), sample, y, timesteps, index).total
