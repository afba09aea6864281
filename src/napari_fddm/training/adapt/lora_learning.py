"""The slower choice: LoRA adapters and heads learn from the pixels of painted tiles.

Heads that were retrained on the frozen backbone are where it starts. The gate is one
hold-out of every third site, because a fold takes minutes; what passed it is kept as it is.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.events import Progressed, StageDone, StageStarted
from napari_fddm.core.tiling import CELLS_PER_TILE
from napari_fddm.models.classifier import TileLogits
from napari_fddm.models.lora import lora_state
from napari_fddm.models.trainable import trainable_classifier
from napari_fddm.pipeline.stage1.tile_reader import iter_tile_batches
from napari_fddm.training.adapt.events import STAGE_FEATURES, STAGE_LEARN, Verdict
from napari_fddm.training.adapt.guidance import StrokeCounts
from napari_fddm.training.adapt.head_fitting import HeadFitting
from napari_fddm.training.adapt.judging import (
    Heads,
    Unpainted,
    assign_folds,
    balanced_accuracy,
    fit_heads,
    model_heads,
)
from napari_fddm.training.adapt.samples import PaintedSamples
from napari_fddm.training.adapt.tile_cache import TileFeatures
from napari_fddm.training.data.augmentation import Augmentation, augment
from napari_fddm.training.loop.training_loop import learning_rate_factor

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy.typing as npt

    from napari_fddm.core.protocols import Slide
    from napari_fddm.core.tiling import TileGrid
    from napari_fddm.models.bundle import LoadedModel
    from napari_fddm.models.classifier import TileClassifier
    from napari_fddm.training.adapt.events import AdaptEvent

    Index = tuple[int, int]
    Pixels = dict[Index, npt.NDArray[np.uint8]]
    Answers = dict[Index, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]

NO_LABEL = 255
HOLD_OUT = 3
"""One of so many sites is held out."""
HELD_TILES = 32
"""Unpainted tiles on which the new model is held to the old one's answers."""


@dataclass(frozen=True, slots=True)
class LoraFitting:
    """Settings.

    Attributes
    ----------
    steps : int
        Of AdamW.
    painted, held : int
        Tiles of either kind in a step.
    lr : float
        Its peak rate; a fifth of the one that trains a model from scratch.
    hold_answers : float
        Weight of the old answers on unpainted tiles, against 1 for the strokes.
    seed : int
        Order and augmentation.
    """

    steps: int = 60
    painted: int = 6
    held: int = 2
    lr: float = 1e-4
    hold_answers: float = 0.05
    seed: int = 0


class Truth(NamedTuple):
    """What was painted, as channels.

    Attributes
    ----------
    tile : dict
        Channel of the tiles that are samples.
    cells : dict
        Painted cells of every touched tile, (8, 8); `NO_LABEL` elsewhere.
    """

    tile: dict[Index, int]
    cells: dict[Index, npt.NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, eq=False)
class LoraLearned:
    """Tensors for a model's files, and what they are worth."""

    heads: dict[str, torch.Tensor]
    adapter: dict[str, torch.Tensor]
    verdict: Verdict


def learn_lora_events(
    slide: Slide,
    grid: TileGrid,
    samples: PaintedSamples,
    reference: Sequence[Index],
    model: LoadedModel,
    settings: LoraFitting | None = None,
) -> Generator[AdaptEvent, None, LoraLearned]:
    """Fine-tune adapters and heads on painted tiles, and judge them on held-out sites.

    Parameters
    ----------
    slide, grid : Slide, TileGrid
        Where tiles are read.
    samples : PaintedSamples
        What was painted.
    reference : sequence of (row, col)
        Tiles where nobody painted; the first few are used.
    model : LoadedModel
        What learns; it stays as it is.
    settings : LoraFitting
        How.
    """
    settings = settings or LoraFitting()
    pixels = yield from _read_events(slide, grid, samples, reference[:HELD_TILES])
    samples = samples.on_tiles(pixels)
    StrokeCounts.of(samples, OSTEOSARCOMA).require_enough()
    answers = {index: _single(model, tile) for index, tile in pixels.items()}
    folds = assign_folds(samples)
    out = {site for number, site in enumerate(folds) if number % HOLD_OUT == 0}
    kept = _on_sites(samples, out, inside=False)
    held = [i for i in reference[:HELD_TILES] if i in pixels]
    classifier, adapted = trainable_classifier(model)
    _start_from(_quick_heads(model, kept, held, pixels), classifier)
    started = time.monotonic()
    yield StageStarted(STAGE_LEARN, settings.steps, "steps")
    yield from _fit_events(classifier, kept, held, pixels, answers, settings, model)
    yield StageDone(STAGE_LEARN, time.monotonic() - started)
    verdict = _judge(classifier, _on_sites(samples, out, inside=True), held, pixels, answers, model)
    heads = Heads(classifier.tile_head, classifier.cell_head)
    return LoraLearned(heads.state(), lora_state(adapted), verdict)


def _quick_heads(
    model: LoadedModel, samples: PaintedSamples, held: Sequence[Index], pixels: Pixels
) -> Heads:
    """Return heads that learned from the frozen backbone, as without LoRA."""
    features = {}
    for index in {*samples.touched_tiles(), *held}:
        pooled, cells = model.embed(pixels[index][None])
        features[index] = TileFeatures.of(pooled[0], cells[0])
    unpainted = Unpainted.of(features, held)
    return fit_heads(model_heads(model), samples, features, unpainted, HeadFitting())


def _start_from(heads: Heads, classifier: TileClassifier) -> None:
    classifier.tile_head.load_state_dict(heads.tile.state_dict())
    classifier.cell_head.load_state_dict(heads.cell.state_dict())


def _read_events(
    slide: Slide, grid: TileGrid, samples: PaintedSamples, reference: Sequence[Index]
) -> Generator[AdaptEvent, None, Pixels]:
    wanted = [*sorted(samples.touched_tiles()), *reference]
    started = time.monotonic()
    pixels: Pixels = {}
    yield StageStarted(STAGE_FEATURES, len(wanted), "tiles")
    done = 0
    with closing(iter_tile_batches(slide, grid, wanted, 8)) as batches:
        for batch in batches:
            done += len(batch)
            for read in batch:
                if read.pixels is not None:
                    pixels[read.tile.row, read.tile.col] = read.pixels
            yield Progressed(STAGE_FEATURES, done, len(wanted))
    yield StageDone(STAGE_FEATURES, time.monotonic() - started)
    return pixels


def _fit_events(
    classifier: TileClassifier,
    samples: PaintedSamples,
    held: Sequence[Index],
    pixels: Pixels,
    answers: Answers,
    settings: LoraFitting,
    model: LoadedModel,
) -> Generator[Progressed]:
    parameters = [p for p in classifier.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor(step, settings.steps)
    )
    truth = _truth(samples)
    places, chances = _chances(samples)
    classifier.train()
    for step in range(settings.steps):
        rng = np.random.default_rng([settings.seed, step])
        drawn = [places[i] for i in rng.choice(len(places), settings.painted, p=chances)]
        loss = _stroke_loss(classifier, drawn, truth, pixels, rng, model)
        if held:
            chosen = [held[i] for i in rng.choice(len(held), settings.held)]
            loss = loss + settings.hold_answers * _hold_loss(
                classifier, chosen, pixels, answers, model
            )
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        yield Progressed(STAGE_LEARN, step + 1, settings.steps)
    classifier.eval()


def _chances(samples: PaintedSamples) -> tuple[list[Index], npt.NDArray[np.float64]]:
    """Return the painted tiles, and how often each is drawn: by what its cells weigh."""
    total: dict[Index, float] = {}
    for (row, col), weight in zip(samples.cells.index, samples.cells.weights(), strict=True):
        index = int(row // CELLS_PER_TILE), int(col // CELLS_PER_TILE)
        total[index] = total.get(index, 0.0) + float(weight)
    chances = np.array(list(total.values()))
    return list(total), chances / chances.sum()


def _stroke_loss(
    classifier: TileClassifier,
    drawn: Sequence[Index],
    truth: Truth,
    pixels: Pixels,
    rng: np.random.Generator,
    model: LoadedModel,
) -> torch.Tensor:
    device = model.compute.device
    read = torch.from_numpy(np.stack([pixels[i] for i in drawn])).to(device)
    painted = torch.from_numpy(np.stack([truth.cells[i] for i in drawn]).astype(np.int64))
    tiles, of_cell = augment(read, painted.to(device), rng, Augmentation())
    logits = _call(classifier, tiles, model)
    loss = functional.cross_entropy(logits.cells, of_cell, ignore_index=NO_LABEL)
    of_tile = torch.tensor([truth.tile.get(i, NO_LABEL) for i in drawn], device=device)
    if bool((of_tile != NO_LABEL).any()):  # strokes may lie over borders of tiles
        loss = loss + functional.cross_entropy(logits.tile, of_tile, ignore_index=NO_LABEL)
    return loss


def _hold_loss(
    classifier: TileClassifier,
    chosen: Sequence[Index],
    pixels: Pixels,
    answers: Answers,
    model: LoadedModel,
) -> torch.Tensor:
    logits = _call(classifier, torch.from_numpy(np.stack([pixels[i] for i in chosen])), model)
    tile, cells = (
        torch.from_numpy(np.stack([answers[i][k] for i in chosen])).to(logits.tile.device)
        for k in (0, 1)
    )
    return functional.cross_entropy(logits.tile, tile) + functional.cross_entropy(
        logits.cells, cells
    )


def _judge(
    classifier: TileClassifier,
    samples: PaintedSamples,
    held: Sequence[Index],
    pixels: Pixels,
    answers: Answers,
    model: LoadedModel,
) -> Verdict:
    """Compare with the old answers on sites that were held out."""
    new: Answers = {}
    for index in {*samples.touched_tiles(), *held}:
        with torch.inference_mode():
            logits = _call(classifier, torch.from_numpy(pixels[index][None]), model)
        new[index] = (
            logits.tile.softmax(dim=1)[0].cpu().numpy(),
            logits.cells.softmax(dim=1)[0].cpu().numpy(),
        )
    judged = [int(v) for v in np.unique(samples.cells.label)]
    scores = []
    for part, by_cell in ((samples.tiles, False), (samples.cells, True)):
        for given in (answers, new):
            predicted = np.array(
                [_class_at(given, row_col, by_cell=by_cell) for row_col in part.index], np.int64
            )
            scores.append(balanced_accuracy(part, predicted, judged))
    changed = [answers[i][0].argmax() != new[i][0].argmax() for i in held]
    return Verdict(
        scores[0],
        scores[1],
        scores[2],
        scores[3],
        samples.sites,
        tuple(OSTEOSARCOMA.shorts[v - 1] for v in judged),
        float(np.mean(changed)) if changed else 0.0,
    )


def _class_at(answers: Answers, row_col: npt.NDArray[np.int64], *, by_cell: bool) -> int:
    if not by_cell:
        return int(answers[int(row_col[0]), int(row_col[1])][0].argmax()) + 1
    tile, inside = row_col // CELLS_PER_TILE, row_col % CELLS_PER_TILE
    return int(answers[int(tile[0]), int(tile[1])][1][:, inside[0], inside[1]].argmax()) + 1


def _truth(samples: PaintedSamples) -> Truth:
    cells = {
        index: np.full((CELLS_PER_TILE, CELLS_PER_TILE), NO_LABEL, np.uint8)
        for index in samples.touched_tiles()
    }
    for (row, col), label in zip(samples.cells.index, samples.cells.label, strict=True):
        tile = cells[int(row // CELLS_PER_TILE), int(col // CELLS_PER_TILE)]
        tile[row % CELLS_PER_TILE, col % CELLS_PER_TILE] = label - 1
    pairs = zip(samples.tiles.index, samples.tiles.label, strict=True)
    return Truth({(int(row), int(col)): int(label) - 1 for (row, col), label in pairs}, cells)


def _on_sites(samples: PaintedSamples, sites: set[int], *, inside: bool) -> PaintedSamples:
    parts = [
        part.part(np.isin(part.site, list(sites)) == inside)
        for part in (samples.cells, samples.tiles)
    ]
    return PaintedSamples(*parts)


def _single(
    model: LoadedModel, tile: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    probs, cells = model.classify(tile[None])
    return probs[0], cells[0]


def _call(classifier: TileClassifier, tiles: torch.Tensor, model: LoadedModel) -> TileLogits:
    with model.compute.autocast():
        logits: TileLogits = classifier(tiles.to(model.compute.device))
    return TileLogits(logits.tile.float(), logits.cells.float())
