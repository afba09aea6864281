"""Does learning from strokes help on a patient the model has never seen?

    python -m benchmarks.adapt_simulation --work DIR [--seeds 20] [--sites 2 6 12]

For the mosaics of real tiles of Case-3 and Case-48 (NAPARI_FDDM_DATA): stage 1 is DINOv2-S
with heads trained on the *other* patients' tiles, and on synthetic tiles of the classes they
lack. A simulated pathologist then paints 2 % of the tissue at some sites, and the heads learn
as in the program, gate included. Measured: balanced accuracy of the tiles on which nobody
painted, before and after. Stopped at any moment, the same command goes on. Prints a table.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.adapt_base import (
    MOSAICS,
    PATIENTS,
    Mosaic,
    load_mosaic,
    load_or_train_heads,
    plain_model,
    synthetic_features,
)
from benchmarks.adapt_strokes import simulated_strokes
from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.files import write_json
from napari_fddm.training.adapt.guidance import NotEnoughStrokesError, StrokeCounts
from napari_fddm.training.adapt.head_learning import Learned, learn_events
from napari_fddm.training.adapt.heads import Heads, cell_inputs, predict, tile_inputs
from napari_fddm.training.adapt.samples import PaintedSamples, painted_samples
from napari_fddm.training.adapt.unpainted import REFERENCE_TILES, choose_reference
from napari_fddm.training.stage1.from_rows import drained
from napari_fddm.training.stage1.scores import balanced_accuracy, confusion

TESTED = ("Case-3", "Case-48")
TILE_UM = 256.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--sites", type=int, nargs="+", default=[2, 6, 12])
    parser.add_argument("--share", type=float, default=0.02)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--corrections-only",
        action="store_true",
        help="the pathologist paints nothing that the model has right",
    )
    options = parser.parse_args()
    if not MOSAICS.is_dir():
        parser.exit(2, f"{MOSAICS} is not there: set NAPARI_FDDM_DATA.\n")
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    model = plain_model(options.work)
    mosaics = {patient: load_mosaic(options.work, model, patient) for patient in PATIENTS}
    synthetic = synthetic_features(options.work, model)
    results = Results(options.work / "results.json")
    for sites in options.sites:
        for patient in TESTED:
            heads = load_or_train_heads(options.work, patient, mosaics, synthetic)
            for seed in range(options.seeds):
                key = key_of(patient, sites, options, seed)
                if key not in results.rows:
                    row = tried(mosaics[patient], heads, sites, options, seed)
                    results.add(key, row)
    print(table(results, options))


class Results:
    """Rows by key, on disk after each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, dict] = json.loads(path.read_text()) if path.exists() else {}

    def add(self, key: str, row: dict) -> None:
        self.rows[key] = row
        write_json(self.path, self.rows)


def key_of(patient: str, sites: int, options: argparse.Namespace, seed: int) -> str:
    how = "corrections" if options.corrections_only else "all"
    return f"{patient} {sites} {options.share} {how} {seed}"


def tried(mosaic: Mosaic, heads: Heads, sites: int, options: argparse.Namespace, seed: int) -> dict:
    """Paint, learn, and measure on the unpainted rest."""
    strokes = simulated_strokes(mosaic.truth, TILE_UM, sites, options.share, seed)
    samples = painted_samples(strokes, mosaic.grid.cell_geometry)
    painted = samples.touched_tiles()
    if options.corrections_only:
        samples = wrong_ones(samples, heads, mosaic)
    rest = sorted(set(mosaic.features) - painted)
    started, cpu = time.monotonic(), time.process_time()
    refused, learned = False, None
    try:
        StrokeCounts.of(samples, OSTEOSARCOMA).require_enough()
        reference = choose_reference(mosaic.truth > 0, painted, REFERENCE_TILES)
        learned = drained(learn_events(heads, samples, mosaic.features, reference, OSTEOSARCOMA))
    except NotEnoughStrokesError:
        refused = True
    new = learned.heads if isinstance(learned, Learned) else heads
    row = {
        "seconds": time.monotonic() - started,
        "cpu_seconds": time.process_time() - cpu,
        "sites": samples.sites,
        "tiles": len(samples.tiles),
        "refused": refused,
        "used": learned is not None and learned.verdict.accepted,
        "verdict": learned.verdict.to_json() if learned else None,
    }
    for name, which in (("before", heads), ("after", new)):
        row[f"tile_{name}"], row[f"cell_{name}"] = scores(mosaic, which, rest)
    return row


def wrong_ones(samples: PaintedSamples, heads: Heads, mosaic: Mosaic) -> PaintedSamples:
    """Leave out what the model says by itself."""
    cells = predict(heads.cell, cell_inputs(samples.cells, mosaic.features))
    tiles = predict(heads.tile, tile_inputs(samples.tiles, mosaic.features))
    return PaintedSamples(
        samples.cells.part(cells != samples.cells.label),
        samples.tiles.part(tiles != samples.tiles.label),
    )


def scores(mosaic: Mosaic, heads: Heads, rest: list[tuple[int, int]]) -> tuple[float, float]:
    """Balanced accuracy of tiles, and of their cells against the tile's class."""
    truth = np.array([mosaic.truth[i] for i in rest], np.int64)
    tiles = np.stack([mosaic.features[i].pooled for i in rest])
    cells = np.concatenate([mosaic.features[i].cells.reshape(64, -1)[::8] for i in rest])
    return (
        balanced(predict(heads.tile, tiles), truth),
        balanced(predict(heads.cell, cells), truth.repeat(8)),
    )


def balanced(predicted: np.ndarray, truth: np.ndarray) -> float:
    return balanced_accuracy(confusion(truth - 1, predicted - 1, len(OSTEOSARCOMA)))


def table(results: Results, options: argparse.Namespace) -> str:
    """Return what was measured, as Markdown."""
    lines = [
        "| patient | sites | tiles: before → after (median) | gain: median (worst … best) | "
        "cells: before → after | used / refused | s (worst) |",
        "|---|---|---|---|---|---|---|",
    ]
    for sites in options.sites:
        for patient in TESTED:
            keys = [key_of(patient, sites, options, seed) for seed in range(options.seeds)]
            rows = [results.rows[key] for key in keys]
            tile, cell = (
                [np.array([r[f"{kind}_{w}"] for r in rows]) * 100 for w in ("before", "after")]
                for kind in ("tile", "cell")
            )
            gain = tile[1] - tile[0]
            used, refused = (sum(r[k] for r in rows) for k in ("used", "refused"))
            lines.append(
                f"| {patient} | {sites} | {np.median(tile[0]):.1f} → {np.median(tile[1]):.1f} % | "
                f"{np.median(gain):+.1f} ({gain.min():+.1f} … {gain.max():+.1f}) points | "
                f"{np.median(cell[0]):.1f} → {np.median(cell[1]):.1f} % | "
                f"{used} / {refused} of {len(rows)} | {max(r['seconds'] for r in rows):.1f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
