"""Heads that learn from strokes, and the gate that they must pass."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.events import Progressed, StageDone, StageStarted
from napari_fddm.training.adapt.events import STAGE_JUDGE, STAGE_LEARN, Verdict
from napari_fddm.training.adapt.guidance import LEAST_SITES_PER_CLASS
from napari_fddm.training.adapt.head_fitting import HeadFitting
from napari_fddm.training.adapt.judging import (
    Heads,
    Unpainted,
    assign_folds,
    balanced_accuracy,
    cell_inputs,
    fit_heads,
    held_out_events,
    predict,
    tile_inputs,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy.typing as npt

    from napari_fddm.core.classes import ClassTable
    from napari_fddm.training.adapt.events import AdaptEvent
    from napari_fddm.training.adapt.judging import Features
    from napari_fddm.training.adapt.samples import PaintedSamples


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """Retrained heads and what they are worth.

    Attributes
    ----------
    heads : Heads
        The old ones, where the new ones were not better.
    verdict : Verdict
        How both did on sites they had not learned from.
    """

    heads: Heads
    verdict: Verdict


def learn_events(
    heads: Heads,
    samples: PaintedSamples,
    features: Features,
    reference: Sequence[tuple[int, int]],
    table: ClassTable,
    settings: HeadFitting | None = None,
) -> Generator[AdaptEvent, None, Learned]:
    """Retrain both heads, if that helps on sites that were held out.

    Parameters
    ----------
    heads : Heads
        The model's own.
    samples : PaintedSamples
        What was painted.
    features : mapping
        What the heads see of every painted tile and every reference tile.
    reference : sequence of (row, col)
        Tiles where nobody painted.
    table : ClassTable
        Names the classes.
    settings : HeadFitting
        How a head is retrained.
    """
    settings = settings or HeadFitting()
    unpainted = Unpainted.of(features, reference)
    started = time.monotonic()
    yield StageStarted(STAGE_JUDGE, max(assign_folds(samples).values()) + 1, "rounds")
    tiles, cells = yield from held_out_events(heads, samples, features, unpainted, settings)
    verdict = judge(heads, samples, features, (tiles, cells), table)
    yield StageDone(STAGE_JUDGE, time.monotonic() - started)
    if not verdict.accepted:
        return Learned(heads, verdict)
    started = time.monotonic()
    yield StageStarted(STAGE_LEARN, 1, "rounds")
    new = fit_heads(heads, samples, features, unpainted, settings)
    yield Progressed(STAGE_LEARN, 1, 1)
    yield StageDone(STAGE_LEARN, time.monotonic() - started)
    return Learned(new, verdict.with_changed(changed_share(heads, new, unpainted)))


def judge(
    heads: Heads,
    samples: PaintedSamples,
    features: Features,
    held_out: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    table: ClassTable,
) -> Verdict:
    """Compare the old heads with held-out predictions of new ones, (tiles, cells)."""
    judged = [v for v, n in samples.sites_of().items() if n >= LEAST_SITES_PER_CLASS]
    before = (
        predict(heads.tile, tile_inputs(samples.tiles, features))
        if len(samples.tiles)
        else held_out[0],
        predict(heads.cell, cell_inputs(samples.cells, features)),
    )
    scores = [
        balanced_accuracy(part, predicted, judged)
        for part, pair in zip(
            (samples.tiles, samples.cells), zip(before, held_out, strict=True), strict=True
        )
        for predicted in pair
    ]
    sites = len(np.unique(samples.cells.site[np.isin(samples.cells.label, judged)]))
    return Verdict(
        scores[0],
        scores[1],
        scores[2],
        scores[3],
        sites,
        tuple(table.shorts[v - 1] for v in judged),
    )


def changed_share(old: Heads, new: Heads, unpainted: Unpainted) -> float:
    """Return the share of unpainted tiles to which new heads give another class."""
    if not len(unpainted.tiles):
        return 0.0
    before, after = (predict(heads.tile, unpainted.tiles) for heads in (old, new))
    return float((before != after).mean())
