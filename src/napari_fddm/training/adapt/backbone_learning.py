"""Learning with LoRA: adapters of the backbone and heads are trained on painted tiles.

The training begins with heads that were retrained on the frozen backbone. It is judged once,
on every third site, which it does not learn from: a cross-validation would take minutes per
fold. The model that was judged is the one that is kept.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.events import Progressed, StageDone, StageStarted
from napari_fddm.core.tiling import CELLS_PER_TILE
from napari_fddm.models.lora import lora_state
from napari_fddm.models.trainable import trainable_classifier
from napari_fddm.pipeline.stage1 import iter_tile_batches
from napari_fddm.training.adapt.backbone_task import OPTIONS, LoraFitting, LoraTask, class_logits
from napari_fddm.training.adapt.events import STAGE_FEATURES, STAGE_LEARN, Verdict
from napari_fddm.training.adapt.guidance import StrokeCounts
from napari_fddm.training.adapt.head_fitting import HeadFitting
from napari_fddm.training.adapt.heads import Heads, fit_heads, model_heads
from napari_fddm.training.adapt.judging import assign_folds, balanced_accuracy
from napari_fddm.training.adapt.samples import PaintedSamples
from napari_fddm.training.adapt.tile_cache import HeadInputs
from napari_fddm.training.adapt.unpainted import Unpainted
from napari_fddm.training.loop import run_loop

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy.typing as npt

    from napari_fddm.core.protocols import Slide
    from napari_fddm.core.tiling import TileGrid
    from napari_fddm.models import LoadedModel, TileClassifier
    from napari_fddm.training.adapt.backbone_task import Answers, Index, Pixels
    from napari_fddm.training.adapt.events import AdaptEvent

HOLD_OUT = 3
"""One of this many sites is held out."""
HELD_TILES = 32
"""Unpainted tiles on which the new model is held to the answers of the old one."""


@dataclass(frozen=True, slots=True, eq=False)
class LoraLearned:
    """Tensors of the new model, and how it was judged.

    Attributes
    ----------
    heads, adapter : dict of str to tensor
        For the model's files.
    verdict : Verdict
        Accuracy of old and new model on held-out sites.
    """

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
        The slide and its tiles.
    samples : PaintedSamples
        What was painted.
    reference : sequence of (row, col)
        Tiles where nothing is painted; the first few are used.
    model : LoadedModel
        The model that is trained in a copy.
    settings : LoraFitting, optional
        Steps, learning rate and so on.

    Yields
    ------
    AdaptEvent
        Of the stages "features" and "learn".
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
    """Return heads that were retrained on the frozen backbone, as without LoRA."""
    features = {}
    for index in {*samples.touched_tiles(), *held}:
        pooled, cells = model.embed(pixels[index][None])
        features[index] = HeadInputs.of(pooled[0], cells[0])
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
    task = LoraTask(classifier, samples, held, pixels, answers, settings, model.compute)
    run = run_loop(task, settings.loop, model.compute, checkpoint=None, log=None, options=OPTIONS)
    for progress in run:
        if progress.done:  # the first one comes before the first step
            yield Progressed(STAGE_LEARN, progress.done, progress.total)


def _judge(
    classifier: TileClassifier,
    samples: PaintedSamples,
    held: Sequence[Index],
    pixels: Pixels,
    answers: Answers,
    model: LoadedModel,
) -> Verdict:
    """Compare the new classifier with the old answers on held-out sites."""
    new: Answers = {}
    for index in {*samples.touched_tiles(), *held}:
        with torch.inference_mode():
            logits = class_logits(classifier, torch.from_numpy(pixels[index][None]), model.compute)
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
