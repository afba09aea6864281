"""The backbones of stage 1 by name, and loading of their weights."""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from napari_fddm.core.cards import ClassifierCard, first_line
from napari_fddm.core.errors import TrainingError, WeightsError
from napari_fddm.models.classifier import build_backbone
from napari_fddm.models.hub import HubSource, fetch_backbone, find_backbone, offline
from napari_fddm.models.weights import read_tensors, tensors_sha256

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn

Tune = Literal["lora", "full", "frozen"]
CONVOLUTION_PX = 256
TRANSFORMER_PX = 224


@dataclass(frozen=True, slots=True)
class Architecture:
    """How a backbone is built and trained.

    Attributes
    ----------
    backbone : str
        Name of the backbone in timm.
    options : dict
        Further arguments for timm's constructor.
    input_px : int
        Edge to which a tile is resized.
    source : str or None
        Repository of a backbone that may not be redistributed: the model folder refers to it
        instead of containing it.
    tune : str
        What is trained by default: adapters, everything, or the heads alone.
    tree, radiomics
        See `ClassifierCard`.
    licence : str
        License of the weights, if known.
    """

    backbone: str
    options: dict[str, Any] = field(default_factory=dict)
    input_px: int = TRANSFORMER_PX
    source: str | None = None
    tune: Tune = "lora"
    tree: bool = False
    radiomics: tuple[Literal["first_order", "glcm"], ...] = ()
    licence: str = ""


KNOWN = {
    # FDDM feeds whole tiles of 256 px; 224 px is the size that UNI was trained at.
    "uni": Architecture(
        "vit_large_patch16_224",
        {"patch_size": 16, "init_values": 1e-5, "dynamic_img_size": True},
        input_px=256,
        source="hf:MahmoodLab/UNI",
        licence="CC-BY-NC-ND-4.0 (UNI; models trained on its outputs count as derivatives)",
    ),
    "radiomics-os": Architecture(
        "inception_v3.tv_in1k",
        input_px=299,
        tune="full",
        tree=True,
        radiomics=("first_order",),
    ),
}


def find_architecture(name: str) -> Architecture:
    """Return an architecture by its name in `KNOWN` or in timm.

    Raises
    ------
    TrainingError
        If there is no such name.
    """
    if name in KNOWN:
        return KNOWN[name]
    import timm

    if not timm.is_model(name):
        close = timm.list_models(f"*{name.split('.')[0].split('_')[0]}*")[:5]
        raise TrainingError(
            f"there is no architecture {name!r}.",
            hint=f"Known are {', '.join(KNOWN)} and timm's models, e.g. "
            f"{', '.join(close) or 'resnet18, vit_small_patch14_dinov2.lvd142m'}.",
        )
    licence = str(_pretrained(name).get("license") or "")
    if re.match("(test_)?(vit|deit)", name):
        return Architecture(name, {"dynamic_img_size": True}, licence=licence)
    return Architecture(name, input_px=CONVOLUTION_PX, tune="full", licence=licence)


def classifier_card(
    architecture: Architecture, classes: tuple[str, ...], *, input_px: int | None
) -> ClassifierCard:
    """Return how the classifier will be built and how its input is normalized.

    Mean and standard deviation are those with which the weights were trained; for Inception
    they are 0.5, not those of ImageNet.

    Parameters
    ----------
    architecture : Architecture
        The network.
    classes : tuple of str
        The classes in the training data: the leaves, if the head is a tree.
    input_px : int, optional
        Edge to which tiles are resized; that of the architecture if None.
    """
    config = _pretrained(architecture.backbone)
    if architecture.source is not None:
        config = {}
    return ClassifierCard(
        backbone=architecture.backbone,
        backbone_options=architecture.options,
        backbone_source=architecture.source,
        input_px=input_px or architecture.input_px,
        mean=tuple(config.get("mean", (0.485, 0.456, 0.406))),
        std=tuple(config.get("std", (0.229, 0.224, 0.225))),
        tree=classes if architecture.tree else None,
        radiomics=architecture.radiomics,
    )


def load_backbone(
    architecture: Architecture,
    weights: Path | None,
    *,
    random_init: bool,
    seed: int,
    allow_download: bool = False,
) -> tuple[nn.Module, str]:
    """Build a backbone and load its weights; return it with a sha256 of its tensors.

    Parameters
    ----------
    architecture : Architecture
        The backbone.
    weights : Path, optional
        A safetensors file; None for the architecture's source, or timm's hub.
    random_init : bool
        Use random weights. Never done without being asked: such a backbone knows nothing.
    seed : int
        Seed of random weights.
    allow_download : bool
        Whether weights may be fetched from the hub; otherwise those fetched before are used.

    Raises
    ------
    WeightsError
        If the weights are not found or do not fit.
    """
    import torch

    if random_init:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            backbone = build_backbone(architecture.backbone, **architecture.options)
        return backbone, tensors_sha256(backbone.state_dict())
    state = _weights_state(architecture, weights, allow_download=allow_download)
    backbone = build_backbone(architecture.backbone, **architecture.options)
    where = str(weights or architecture.source or architecture.backbone)
    try:
        backbone.load_state_dict({k: v.float() for k, v in state.items()}, strict=True)
    except RuntimeError as error:
        detail = " ".join(str(error).split("\n")[1:2]).strip() or first_line(error)
        raise WeightsError(
            f"{where} does not fit {architecture.backbone}: {detail}",
            hint="Give weights of this architecture, without a classification head.",
        ) from error
    return backbone, tensors_sha256(state)


def _weights_state(
    architecture: Architecture, weights: Path | None, *, allow_download: bool
) -> dict[str, torch.Tensor]:
    if weights is not None:
        if not weights.is_file():
            raise WeightsError(f"there is no weights file {weights}.")
        return read_tensors(weights)
    if architecture.source is not None:
        find = fetch_backbone if allow_download else find_backbone
        return read_tensors(find(HubSource.parse(architecture.source)))
    return _from_hub(architecture, allow_download=allow_download)


def _from_hub(architecture: Architecture, *, allow_download: bool) -> dict[str, torch.Tensor]:
    """Return the weights of timm's own repository, downloaded if that is allowed."""
    import timm

    name = architecture.backbone
    try:
        if not allow_download and not _pretrained(name).get("hf_hub_id"):
            raise LookupError("they are not on the hub")  # timm would fetch them from a URL
        with nullcontext() if allow_download else offline():
            model = timm.create_model(name, pretrained=True, num_classes=0, **architecture.options)
    except Exception as error:  # whatever the hub's client raises
        raise WeightsError(
            f"the pretrained weights of {architecture.backbone} cannot be fetched: "
            f"{first_line(error)[:200]}",
            hint="Say --allow-download to fetch them, give a safetensors file with --weights, or "
            "give --random-init.",
        ) from error
    state: dict[str, torch.Tensor] = model.state_dict()
    return state


def _pretrained(name: str) -> dict[str, Any]:
    import timm

    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return dict(config.to_dict()) if config is not None else {}
