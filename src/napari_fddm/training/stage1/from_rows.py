"""Trains stage 1 from the rows of a manifest, with patches and features that are shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fddm.core.class_names import ClassNames
from napari_fddm.training.data import build_dataset, read_manifest, split_manifest
from napari_fddm.training.data.manifest import write_manifest
from napari_fddm.training.stage1.train import train_stage1

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from napari_fddm.core.cards import ModelCard
    from napari_fddm.training.data.patches import PatchSettings
    from napari_fddm.training.stage1.held_out import Row
    from napari_fddm.training.stage1.train import Stage1Settings

COLUMNS = ("slide", "mask", "tile", "label", "case", "split")


def train_on_rows(
    rows: Sequence[Row], out: Path, work: Path, cut: PatchSettings, settings: Stage1Settings
) -> ModelCard:
    """Train stage 1 on the images of a manifest; the same call continues after a stop.

    Parameters
    ----------
    rows : sequence of dict
        Rows of a manifest with the columns `COLUMNS`, which is written to ``out``.
    out : Path
        The model folder.
    work : Path
        Holds the patches and features of all trainings that use this folder.
    cut : PatchSettings
        How patches are cut.
    settings : Stage1Settings
        How stage 1 is trained.
    """
    manifest = out / "manifest.csv"
    write_manifest(manifest, rows, COLUMNS)
    names = ClassNames()
    divided = split_manifest(read_manifest(manifest, names))
    dataset = drained(build_dataset(divided, work / "patches", cut, names))
    card: ModelCard = drained(train_stage1(dataset, out, settings, features=work / "features"))
    return card


def drained(run: Generator[Any, None, Any]) -> Any:
    """Run a generator to its end, ignore what it yields, and return its result."""
    while True:
        try:
            next(run)
        except StopIteration as stop:
            return stop.value
