"""Weights on disk: safetensors beside a JSON card (`core.cards`), checked by sha256. No pickle."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from napari_fddm.core.cards import CARD_NAME, ModelCard, read_card
from napari_fddm.core.errors import DownloadNeededError, WeightsError
from napari_fddm.core.outside.files import open_file
from napari_fddm.core.outside.tensor_files import open_tensors
from napari_fddm.core.outside.text import visible
from napari_fddm.models.registry import find_model

if TYPE_CHECKING:
    from pathlib import Path

    import torch


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal.

    Raises
    ------
    WeightsError
        If it cannot be read.
    """
    with open_file(path, "a file of a model", error=WeightsError) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_file(folder: Path, name: str, card: ModelCard) -> Path:
    """Return where a file of a model lies: in its folder, or in that of its base.

    The file need not exist.

    Raises
    ------
    WeightsError
        If the base model cannot be found; a `DownloadNeededError` if it is on the hub.
    """
    path = folder / name
    if path.is_file() or card.base is None:
        return path
    try:
        return find_model(card.base.model) / name
    except DownloadNeededError:
        raise
    except WeightsError as error:
        raise WeightsError(
            f"{visible(card.id)!r} is made from {visible(card.base.id)!r}, which is not there: "
            f"{error.message}",
            hint="Bring that model back to its place, or use an exported copy of this one.",
        ) from error


def load_tensors(folder: Path, name: str, card: ModelCard) -> dict[str, torch.Tensor]:
    """Load one safetensors file after checking its sha256 against the card.

    Raises
    ------
    WeightsError
        If the file is missing, damaged or not named in the card.
    """
    expected = card.files.get(name)
    if expected is None:
        raise WeightsError(f"{visible(folder / CARD_NAME)} does not list {name}.")
    path = find_file(folder, name, card)
    if not path.is_file():
        raise WeightsError(
            f"the weights file {visible(path)} is missing.",
            hint="Install napari-fddm again, or point --model to a complete model folder.",
        )
    if sha256_of(path) != expected:
        raise WeightsError(
            f"the weights file {visible(path)} is damaged: its sha256 is not the card's.",
            hint="Install napari-fddm again, or copy the model folder again.",
        )
    return read_tensors(path)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file.

    Raises
    ------
    WeightsError
        If it is none, damaged, or holds values that are no finite numbers.
    """
    with open_tensors(path) as file:
        state: dict[str, torch.Tensor] = {name: file.get_tensor(name) for name in list(file.keys())}
    unusable = next((n for n, t in state.items() if not bool(t.isfinite().all())), None)
    if unusable is not None:
        raise WeightsError(
            f"{visible(path)} cannot be used: {visible(unusable)!r} holds values that are no "
            "finite numbers.",
            hint="Copy the model's files again, or train it again.",
        )
    return state


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
    """Return the state of each file of a model: "ok", "missing" or "damaged".

    Raises
    ------
    WeightsError
        If the folder has no readable card.
    """
    states = {}
    card = read_card(folder)
    for name, expected in card.files.items():
        path = find_file(folder, name, card)
        if not path.is_file():
            states[name] = "missing"
        else:
            states[name] = "ok" if sha256_of(path) == expected else "damaged"
    return states
