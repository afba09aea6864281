"""What do adapters, a tree of classes and radiomics give on real tiles that were left out?

    python -m benchmarks.science_classification --work DIR --data DIR [--write]

45 tiles of three patients, each judged once by a model that has not seen its patient, and
once by one that has not seen its slide. Resumable; about a quarter of an hour on two idle
CPU cores. ``--write`` puts the table into docs/science.md.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.science_page import write_section
from napari_fddm.core.cards import CARD_NAME, read_card
from napari_fddm.core.class_names import ClassNames
from napari_fddm.training.composites import read_textures
from napari_fddm.training.datasets import build_dataset
from napari_fddm.training.held_out import COLUMNS, held_out_groups, pooled, real_rows
from napari_fddm.training.loop import LoopSettings
from napari_fddm.training.manifest import read_manifest, write_manifest
from napari_fddm.training.patches import PatchSettings
from napari_fddm.training.scores import balanced_accuracy
from napari_fddm.training.splits import split_manifest
from napari_fddm.training.stage1 import Stage1Settings, train_stage1

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_fddm.training.composites import Texture

WEIGHTS = "weights/vit_small_patch14_dinov2_fp16.safetensors"
HEADS = LoopSettings(steps=300, batch_size=64, lr=1e-3)
ADAPTERS = LoopSettings(steps=60, batch_size=8)
BOTH = ("first_order", "glcm")
COLOR = "color alone"
RESAMPLES = 2000
CLASSES = ("VT", "NC", "NT")
TITLES = {
    "patient": "By patient: none of the judged patient's tiles was learned from",
    "slide": "By slide: other slides of the judged patient may have been learned from",
}

Fold = dict[str, Any]
"""``metrics["test"]`` of a card."""


@dataclass(frozen=True, slots=True)
class Method:
    """One way to train stage 1; no tile that is judged chooses its weights.

    Attributes
    ----------
    name : str
        Key of its folders.
    title : str
        For readers.
    settings : Stage1Settings
    """

    name: str
    title: str
    settings: Stage1Settings = field(default_factory=Stage1Settings)


FROZEN = Stage1Settings(tune="frozen", loop=HEADS, allow_missing=True)
METHODS = (
    Method("frozen", "DINOv2-S frozen, heads", FROZEN),
    Method("lora", "DINOv2-S, LoRA", replace(FROZEN, tune="lora", loop=ADAPTERS)),
    Method("tree", "frozen, hierarchical loss", replace(FROZEN, loss="hierarchical")),
    Method("radiomics", "frozen, with radiomics", replace(FROZEN, radiomics=BOTH)),
    Method(
        "tree-radiomics",
        "frozen, hierarchical, with radiomics",
        replace(FROZEN, loss="hierarchical", radiomics=BOTH),
    ),
    Method("bundled", "backbone of `fddm-small` frozen, heads", replace(FROZEN, base="fddm-small")),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="patches, features and models")
    parser.add_argument("--data", type=Path, required=True, help="has osteosarcoma/ and weights/")
    parser.add_argument("--write", action="store_true", help="write docs/science.md")
    options = parser.parse_args()
    work = options.work / "classification"
    tiles = read_textures(options.data / "osteosarcoma" / "manifest.csv")
    found = {
        by: {
            method.title: [
                fold(work, options.data, method, tiles, group, by, number)
                for number, group in enumerate(groups)
            ]
            for method in METHODS
        }
        for by, groups in held_out_groups(tiles).items()
    }
    print("\n".join(write_section("classification", tables(found), write=options.write)))


def fold(
    work: Path,
    data: Path,
    method: Method,
    tiles: Sequence[Texture],
    group: Sequence[Texture],
    by: str,
    number: int,
) -> Fold:
    """Train without a group of tiles and judge them; what is done is not done again."""
    out = work / f"{method.name}-{by}-{number}"
    if not (out / CARD_NAME).exists():
        manifest = out / "manifest.csv"
        write_manifest(manifest, real_rows(tiles, test=group, by=by), COLUMNS)
        names = ClassNames()
        divided = split_manifest(read_manifest(manifest, names))
        dataset = _drained(build_dataset(divided, work / "patches", PatchSettings(), names))
        settings = method.settings
        if settings.base is None:
            settings = replace(settings, weights=data / WEIGHTS)
        _drained(train_stage1(dataset, out, settings, features=work / "features"))
        print(f"{method.title}, by {by}, fold {number + 1}: done", flush=True)
    lines = (out / "train.jsonl").read_text(encoding="utf-8").splitlines()
    seconds = sum(line.get("seconds", 0.0) for line in map(json.loads, lines))
    tested: Fold = read_card(out).metrics["test"]
    return tested | {"seconds": seconds}


def tables(found: dict[str, dict[str, list[Fold]]]) -> list[str]:
    """Return Markdown: a table for each way to leave out.

    Parameters
    ----------
    found : dict
        "patient" or "slide" → title of a method → its folds.
    """
    lines: list[str] = []
    for by, methods in found.items():
        head = " | ".join(f"recall {name}, %" for name in CLASSES)
        lines += ["", f"### {TITLES[by]}", ""]
        lines += [f"| method | balanced accuracy, % | {head} | s of training |"]
        lines += ["|---|---|" + "---|" * len(CLASSES) + "---|"]
        first = next(iter(methods.values()))
        lines.append(row(COLOR, "color alone", first, by))
        lines += [row(title, "model", folds, by) for title, folds in methods.items()]
    return lines


def row(title: str, key: str, folds: Sequence[Fold], by: str) -> str:
    """Return a row; an interval over slides only where slides are the cases."""
    scores = pooled(folds)[key]
    accuracy = f"{100 * scores['balanced_accuracy']:.1f}"
    if by == "slide":
        low, high = interval(folds, key)
        accuracy += f" [{low:.1f}, {high:.1f}]"
    recall = " | ".join(f"{100 * scores['recall'][name]:.1f}" for name in CLASSES)
    seconds = "" if key != "model" else f"{np.mean([f['seconds'] for f in folds]):.0f}"
    return f"| {title} | {accuracy} | {recall} | {seconds} |"


def interval(folds: Sequence[Fold], key: str, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap of the balanced accuracy, %, over cases."""
    cases = [np.array(c["confusion"]) for fold in folds for c in fold[key]["cases"].values()]
    rng = np.random.default_rng(seed)
    draws = [
        100 * balanced_accuracy(sum(cases[i] for i in rng.integers(0, len(cases), len(cases))))
        for _ in range(RESAMPLES)
    ]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return float(low), float(high)


def _drained(run: Generator[Any, None, Any]) -> Any:
    while True:
        try:
            next(run)
        except StopIteration as stop:
            return stop.value


if __name__ == "__main__":
    main()
