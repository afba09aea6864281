"""The model panel: chooses the model of the next run and shows its card. Qt only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_fddm.core.outside.text import visible
from napari_fddm.plugin.panels.widgets import CAUTION_COLOR, narrow
from napari_fddm.plugin.plumbing.plain_text import ElidedLabel, PlainLabel, tooltip

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER, HUB = "ask for a folder", "ask for a name on the hub"
"""Entries of the box that are no models."""
CARD_LINES, PROBLEM_LINES = 2, 4
"""Lines that are shown; the rest is in the tooltip and behind the button."""


class _CardLabel(ElidedLabel):
    """A label that shortens its text to fit, measured a little narrower than it is.

    Measured at its full width, the margins of the label wrap one more word, and the ellipsis
    ends up on a line that is not visible.
    """

    def width(self) -> int:
        """Return the width that the text is fitted into, px."""
        return int(super().width()) - 8


class ModelPanel(QWidget):
    """Offers models and shows the card of the chosen one.

    Signals
    -------
    model_chosen : str
        Id, folder or ``hf:owner/name`` of a model in the list.
    folder_clicked, hub_clicked
        The user wants to choose a model that is not in the list.
    card_clicked
        The user wants to read the complete card.
    """

    model_chosen = Signal(str)
    folder_clicked = Signal()
    hub_clicked = Signal()
    card_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown = ""
        self.model_box = narrow(QComboBox())
        self.model_box.setToolTip("The model that the next run uses.")
        self.card_button = QPushButton("Card…")
        self.card_button.setToolTip("Show the complete model card.")
        self.card_label = _CardLabel()
        self.card_label.setWordWrap(True)
        self.card_label.setObjectName("card")
        top = QHBoxLayout()
        top.addWidget(PlainLabel("Model"))
        top.addWidget(self.model_box, 1)
        top.addWidget(self.card_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        layout.addWidget(self.card_label)
        self.model_box.activated.connect(self._on_model_box_activated)
        self.card_button.clicked.connect(self.card_clicked)

    def set_models(self, models: Sequence[tuple[str, str]], chosen: str) -> None:
        """Offer models as (title, model), and select one by its model."""
        self._shown = chosen
        self.model_box.clear()
        for title, model in models:
            self.model_box.addItem(visible(title), model)
            self.model_box.setItemData(
                self.model_box.count() - 1, tooltip(model), Qt.ItemDataRole.ToolTipRole
            )
        self.model_box.insertSeparator(self.model_box.count())
        self.model_box.addItem("Folder…", FOLDER)
        self.model_box.addItem("From the hub…", HUB)
        self._select_shown()

    def set_card(self, text: str, *, problem: bool = False, whole: bool = True) -> None:
        """Show a summary of the card, or with ``problem`` why the model cannot be run.

        ``whole`` is whether the complete card can be shown.
        """
        self.card_label.setText(text)
        self.card_label.setToolTip(tooltip(text))
        lines = PROBLEM_LINES if problem else CARD_LINES
        self.card_label.setFixedHeight(lines * self.card_label.fontMetrics().lineSpacing() + 4)
        self.card_label.setStyleSheet(f"color: {CAUTION_COLOR};" if problem else "")
        self.card_button.setEnabled(whole)

    def _select_shown(self) -> None:
        self.model_box.setCurrentIndex(self.model_box.findData(self._shown))

    def _on_model_box_activated(self, _index: int) -> None:
        model = self.model_box.currentData()
        self._select_shown()  # until the controller confirms the choice
        if model == FOLDER:
            self.folder_clicked.emit()
        elif model == HUB:
            self.hub_clicked.emit()
        else:
            self.model_chosen.emit(model)
