"""The one door to the hub for what a model needs; opened when the user says so."""

from __future__ import annotations

from napari_fddm.core.cards import read_card
from napari_fddm.models.hub import PREFIX, HubSource, fetch_backbone, fetch_model
from napari_fddm.models.registry import find_model


def fetch_needed(model: str) -> None:
    """Fetch what a model needs and this computer has not: its files, its base, its backbone.

    Parameters
    ----------
    model : str
        Id of a bundled model, a folder, or ``hf:owner/name[@revision]``.

    Raises
    ------
    WeightsError
        If there is no such model, no access or no connection.
    """
    hub = model.startswith(PREFIX)
    card = read_card(fetch_model(HubSource.parse(model)) if hub else find_model(model))
    if card.base is not None and card.base.model.startswith(PREFIX):
        fetch_model(HubSource.parse(card.base.model))
    if card.classifier.backbone_source is not None:
        fetch_backbone(HubSource.parse(card.classifier.backbone_source))
