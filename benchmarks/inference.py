"""A run that stops after the tiles against the bare forward pass of the same network."""

from __future__ import annotations

import shutil
import statistics
import time
from typing import TYPE_CHECKING

import torch

from benchmarks.paired import Outcome, compare
from benchmarks.reading import write_slide
from napari_fddm.core.config import AnalysisConfig
from napari_fddm.core.events import StageDone, StageStarted
from napari_fddm.models import LoadedModel, load_model
from napari_fddm.pipeline.run.analyze import analyze
from napari_fddm.slides.tiff import TiffSlide

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TILES_A_SIDE = 12
ROUNDS = 7
REFERENCE = "bare forward on tensors in memory"


def measure(folder: Path) -> tuple[str, list[Outcome]]:
    """Return the device and how fast tiles go through the network, bare and in runs."""
    model = load_model("fddm-small")
    runs = {
        f"run --stage patch, slide of {mpp} µm/px": runner(folder, model, mpp)
        for mpp in (1.0, 0.25, 0.23)
    }
    outcomes = compare({REFERENCE: bare_forward(model), **runs}, rounds=ROUNDS)
    return model.compute.title, outcomes


def bare_forward(model: LoadedModel) -> Callable[[], float]:
    """Return work that pushes one batch in memory through the network again and again."""
    batch = AnalysisConfig().batch_size
    tiles = torch.randint(0, 255, (batch, 256, 256, 3), dtype=torch.uint8)
    tiles = tiles.to(model.compute.device)
    times = TILES_A_SIDE**2 // batch

    def work() -> float:
        started = time.perf_counter()
        with torch.inference_mode(), model.compute.autocast():
            for _ in range(times):
                logits = model.classifier(tiles)
        logits.tile.float().cpu()
        return times * batch / (time.perf_counter() - started)

    return work


def runner(folder: Path, model: LoadedModel, mpp: float) -> Callable[[], float]:
    """Return work that analyzes a slide from its file into a store."""
    # Cut off, not rounded: a slide a little longer has a row of nearly empty tiles more.
    path = write_slide(folder, int(TILES_A_SIDE * 256 / mpp), mpp)

    def work() -> float:
        return stage_seconds(path, mpp, model, folder, stage="patch")["patch"][0]

    return work


def stage_seconds(
    path: Path, mpp: float, model: LoadedModel, folder: Path, **settings: object
) -> dict[str, tuple[float, float]]:
    """Run an analysis and return for each stage its units per second and its seconds.

    The seconds of a stage include reading and writing the store.
    """
    store = folder / "run.ome.zarr"
    shutil.rmtree(store, ignore_errors=True)
    totals: dict[str, int] = {}
    found: dict[str, tuple[float, float]] = {}
    config = AnalysisConfig(tissue="all", **settings)
    with TiffSlide(path, mpp=mpp) as slide:
        for event in analyze(slide, store=store, model=model, config=config):
            if isinstance(event, StageStarted):
                totals[event.stage] = event.total
            elif isinstance(event, StageDone):
                found[event.stage] = (totals[event.stage] / event.seconds, event.seconds)
    return found


def refinement_share(folder: Path, rounds: int = 3) -> float:
    """Return the share of a default run's time that refining takes, the median of some runs."""
    model = load_model("fddm-small")
    path = write_slide(folder, TILES_A_SIDE * 256, 1.0)
    shares = []
    for _ in range(rounds + 1):  # the first imports diffusers
        stages = stage_seconds(path, 1.0, model, folder)
        shares.append(stages["refined"][1] / sum(seconds for _, seconds in stages.values()))
    return statistics.median(shares[1:])
