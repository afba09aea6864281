"""Find a model: bundled and adapted ones by name, others by folder or on the hub."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from napari_fddm.core.cards import CARD_NAME
from napari_fddm.core.errors import WeightsError
from napari_fddm.core.outside.text import visible
from napari_fddm.models.hub import PREFIX, HubSource, find_snapshot

DEFAULT_MODEL = "fddm-small"


def bundled_folder() -> Path:
    """Return the folder of the models that come with napari-fddm."""
    return Path(str(files("napari_fddm"))) / "weights"


def bundled_models() -> list[str]:
    """Return the ids of the bundled models."""
    return sorted(path.parent.name for path in bundled_folder().glob("*/card.json"))


def adapters_folder() -> Path:
    """Return the folder of the models that learned from the user's corrections."""
    from platformdirs import user_data_path

    return user_data_path("napari-fddm", appauthor=False) / "adapters"


def find_model(model: str) -> Path:
    """Return the folder of a model, given its id, a folder, or ``hf:owner/name[@revision]``.

    An adapted model is found by its name, too; a folder of the same name is preferred. No
    connection is opened: `fetching.fetch_needed` does that, when the user says so.

    Raises
    ------
    DownloadNeededError
        If it is on the hub and was not fetched yet.
    WeightsError
        If there is neither a bundled model nor a folder of this name.
    """
    if model.startswith(PREFIX):
        return find_snapshot(HubSource.parse(model))
    bundled = bundled_folder() / model
    if model in bundled_models():
        return bundled
    # Not Path.expanduser, which raises on a user that does not exist.
    folder = Path(os.path.expanduser(model))
    if os.path.isdir(folder):  # unlike Path.is_dir it raises for no name
        return folder
    if Path(model).name == model and os.path.isfile(adapters_folder() / model / CARD_NAME):
        return adapters_folder() / model
    raise WeightsError(
        f"there is no model {visible(model)!r}.",
        hint=f"Bundled are {', '.join(bundled_models()) or 'none'}; or give a model folder "
        "or hf:owner/name.",
    )
