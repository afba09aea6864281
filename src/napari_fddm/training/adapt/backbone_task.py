"""The loss of LoRA learning: on painted tiles, and on unpainted ones with the old answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from napari_fddm.core.tiling import CELLS_PER_TILE
from napari_fddm.models.classifier import TileLogits
from napari_fddm.training.data.augmentation import Augmentation, augment
from napari_fddm.training.loop import LoopSettings
from napari_fddm.training.loop.settings import LoopOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_fddm.models import ComputeDevice, TileClassifier
    from napari_fddm.training.adapt.samples import PaintedSamples

    Index = tuple[int, int]
    """(row, column) of a tile."""
    Pixels = dict[Index, npt.NDArray[np.uint8]]
    Answers = dict[Index, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]
    """Probabilities of each tile (classes,) and of its cells (classes, 8, 8)."""

NO_LABEL = 255
OPTIONS = LoopOptions(
    mixed_precision=False,
    torch_seed="counted",
    not_finite_hint="Learn without LoRA adapters: the heads alone.",
)
"""What the training loop does differently from that of stage 1."""


@dataclass(frozen=True, slots=True)
class LoraFitting:
    """Settings.

    Attributes
    ----------
    steps : int
        Steps of AdamW.
    painted, held : int
        Painted and unpainted tiles in a step.
    lr : float
        Peak learning rate; a fifth of the one that trains a model from scratch.
    hold_answers : float
        Weight of the old answers on unpainted tiles, against 1 for the strokes.
    seed : int
        Seed of order and augmentation.
    """

    steps: int = 60
    painted: int = 6
    held: int = 2
    lr: float = 1e-4
    hold_answers: float = 0.05
    seed: int = 0

    @property
    def loop(self) -> LoopSettings:
        """The settings of the training loop, without validation."""
        return LoopSettings(
            steps=self.steps,
            batch_size=self.painted,
            lr=self.lr,
            weight_decay=0.0,
            seed=self.seed,
            validate_every=self.steps,
            patience=0,
        )


class Truth(NamedTuple):
    """What was painted, as class channels.

    Attributes
    ----------
    tile : dict
        Channel of the tiles that are samples.
    cells : dict
        Channels of the cells of every tile with a stroke, uint8 (8, 8); `NO_LABEL` where
        nothing is painted.
    """

    tile: dict[Index, int]
    cells: dict[Index, npt.NDArray[np.uint8]]

    @classmethod
    def of(cls, samples: PaintedSamples) -> Truth:
        """Take the classes of painted tiles and cells."""
        cells = {
            index: np.full((CELLS_PER_TILE, CELLS_PER_TILE), NO_LABEL, np.uint8)
            for index in samples.touched_tiles()
        }
        for (row, col), label in zip(samples.cells.index, samples.cells.label, strict=True):
            tile = cells[int(row // CELLS_PER_TILE), int(col // CELLS_PER_TILE)]
            tile[row % CELLS_PER_TILE, col % CELLS_PER_TILE] = label - 1
        pairs = zip(samples.tiles.index, samples.tiles.label, strict=True)
        return cls({(int(row), int(col)): int(label) - 1 for (row, col), label in pairs}, cells)


class LoraTask:
    """Trains adapters and heads on painted tiles; unpainted ones hold them to the old answers.

    Parameters
    ----------
    classifier : TileClassifier
        On its device; what requires a gradient is trained.
    samples : PaintedSamples
        What to learn from.
    held : sequence of (row, col)
        Unpainted tiles.
    pixels : dict
        Pixels of painted and unpainted tiles.
    answers : dict
        Probabilities that the old model gives them.
    settings : LoraFitting
        Number and weight of the unpainted tiles.
    compute : ComputeDevice
        Device and precision.
    """

    def __init__(
        self,
        classifier: TileClassifier,
        samples: PaintedSamples,
        held: Sequence[Index],
        pixels: Pixels,
        answers: Answers,
        settings: LoraFitting,
        compute: ComputeDevice,
    ) -> None:
        self.module: TileClassifier = classifier
        self._truth = Truth.of(samples)
        self._painted, self._chances = _chances(samples)
        self._held = held
        self._pixels = pixels
        self._answers = answers
        self._settings = settings
        self._compute = compute

    def loss(self, rng: np.random.Generator, batch_size: int) -> torch.Tensor:
        """Return the loss of some painted tiles and of some unpainted ones."""
        drawn = rng.choice(len(self._painted), batch_size, p=self._chances)
        loss = self._stroke_loss([self._painted[i] for i in drawn], rng)
        if not self._held:
            return loss
        chosen = rng.choice(len(self._held), self._settings.held)
        old = self._old_answer_loss([self._held[i] for i in chosen])
        return loss + self._settings.hold_answers * old

    def after_step(self) -> None:
        """Nothing has to follow a step."""

    def score(self) -> float | None:
        """Return None: the model is judged once, after its training."""
        return None

    def _stroke_loss(self, tiles: Sequence[Index], rng: np.random.Generator) -> torch.Tensor:
        device = self._compute.device
        pixels = torch.from_numpy(np.stack([self._pixels[i] for i in tiles])).to(device)
        painted = np.stack([self._truth.cells[i] for i in tiles]).astype(np.int64)
        pixels, of_cell = augment(pixels, torch.from_numpy(painted).to(device), rng, Augmentation())
        logits = class_logits(self.module, pixels, self._compute)
        loss = functional.cross_entropy(logits.cells, of_cell, ignore_index=NO_LABEL)
        of_tile = torch.tensor([self._truth.tile.get(i, NO_LABEL) for i in tiles], device=device)
        if bool((of_tile != NO_LABEL).any()):  # strokes may lie over borders of tiles
            loss = loss + functional.cross_entropy(logits.tile, of_tile, ignore_index=NO_LABEL)
        return loss

    def _old_answer_loss(self, tiles: Sequence[Index]) -> torch.Tensor:
        pixels = torch.from_numpy(np.stack([self._pixels[i] for i in tiles]))
        logits = class_logits(self.module, pixels, self._compute)
        old_tile, old_cells = (
            torch.from_numpy(np.stack([self._answers[i][k] for i in tiles])).to(
                self._compute.device
            )
            for k in (0, 1)
        )
        return functional.cross_entropy(logits.tile, old_tile) + functional.cross_entropy(
            logits.cells, old_cells
        )


def class_logits(
    classifier: TileClassifier, tiles: torch.Tensor, compute: ComputeDevice
) -> TileLogits:
    """Return the logits of uint8 tiles (n, 256, 256, 3) as float32."""
    with compute.autocast():
        logits: TileLogits = classifier(tiles.to(compute.device))
    return TileLogits(logits.tile.float(), logits.cells.float())


def _chances(samples: PaintedSamples) -> tuple[list[Index], npt.NDArray[np.float64]]:
    """Return the tiles with strokes, and the chance of each to be drawn: that of its cells."""
    total: dict[Index, float] = {}
    for (row, col), weight in zip(samples.cells.index, samples.cells.weights(), strict=True):
        index = int(row // CELLS_PER_TILE), int(col // CELLS_PER_TILE)
        total[index] = total.get(index, 0.0) + float(weight)
    chances = np.array(list(total.values()))
    return list(total), chances / chances.sum()
