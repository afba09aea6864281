"""Chooses the model of the next run: bundled, from a folder, or from the Hugging Face hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QInputDialog

from napari_fddm.core.errors import StoreError, WeightsError
from napari_fddm.pipeline.run import model_cards
from napari_fddm.plugin.dialogs.model_card import ModelCardDialog
from napari_fddm.plugin.panels.run import MapKind
from napari_fddm.plugin.plumbing.notices import show_error

if TYPE_CHECKING:
    from napari_fddm.core.cards import ModelCard
    from napari_fddm.plugin.document import Session
    from napari_fddm.plugin.panels import Panels

HUB = "hf:"
ON_THE_HUB = (
    "On the hub: when you click Run FDDM and agree, the model is downloaded with your own access, "
    "and its card is checked then."
)


class ModelController:
    """Keeps the model panel and the model of the next run the same.

    Parameters
    ----------
    session : Session
        Its state holds the model.
    panels : Panels
        The model panel requests changes; the run panel must know whether there is a refiner.
    """

    def __init__(self, session: Session, panels: Panels) -> None:
        self._state, self._panels, self._panel = session.state, panels, panels.model
        link = session.connections.add
        link(self._panel.model_chosen, self.choose)
        link(self._panel.folder_clicked, self._on_panel_folder_clicked)
        link(self._panel.hub_clicked, self._on_panel_hub_clicked)
        link(self._panel.card_clicked, self._on_panel_card_clicked)
        link(self._state.model_changed, self._on_state_model_changed)
        self._on_state_model_changed(self._state.model_name)

    def choose(self, model: str) -> None:
        """Use a model for the next run; for one that cannot be run, show the reason instead."""
        try:
            model_cards.look_up(model)
        except WeightsError as error:
            self._panel.set_card(str(error), problem=True, whole=False)
            return
        if model not in model_cards.bundled():
            try:
                model_cards.remember(model)
            except (StoreError, OSError) as error:
                show_error(f"The model is used, but cannot be added to the list: {error}")
        if model == self._state.model_name:
            self._on_state_model_changed(model)
        self._state.model_name = model

    def _on_state_model_changed(self, model: str) -> None:
        known = [*model_cards.bundled(), *model_cards.known_folders()]
        offered = known if model in known else [*known, model]
        self._panel.set_models([(_title(m), m) for m in offered], model)
        try:
            card = model_cards.look_up(model)
        except WeightsError as error:
            self._state.card = None
            self._panel.set_card(str(error), problem=True, whole=False)
            return
        self._state.card = card
        self._panels.run.set_can_refine(
            card is None or card.refiner is not None,
            otherwise=MapKind.TILES if card and card.shows_tiles else MapKind.CELLS,
        )
        text = ON_THE_HUB if card is None else card_summary(card)
        self._panel.set_card(text, whole=card is not None)

    def _on_panel_folder_clicked(self) -> None:
        folder = QFileDialog.getExistingDirectory(self._panel, "Folder of a model")
        if folder:
            self.choose(folder)

    def _on_panel_hub_clicked(self) -> None:
        name, agreed = QInputDialog.getText(
            self._panel, "Model on the hub", "owner/name, or owner/name@revision:"
        )
        if agreed and name.strip():
            self.choose(HUB + name.strip().removeprefix(HUB))

    def _on_panel_card_clicked(self) -> None:
        card = self._state.card
        if card is not None:
            ModelCardDialog(card.title, card_text(card), self._panel).open()


def card_summary(card: ModelCard) -> str:
    """Return what a user must know about a model before a run, as one paragraph."""
    lines = [
        f"{len(card.classes)} classes, {card.analysis_mpp:g} µm/px"
        + ("" if card.refiner else ", no refiner (cells are not refined)")
        + f". Trained on: {card.trained_on.rstrip('.')}."
    ]
    if card.limits:
        lines.append(card.limits)
    return " ".join(lines)  # one paragraph: labels shorten only that


def card_text(card: ModelCard) -> str:
    """Return a complete model card as text."""
    real = "no class" if not card.real_tissue else "yes, classes not specified"
    if card.real_classes:
        real = ", ".join(card.real_classes)
    refiner = "yes" if card.refiner else "none: stage 1 only"
    backbone = card.classifier.backbone_source or "in the folder"
    parts = [
        card.title,
        f"id: {card.id}",
        f"classes: {', '.join(card.classes)}",
        f"resolution: {card.analysis_mpp:g} µm per pixel",
        f"refiner: {refiner}",
        f"backbone: {card.classifier.backbone} ({backbone})",
        f"\ntrained on: {card.trained_on}",
        f"learned from real tissue: {real}",
        f"\nlimits: {card.limits}",
        f"\nlicence: {card.licence}",
        "\nsha256 of its files:",
        *(f"  {name}\n    {digest}" for name, digest in card.files.items()),
    ]
    for title, values in (("measured", card.metrics), ("training", card.training)):
        if values:
            parts += [f"\n{title}:", json.dumps(values, indent=2, ensure_ascii=False)]
    return "\n".join(parts)


def _title(model: str) -> str:
    if model in model_cards.bundled():
        return f"{model} (bundled)"
    return model if model.startswith(HUB) else f"{Path(model).name} (folder)"
