"""Write a model folder of your own and look at what it says of a tile.

    python examples/own_model.py FOLDER

A model is a folder: a card that describes the network and safetensors files with its weights.
Here they are random; put yours in their place. `napari-fddm run --model FOLDER` then takes it,
and so does the window. `napari-fddm train` writes such folders, too.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from napari_fddm.core.cards import ClassifierCard, ModelCard, write_card
from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.models import TileClassifier, load_model
from napari_fddm.models.bundle import BACKBONE_FILE, HEADS_FILE
from napari_fddm.models.classifier import build_backbone
from napari_fddm.models.weights import sha256_of

NETWORK = ClassifierCard(
    backbone="vit_tiny_patch16_224",  # any of timm's vision transformers
    backbone_options={"depth": 2, "embed_dim": 24, "num_heads": 2, "dynamic_img_size": True},
    input_px=64,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)


def main(folder: str) -> None:
    """Write the folder, load it, classify a gray tile."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    backbone = build_backbone(NETWORK.backbone, **NETWORK.backbone_options)
    network = TileClassifier(backbone, 7, input_px=64, mean=NETWORK.mean, std=NETWORK.std)
    heads = {k: v for k, v in network.state_dict().items() if k.startswith(("tile_", "cell_"))}
    save_file(backbone.state_dict(), place / BACKBONE_FILE)
    save_file(heads, place / HEADS_FILE)
    card = ModelCard(
        id="mine", title="random weights", analysis_mpp=1.0, classes=OSTEOSARCOMA.shorts,
        classifier=NETWORK, trained_on="nothing", limits="an example", licence="BSD-3-Clause",
        files={name: sha256_of(place / name) for name in (BACKBONE_FILE, HEADS_FILE)},
        real_tissue=False,
    )  # fmt: skip
    write_card(card, place)
    tiles, _ = load_model(folder, "cpu").classify(np.full((1, 256, 256, 3), 128, np.uint8))
    print(dict(zip(card.classes, tiles[0].round(3).tolist(), strict=True)))


if __name__ == "__main__":
    main(*sys.argv[1:])
