"""Weights on disk: safetensors beside a JSON card, checked by sha256. Never pickle."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_fddm.core.errors import WeightsError
from napari_fddm.models.denoiser import DenoiserSettings
from napari_fddm.models.lora import LoraSettings

if TYPE_CHECKING:
    from pathlib import Path

    import torch

CARD_NAME = "card.json"


class ClassifierCard(BaseModel):
    """How stage 1 is built and fed.

    Attributes
    ----------
    backbone : str
        timm's name.
    backbone_options : dict
        Further arguments of timm's constructor.
    backbone_source : str or None
        ``hf:owner/name[@revision]`` of a backbone that each user fetches with their
        own access; None where the folder holds it.
    backbone_sha256 : str or None
        `tensors_sha256` of that backbone: other weights would fit and mean nothing.
    input_px : int
        Edge to which a tile is resized.
    mean, std : tuple of float
        Normalization.
    lora : LoraSettings
        The adapter's shape.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: str
    backbone_options: dict[str, Any] = {}
    backbone_source: str | None = Field(default=None, pattern="^hf:")
    backbone_sha256: str | None = None
    input_px: int = Field(gt=0)
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    lora: LoraSettings = LoraSettings()


class RefinerCard(BaseModel):
    """How stage 2 is built.

    Attributes
    ----------
    denoiser : DenoiserSettings
        Sizes of the network.
    num_train_timesteps : int
        T of the bridge.
    max_variance : float
        s of the bridge (ALGORITHM B.1).
    schedule : {"exact", "bbdm"}
        How m_t runs; "bbdm" is that of the published code.
    head : {"softmax", "linear"}
        Whether the network's output is logits of x̂_0, or regressed as the paper's.
    prediction_type : {"bridge_difference", "noise", "source_minus_sample"}
        What a regressed output means.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    denoiser: DenoiserSettings = DenoiserSettings()
    num_train_timesteps: int = 1000
    max_variance: float = 0.5
    schedule: Literal["exact", "bbdm"] = "exact"
    head: Literal["softmax", "linear"] = "softmax"
    prediction_type: Literal["bridge_difference", "noise", "source_minus_sample"] = (
        "bridge_difference"
    )


class ModelCard(BaseModel):
    """What a model is, needs, was trained on, and may be used for.

    Attributes
    ----------
    format_version : int
        Of this layout; newer ones are refused.
    id, title : str
        Key and what a user reads.
    analysis_mpp : float
        µm per pixel of a tile.
    classes : tuple of str
        Abbreviations in the order of channels.
    files : dict of str to str
        File name → sha256.
    trained_on, limits, licence : str
        In words, for the user.
    real_tissue : bool
        Whether any class was learned from real tissue.
    training, metrics : dict
        Settings of the training and what it measured, with the command.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    id: str
    title: str
    analysis_mpp: float = Field(gt=0, allow_inf_nan=False)
    classes: tuple[str, ...]
    classifier: ClassifierCard
    refiner: RefinerCard | None = None
    files: dict[str, str]
    trained_on: str
    limits: str
    licence: str
    real_tissue: bool
    training: dict[str, Any] = {}
    metrics: dict[str, Any] = {}


def read_card(folder: Path) -> ModelCard:
    """Read and check a model's card.

    Raises
    ------
    WeightsError
        If the folder holds no card or the card is not one.
    """
    path = folder / CARD_NAME
    try:
        return ModelCard.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(
            f"{folder} holds no {CARD_NAME}, so it is not a model folder.",
            hint="Give a folder with card.json and its safetensors files, or the id fddm-small.",
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise WeightsError(
            f"{path} is not a model card: {where!r}: {first['msg']}.",
            hint="Was it written by another version of napari-fddm, or by hand?",
        ) from error
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is not a model card: {first_line(error)}") from error


def write_card(card: ModelCard, folder: Path) -> None:
    """Write a card, readable by people."""
    text = json.dumps(card.model_dump(mode="json"), indent=2, ensure_ascii=False)
    (folder / CARD_NAME).write_text(text + "\n", encoding="utf-8")


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_tensors(folder: Path, name: str, card: ModelCard) -> dict[str, torch.Tensor]:
    """Load one safetensors file after checking its sha256 against the card.

    Raises
    ------
    WeightsError
        If the file is missing, damaged or not named in the card.
    """
    path = folder / name
    expected = card.files.get(name)
    if expected is None:
        raise WeightsError(f"{folder / CARD_NAME} does not list {name}.")
    if not path.is_file():
        raise WeightsError(
            f"the weights file {path} is missing.",
            hint="Install napari-fddm again, or point --model to a complete model folder.",
        )
    if sha256_of(path) != expected:
        raise WeightsError(
            f"the weights file {path} is damaged: its sha256 is not the card's.",
            hint="Install napari-fddm again, or copy the model folder again.",
        )
    return read_tensors(path)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file.

    Raises
    ------
    WeightsError
        If it is none, or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read: {first_line(error)}") from error


def tensors_sha256(state: dict[str, torch.Tensor]) -> str:
    """Return a sha256 of named tensors, the same for every kind of file that holds them."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def check_files(folder: Path) -> dict[str, str]:
    """Say of each file of a model whether it is "ok", "missing" or "damaged".

    Raises
    ------
    WeightsError
        If the folder has no readable card.
    """
    states = {}
    for name, expected in read_card(folder).files.items():
        path = folder / name
        if not path.is_file():
            states[name] = "missing"
        else:
            states[name] = "ok" if sha256_of(path) == expected else "damaged"
    return states


def first_line(error: Exception) -> str:
    """Return the first line of an error's text."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
