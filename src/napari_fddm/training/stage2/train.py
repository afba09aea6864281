"""Training of stage 2: the bridge's denoiser on stage-1 maps (``docs/algorithm.md#stage-2``)."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from napari_fddm.core.tiling import CELLS_PER_REGION
from napari_fddm.training.loop import LoopSettings, RunLog, run_loop
from napari_fddm.training.loop.settings import LoopOptions
from napari_fddm.training.stage2.recipes import RECIPES, Recipe
from napari_fddm.training.stage2.task import RefinerTask

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_fddm.diffusion import BrownianBridgeScheduler
    from napari_fddm.models import ComputeDevice, Denoiser
    from napari_fddm.training.loop.training_loop import LoopResult
    from napari_fddm.training.regions import RegionSlide
    from napari_fddm.training.regions.coarse import SourceName

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RefinerTraining:
    """Settings of a training of stage 2.

    Attributes
    ----------
    recipe : Recipe
        Objective, noise schedule and optimizer.
    steps, batch_size : int
        Optimizer steps, and regions in each.
    lr : float or None
        Peak learning rate; None for that of the recipe.
    sources : tuple of {"cells", "tiles"}
        Stage-1 maps from which y is drawn.
    cells : int
        Edge of a region, a multiple of 8.
    seed : int
        Seed of initial weights, order, augmentation and noise.
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
        """Peak learning rate that is used."""
        return self.recipe.lr if self.lr is None else self.lr

    @property
    def loop(self) -> LoopSettings:
        """The settings of the training loop; there is no validation during the training."""
        return LoopSettings(
            steps=self.steps,
            batch_size=self.batch_size,
            lr=self.peak_lr,
            weight_decay=self.recipe.weight_decay,
            seed=self.seed,
            save_every=self.save_every,
            validate_every=self.steps,
            patience=0,
        )

    @property
    def loop_options(self) -> LoopOptions:
        """What the training loop does differently from that of stage 1."""
        return LoopOptions(
            lr_schedule=self.recipe.lr_schedule,
            max_gradient_norm=self.recipe.clip or math.inf,
            mixed_precision=False,
            torch_seed="counted",
            log_every=self.log_every,
            first_step=0,
            detailed_log=True,
            other_settings_hint="Give the earlier settings to go on, or another --out to start "
            "over.",
            not_finite_hint="Start over in another --out with a lower --lr, or with --device cpu, "
            "which computes in float32; the last checkpoint is kept.",
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the checkpoint and the card."""
        return asdict(self) | {"lr": self.peak_lr, "sources": list(self.sources)}


def train_refiner(
    denoiser: Denoiser,
    scheduler: BrownianBridgeScheduler,
    slides: Sequence[RegionSlide],
    settings: RefinerTraining,
    compute: ComputeDevice,
    checkpoint: Path,
    log_file: Path | None = None,
) -> float:
    """Train a network in place, from the checkpoint if there is one.

    The network ends with the averaged weights.

    Parameters
    ----------
    denoiser, scheduler : Denoiser, BrownianBridgeScheduler
        Built as the recipe's card says.
    slides : sequence of RegionSlide
        What to train on.
    settings : RefinerTraining
        Recipe, steps and so on.
    compute : ComputeDevice
        Device and precision.
    checkpoint : Path
        Read if it exists, and written every ``save_every`` steps.
    log_file : Path, optional
        JSONL with step, loss, lr, gradient norm and seconds.

    Returns
    -------
    float
        Duration in seconds, that before an interruption included.

    Raises
    ------
    TrainingError
        If the checkpoint belongs to other settings, or the loss is not finite.
    """
    denoiser.to(memory_format=torch.channels_last)
    run = run_loop(
        RefinerTask(
            denoiser, scheduler, slides, settings.recipe, settings.sources, settings.cells, compute
        ),
        settings.loop,
        compute,
        checkpoint,
        None if log_file is None else RunLog(log_file),
        saved_settings=settings.as_dict(),
        options=settings.loop_options,
        average=settings.recipe.weight_average(denoiser),
    )
    while True:
        try:
            progress = next(run)
        except StopIteration as stop:
            result: LoopResult = stop.value
            return result.seconds
        step = progress.done - 1
        if step >= 0 and (step % settings.log_every == 0 or progress.done == progress.total):
            log.info("refiner step %d/%d %s", step, progress.total, progress.what)
