"""Cards of the models to choose from, and whether a model can be run, without loading it."""

from __future__ import annotations

import os
from pathlib import Path

from napari_fddm.core.cards import ModelCard, read_card
from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import DownloadNeededError, StoreError, WeightsError
from napari_fddm.core.files import write_json
from napari_fddm.core.outside.json_files import read_json
from napari_fddm.models.hub import PREFIX, HubSource
from napari_fddm.models.registry import bundled_models, find_model
from napari_fddm.models.weights import find_file

KNOWN_FILE = "models.json"
KNOWN_FOLDERS = 8
"""Model folders that are offered again; of more, those used longest ago are forgotten."""


def bundled() -> list[str]:
    """Return the ids of the models that come with napari-fddm."""
    return bundled_models()


def look_up(model: str) -> ModelCard | None:
    """Return a model's card; None for one on the hub, whose card comes with its files.

    Parameters
    ----------
    model : str
        Id of a bundled model, a folder, or ``hf:owner/name[@revision]``.

    Raises
    ------
    WeightsError
        If there is no such model, its card cannot be read, a file that the card lists
        is missing, or the model is for other classes.
    """
    if model.startswith(PREFIX):
        HubSource.parse(model)
        return None
    folder = find_model(model)
    card = read_card(folder)
    check_classes(card)
    try:
        missing = sorted(n for n in card.files if not find_file(folder, n, card).is_file())
    except DownloadNeededError:  # a run asks for leave
        missing = []
    if missing:
        raise WeightsError(
            f"{folder} lacks {', '.join(missing)}.", hint="Copy the whole model folder again."
        )
    return card


def check_classes(card: ModelCard) -> None:
    """Refuse a model for other classes than those of the analysis.

    Raises
    ------
    WeightsError
        Naming both.
    """
    if card.classes != OSTEOSARCOMA.shorts:
        raise WeightsError(
            f"the model {card.id!r} has the classes {', '.join(card.classes)}; "
            f"only {', '.join(OSTEOSARCOMA.shorts)} can be analyzed."
        )


def known_folders() -> list[str]:
    """Return the model folders and hub models that were chosen before, the latest first."""
    try:
        stored = read_json(_known_path())
    except StoreError:
        return []  # only a list of shortcuts: one that cannot be read starts empty
    kept = stored.get("models")
    if not isinstance(kept, list):
        return []
    return [m for m in kept if isinstance(m, str) and (m.startswith(PREFIX) or os.path.isdir(m))]


def remember(model: str) -> None:
    """Add a model folder or hub model to those that are offered again.

    Raises
    ------
    StoreError
        If the list cannot be written.
    """
    models = [model, *(m for m in known_folders() if m != model)][:KNOWN_FOLDERS]
    path = _known_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"models": models})


def find_stored(record: dict[str, object]) -> str | None:
    """Return which of the known models made a result; None if none of them did.

    Parameters
    ----------
    record : dict
        ``model`` of a run's provenance.
    """
    for model in (*bundled_models(), *known_folders()):
        if model.startswith(PREFIX):
            continue
        try:
            card = look_up(model)
        except WeightsError:
            continue  # a damaged model cannot be the one
        if card is not None and card.id == record.get("id") and card.files == record.get("files"):
            return model
    return None


def _known_path() -> Path:
    from platformdirs import user_config_dir

    return Path(user_config_dir("napari-fddm", appauthor=False)) / KNOWN_FILE
