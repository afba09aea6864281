"""Training of stage 2: the bridge's denoiser on stage-1 maps (ALGORITHM B.8, H)."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from napari_fddm.core.geometry import Window
from napari_fddm.core.tiling import CELLS_PER_REGION
from napari_fddm.diffusion.losses import one_hot, refinement_loss, sample_timesteps
from napari_fddm.training.checkpoint import load_checkpoint, save_checkpoint
from napari_fddm.training.classifier import learning_rate_factor
from napari_fddm.training.synthetic_data import crop_window

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_fddm.diffusion.bridge import BrownianBridgeScheduler
    from napari_fddm.models.denoiser import Denoiser
    from napari_fddm.models.device import ComputeDevice
    from napari_fddm.training.synthetic_data import SlideMaps

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RefinerTraining:
    """Settings.

    Attributes
    ----------
    steps, batch_size : int
        Optimizer steps and regions in each.
    lr : float
        Peak learning rate of AdamW.
    seg_weight, trans_weight : float
        Weights of L_seg and L_trans; cross-entropy alone by default (ALGORITHM H.3).
    ema : float
        Decay of the averaged weights that are kept.
    seed : int
        Order, augmentation, noise.
    save_every : int
        Steps between checkpoints.
    """

    steps: int = 1200
    batch_size: int = 8
    lr: float = 1e-3
    seg_weight: float = 1.0
    trans_weight: float = 0.0
    ema: float = 0.998
    seed: int = 2001
    save_every: int = 200


def train_refiner(
    denoiser: Denoiser,
    scheduler: BrownianBridgeScheduler,
    slides: Sequence[SlideMaps],
    settings: RefinerTraining,
    compute: ComputeDevice,
    checkpoint: Path,
) -> None:
    """Train in place and leave the averaged weights in the network; resumes by itself."""
    optimizer = torch.optim.AdamW(denoiser.parameters(), lr=settings.lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, settings.steps)
    )
    average = AveragedModel(denoiser, multi_avg_fn=get_ema_multi_avg_fn(settings.ema))
    start = 0
    if state := load_checkpoint(checkpoint):
        denoiser.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        start = int(state["step"])
    denoiser.train()
    for step in range(start, settings.steps):
        loss = _loss(denoiser, scheduler, slides, settings, step, compute)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(denoiser.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(denoiser)
        if step % 50 == 0:
            log.info("refiner step %d/%d loss %.4f", step, settings.steps, loss.item())
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            save_checkpoint(
                checkpoint,
                step=step + 1,
                settings=asdict(settings),
                model=denoiser.state_dict(),
                average=average.state_dict(),
                optimizer=optimizer.state_dict(),
                schedule=schedule.state_dict(),
            )
    denoiser.load_state_dict(average.module.state_dict())
    denoiser.eval()


def _loss(
    denoiser: Denoiser,
    scheduler: BrownianBridgeScheduler,
    slides: Sequence[SlideMaps],
    settings: RefinerTraining,
    step: int,
    compute: ComputeDevice,
) -> torch.Tensor:
    """Return the objective of one batch (FDDM section 2.4)."""
    rng = np.random.default_rng([settings.seed, step])
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
    # 1. Regions: y (b c h w), O (b 6 h w), index map (b h w).
    source, features, truth = random_regions(slides, settings.batch_size, rng)
    y = torch.from_numpy(source).to(compute.device)
    tissue = torch.from_numpy(features).to(compute.device)
    index = torch.from_numpy(truth).to(compute.device)
    # 2. x_t on the bridge between x_0 and y.
    original = one_hot(index, source.shape[1])
    timesteps = sample_timesteps(settings.batch_size, scheduler, generator, device=compute.device)
    noise = torch.randn(original.shape, generator=generator).to(compute.device)
    sample = scheduler.add_noise(original, y, noise, timesteps)
    # 3. The network's x̂_0 against x_0.
    with compute.autocast():
        logits = denoiser(sample, timesteps, torch.cat([y, tissue], dim=1))
    return refinement_loss(
        logits.float(),
        index,
        seg_weight=settings.seg_weight,
        trans_weight=settings.trans_weight,
    ).total


def random_regions(
    slides: Sequence[SlideMaps], count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut, turn and flip regions at random places.

    Returns
    -------
    source : array of float32, shape (count, classes, 64, 64)
    features : array of float32, shape (count, 6, 64, 64)
    truth : array of int64, shape (count, 64, 64)
    """
    parts = []
    for _ in range(count):
        slide = slides[int(rng.integers(len(slides)))]
        height, width = slide.truth.shape
        y, x = (int(rng.integers(0, n - CELLS_PER_REGION + 1)) for n in (height, width))
        part = crop_window(slide, Window(y, x, CELLS_PER_REGION, CELLS_PER_REGION))
        quarter, flip = int(rng.integers(4)), bool(rng.integers(2))
        arrays = [np.rot90(a, quarter, axes=(-2, -1)) for a in _restained(part, rng)]
        parts.append([a[..., ::-1] if flip else a for a in arrays])
    source, features, truth = (np.stack(column) for column in zip(*parts, strict=True))
    return source.astype(np.float32), features.astype(np.float32), truth.astype(np.int64)


def _restained(
    part: SlideMaps, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vary the colors that the refiner sees, and how sure stage 1 is."""
    features = part.features.astype(np.float32)
    gain = rng.uniform(0.85, 1.15, (3, 1, 1)).astype(np.float32)
    features[:3] = 1.0 - (1.0 - features[:3]) * gain
    features[3:] *= gain
    sharp = part.source.astype(np.float32) ** np.float32(rng.uniform(0.5, 1.5))
    return sharp / sharp.sum(axis=0, keepdims=True), features, part.truth
