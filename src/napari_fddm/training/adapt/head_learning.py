"""Learning with a frozen backbone: both heads are retrained, and kept if that helps."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_fddm.core.events import Progressed, StageDone, StageStarted
from napari_fddm.training.adapt.events import STAGE_JUDGE, STAGE_LEARN, Verdict
from napari_fddm.training.adapt.head_fitting import HeadFitting
from napari_fddm.training.adapt.heads import Heads, fit_heads
from napari_fddm.training.adapt.judging import (
    assign_folds,
    changed_share,
    held_out_events,
    judge,
)
from napari_fddm.training.adapt.unpainted import Unpainted

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_fddm.core.classes import ClassTable
    from napari_fddm.training.adapt.events import AdaptEvent
    from napari_fddm.training.adapt.heads import Features
    from napari_fddm.training.adapt.samples import PaintedSamples


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """Retrained heads and how they were judged.

    Attributes
    ----------
    heads : Heads
        The new heads, or the old ones if the new ones were not better.
    verdict : Verdict
        Accuracy of old and new heads on held-out sites.
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
        The model's own heads.
    samples : PaintedSamples
        What was painted.
    features : mapping
        Inputs of the heads for every painted tile and every reference tile.
    reference : sequence of (row, col)
        Tiles where nothing is painted.
    table : ClassTable
        The classes.
    settings : HeadFitting, optional
        How a head is retrained.

    Yields
    ------
    AdaptEvent
        Of the stages "judge" and "learn".
    """
    settings = settings or HeadFitting()
    unpainted = Unpainted.of(features, reference)
    started = time.monotonic()
    yield StageStarted(STAGE_JUDGE, max(assign_folds(samples).values()) + 1, "rounds")
    held_out = yield from held_out_events(heads, samples, features, unpainted, settings)
    verdict = judge(heads, samples, features, held_out, table)
    yield StageDone(STAGE_JUDGE, time.monotonic() - started)
    if not verdict.accepted:
        return Learned(heads, verdict)
    started = time.monotonic()
    yield StageStarted(STAGE_LEARN, 1, "rounds")
    new = fit_heads(heads, samples, features, unpainted, settings)
    yield Progressed(STAGE_LEARN, 1, 1)
    yield StageDone(STAGE_LEARN, time.monotonic() - started)
    return Learned(new, verdict.with_changed(changed_share(heads, new, unpainted)))
