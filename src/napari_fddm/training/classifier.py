"""Training of stage 1: LoRA adapters and heads on tiles (ALGORITHM A.4)."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from napari_fddm.training.checkpoint import load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from napari_fddm.models.classifier import TileClassifier
    from napari_fddm.models.device import ComputeDevice
    from napari_fddm.training.synthetic_data import TileSet

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClassifierTraining:
    """Settings.

    Attributes
    ----------
    steps, batch_size : int
        Optimizer steps and tiles in each.
    lr : float
        Peak learning rate of AdamW, reached after 5 % and brought down by a cosine.
    seed : int
        Order and augmentation.
    save_every : int
        Steps between checkpoints.
    """

    steps: int = 200
    batch_size: int = 16
    lr: float = 5e-4
    seed: int = 2000
    save_every: int = 50


def train_classifier(
    classifier: TileClassifier,
    tiles: TileSet,
    settings: ClassifierTraining,
    compute: ComputeDevice,
    checkpoint: Path,
) -> None:
    """Train every parameter that requires a gradient, in place; resumes by itself."""
    parameters = [p for p in classifier.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, settings.steps)
    )
    start = _resume(classifier, optimizer, schedule, checkpoint)
    classifier.train()
    for step in range(start, settings.steps):
        rng = np.random.default_rng([settings.seed, step])
        index = rng.integers(0, len(tiles.tile), settings.batch_size)
        loss = _loss(classifier, tiles, index, rng, compute)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 10 == 0:
            log.info("classifier step %d/%d loss %.4f", step, settings.steps, loss.item())
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            save_checkpoint(
                checkpoint,
                step=step + 1,
                settings=asdict(settings),
                model=trainable_state(classifier),
                optimizer=optimizer.state_dict(),
                schedule=schedule.state_dict(),
            )
    classifier.eval()


def learning_rate_factor(step: int, steps: int) -> float:
    """Return the warm-up and cosine factor of a step."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * (step - warm) / max(1, steps - warm))))


def trainable_state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors that training changes."""
    return {n: p.detach().cpu() for n, p in module.named_parameters() if p.requires_grad}


def _resume(
    classifier: TileClassifier,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    checkpoint: Path,
) -> int:
    state = load_checkpoint(checkpoint)
    if state is None:
        return 0
    classifier.load_state_dict(state["model"], strict=False)
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    return int(state["step"])


def _loss(
    classifier: TileClassifier,
    tiles: TileSet,
    index: np.ndarray,
    rng: np.random.Generator,
    compute: ComputeDevice,
) -> torch.Tensor:
    pixels, cells = augment(tiles.pixels[index], tiles.cells[index], rng)
    batch = torch.from_numpy(pixels).to(compute.device)
    cell_truth = torch.from_numpy(cells.astype(np.int64)).to(compute.device)
    tile_truth = torch.from_numpy(tiles.tile[index].astype(np.int64)).to(compute.device)
    with compute.autocast():
        logits = classifier(batch)
    return functional.cross_entropy(logits.tile.float(), tile_truth) + functional.cross_entropy(
        logits.cells.float(), cell_truth
    )


def augment(
    pixels: np.ndarray, cells: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Turn, flip and re-stain a batch; truth follows.

    Parameters
    ----------
    pixels : array of uint8, shape (n, h, w, 3)
    cells : array of uint8, shape (n, 8, 8)
    rng : numpy Generator
        Decides.
    """
    quarter, flip = int(rng.integers(4)), bool(rng.integers(2))
    pixels, cells = (np.rot90(a, quarter, axes=(1, 2)) for a in (pixels, cells))
    if flip:
        pixels, cells = pixels[:, :, ::-1], cells[:, :, ::-1]
    # Beer–Lambert: a stain's strength scales its optical density.
    density = -np.log((pixels.astype(np.float32) + 1.0) / 256.0)
    gain = rng.uniform(0.75, 1.3, (len(pixels), 1, 1, 1)) * rng.uniform(
        0.92, 1.08, (len(pixels), 1, 1, 3)
    )
    stained = 256.0 * np.exp(-density * gain.astype(np.float32)) - 1.0
    return np.ascontiguousarray(np.clip(stained, 0, 255).astype(np.uint8)), cells.copy()
