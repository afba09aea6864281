"""The loss of stage 2's training: on random regions, at random times of the bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_fddm.diffusion.losses import one_hot
from napari_fddm.training.regions.batches import random_regions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from napari_fddm.diffusion import BrownianBridgeScheduler
    from napari_fddm.models import ComputeDevice, Denoiser
    from napari_fddm.training.regions import RegionSlide
    from napari_fddm.training.regions.coarse import SourceName
    from napari_fddm.training.stage2.recipes import Recipe


class RefinerTask:
    """Trains a denoiser on random regions of slides.

    Parameters
    ----------
    denoiser, scheduler : Denoiser, BrownianBridgeScheduler
        The network and the mathematics of the bridge.
    slides : sequence of RegionSlide
        What to train on.
    recipe : Recipe
        Objective and timesteps.
    sources : sequence of {"cells", "tiles"}
        Which stage-1 map y is.
    cells : int
        Edge of a region, bridge cells.
    compute : ComputeDevice
        Device, and precision of the network; the objective is computed in float32.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        scheduler: BrownianBridgeScheduler,
        slides: Sequence[RegionSlide],
        recipe: Recipe,
        sources: Sequence[SourceName],
        cells: int,
        compute: ComputeDevice,
    ) -> None:
        self.module: Denoiser = denoiser
        self._scheduler = scheduler
        self._slides = slides
        self._recipe = recipe
        self._sources = sources
        self._cells = cells
        self._compute = compute

    def loss(self, rng: np.random.Generator, batch_size: int) -> torch.Tensor:
        """Return the objective of one batch (FDDM section 2.4)."""
        device = self._compute.device
        generator = torch.default_generator  # the loop seeds it for each step
        # 1. Regions: y (b c h w), O (b 6 h w), index map (b h w).
        batch = random_regions(
            self._slides, batch_size, rng, sources=self._sources, cells=self._cells
        )
        y = torch.from_numpy(batch.source).to(device)
        tissue = torch.from_numpy(batch.features).to(device)
        index = torch.from_numpy(batch.truth).to(device)
        # 2. x_t on the bridge between x_0 and y.
        original = one_hot(index, y.shape[1])
        timesteps = self._recipe.timesteps(len(y), self._scheduler, generator).to(device)
        noise = torch.randn(original.shape, generator=generator).to(device)
        sample = self._scheduler.add_noise(original, y, noise, timesteps)
        # 3. The network's estimate of x_0.
        with self._compute.autocast():
            output = self.module(sample, timesteps, torch.cat([y, tissue], dim=1))
        return self._recipe.loss(self._scheduler, output.float(), sample, y, timesteps, index).total

    def after_step(self) -> None:
        """Nothing has to follow a step."""

    def score(self) -> float | None:
        """Return None: the refiner is measured once, after its training."""
        return None
