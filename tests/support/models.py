"""A model of a few thousand parameters with random weights: fast, and predicting nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from napari_fddm.core.cards import (
    ClassifierCard,
    DenoiserSettings,
    LoraSettings,
    ModelCard,
    RefinerCard,
    write_card,
)
from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.provenance import REFINER_FILE
from napari_fddm.diffusion import BrownianBridgeScheduler
from napari_fddm.models import Denoiser, TileClassifier
from napari_fddm.models.bundle import ADAPTER_FILE, BACKBONE_FILE, HEADS_FILE
from napari_fddm.models.classifier import build_backbone
from napari_fddm.models.lora import add_lora, lora_state
from napari_fddm.models.weights import sha256_of
from napari_fddm.pipeline.stage2.refiner import input_scale

if TYPE_CHECKING:
    from pathlib import Path

TINY = ClassifierCard(
    backbone="vit_tiny_patch16_224",
    backbone_options={"depth": 2, "embed_dim": 24, "num_heads": 2, "dynamic_img_size": True},
    input_px=64,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    lora=LoraSettings(r=4, lora_alpha=8),
)


def write_tiny_model(folder: Path, *, refiner: bool = True, seed: int = 0) -> Path:
    """Write a complete model folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = build_backbone(TINY.backbone, **TINY.backbone_options)
        save_file(backbone.state_dict(), folder / BACKBONE_FILE)
        adapted = add_lora(backbone, TINY.lora)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.02)
        save_file(lora_state(adapted), folder / ADAPTER_FILE)
        classifier = TileClassifier(
            adapted.get_base_model(), 7, input_px=TINY.input_px, mean=TINY.mean, std=TINY.std
        )
        heads = {
            k: v for k, v in classifier.state_dict().items() if k.startswith(("tile_", "cell_"))
        }
        save_file(heads, folder / HEADS_FILE)
        card = None
        if refiner:
            card = RefinerCard(denoiser=DenoiserSettings(widths=(8, 16), layers=1))
            scheduler = BrownianBridgeScheduler(card.num_train_timesteps, card.max_variance)
            denoiser = Denoiser(card.denoiser, input_scale(scheduler))
            save_file(denoiser.state_dict(), folder / REFINER_FILE)
    names = (BACKBONE_FILE, ADAPTER_FILE, HEADS_FILE, REFINER_FILE)
    write_card(
        ModelCard(
            id="tiny-random",
            title="tiny random model",
            analysis_mpp=1.0,
            classes=OSTEOSARCOMA.shorts,
            classifier=TINY,
            refiner=card,
            files={n: sha256_of(folder / n) for n in names if (folder / n).exists()},
            trained_on="nothing",
            limits="for tests",
            licence="BSD-3-Clause",
            real_tissue=False,
        ),
        folder,
    )
    return folder


if __name__ == "__main__":
    import sys
    from pathlib import Path

    write_tiny_model(Path(sys.argv[1]))
