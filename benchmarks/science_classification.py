"""What do adapters, a tree of classes and radiomics give on real tiles that were left out?

    python -m benchmarks.science_classification --work DIR --data DIR [--write]

45 tiles of three patients, each judged once by a model that has not seen its patient, and
once by one that has not seen its slide. What is judged is the test split, so that it chooses
nothing: the weights are those after a fixed number of steps. Stopped at any moment, the same
command goes on. ``--write`` puts the tables into docs/science.md.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.science_classification_table import COLOR, write_page
from napari_fddm.core.cards import CARD_NAME, read_card
from napari_fddm.training.data.patches import PatchSettings
from napari_fddm.training.data.textures import read_textures
from napari_fddm.training.loop import LoopSettings, RunLog
from napari_fddm.training.stage1 import Stage1Settings
from napari_fddm.training.stage1.from_rows import train_on_rows
from napari_fddm.training.stage1.held_out import held_out_groups, real_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fddm.core.cards import ModelCard
    from napari_fddm.training.data.textures import Texture

WEIGHTS = Path("weights", "vit_small_patch14_dinov2_fp16.safetensors")
HEADS = LoopSettings(steps=300, batch_size=32, lr=1e-3)
ADAPTERS = LoopSettings(steps=60, batch_size=8)
BOTH = ("first_order", "glcm")
FROZEN = Stage1Settings(tune="frozen", loop=HEADS, allow_missing=True)
METHODS = {
    "frozen": FROZEN,
    "tree": replace(FROZEN, loss="hierarchical"),
    "radiomics": replace(FROZEN, radiomics=BOTH),
    "tree-radiomics": replace(FROZEN, loss="hierarchical", radiomics=BOTH),
    "lora": replace(FROZEN, tune="lora", loop=ADAPTERS),
}
"""In the order in which they are run: what takes longest comes last."""


@dataclass(frozen=True, slots=True)
class Fold:
    """What is left out together.

    Attributes
    ----------
    split : str
        "patient" or "slide".
    number : int
        Among those of its split.
    tiles, judged : sequence of Texture
        All of them, and those that are left out.
    """

    split: str
    number: int
    tiles: Sequence[Texture]
    judged: Sequence[Texture]

    def key(self, method: str) -> dict[str, Any]:
        """What names a line of the results."""
        return {"split": self.split, "fold": self.number, "method": method}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="patches, features and models")
    parser.add_argument("--data", type=Path, required=True, help="has osteosarcoma/ and weights/")
    parser.add_argument("--write", action="store_true", help="write docs/science.md")
    options = parser.parse_args()
    work = options.work / "classification"
    work.mkdir(parents=True, exist_ok=True)
    tiles = read_textures(options.data / "osteosarcoma" / "manifest.csv")
    results = RunLog(work / "results.jsonl")
    for method, settings in METHODS.items():
        chosen = replace(settings, weights=options.data / WEIGHTS)
        for fold in folds_of(tiles):
            measure(work, results, fold, method, chosen)
    print("\n".join(write_page(results.path, write=options.write)))


def folds_of(tiles: Sequence[Texture]) -> list[Fold]:
    """Return everything that is left out, by patient and by slide."""
    return [
        Fold(split, number, tiles, judged)
        for split, groups in held_out_groups(tiles).items()
        for number, judged in enumerate(groups)
    ]


def measure(work: Path, results: RunLog, fold: Fold, method: str, settings: Stage1Settings) -> None:
    """Train, judge what was left out, and add a line; what is done is not done again."""
    done = [{k: line[k] for k in ("split", "fold", "method")} for line in results.records()]
    if fold.key(method) in done:
        return
    started = time.perf_counter()
    out = work / f"{method}-{fold.split}-{fold.number}"
    card = read_card(out) if (out / CARD_NAME).exists() else train(work, out, fold, settings)
    tested = card.metrics["test"]
    if fold.key(COLOR) not in done:  # it is the same beside each method
        results.append(**fold.key(COLOR), slides=by_slide(tested["color alone"], fold))
    seconds = RunLog(out / "train.jsonl").records()[-1]["seconds"]
    results.append(**fold.key(method), slides=by_slide(tested["model"], fold), seconds=seconds)
    wall = time.perf_counter() - started
    print(f"{method}, by {fold.split}, fold {fold.number + 1}: {wall:.0f} s in all", flush=True)


def train(work: Path, out: Path, fold: Fold, settings: Stage1Settings) -> ModelCard:
    """Train without what is left out; patches and features are the same for all."""
    # A slide is a case here in both splits, so that the card counts each slide apart.
    rows = real_rows(fold.tiles, test=fold.judged, by="slide")
    return train_on_rows(rows, out, work, PatchSettings(), settings)


def by_slide(scores: dict[str, Any], fold: Fold) -> list[dict[str, Any]]:
    """Return the confusion of each slide that was judged, with its patient."""
    patients = {tile.slide: tile.case for tile in fold.judged}
    return [
        {"slide": slide, "patient": patients[slide], "confusion": row["confusion"]}
        for slide, row in scores["cases"].items()
    ]


if __name__ == "__main__":
    main()
