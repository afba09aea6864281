"""The model panel: which model the next run takes, and its card in words. Emits intent only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_fddm.plugin.panels.widgets import narrow

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER, HUB = "ask for a folder", "ask for a name on the hub"
CARD_LINES, PROBLEM_LINES = 2, 4
"""The rest of the card is in its tooltip and behind its button."""
PROBLEM_COLOR = "#e0a000"


class _CardLabel(QElidingLabel):
    """Elides a paragraph by lines that are a little narrower than the label itself.

    With lines of its whole width the label's own margins wrap one word more, and the
    ellipsis goes out of sight.
    """

    def width(self) -> int:
        """Return the width that lines may have, px."""
        return int(super().width()) - 8


class ModelPanel(QWidget):
    """Offers models and shows what the chosen one says of itself.

    Signals
    -------
    model_chosen : str
        Id, folder or ``hf:owner/name`` of a model in the list.
    folder_clicked, hub_clicked
        The user wants to name another one.
    card_clicked
        The user wants to read the whole card.
    """

    model_chosen = Signal(str)
    folder_clicked = Signal()
    hub_clicked = Signal()
    card_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown = ""
        self.model_box = narrow(QComboBox())
        self.model_box.setToolTip("The networks that classify and refine in the next run.")
        self.card_button = QPushButton("Card…")
        self.card_button.setToolTip("Everything the model says of itself.")
        self.card_label = _CardLabel()
        self.card_label.setWordWrap(True)
        self.card_label.setObjectName("card")
        top = QHBoxLayout()
        top.addWidget(QLabel("Model"))
        top.addWidget(self.model_box, 1)
        top.addWidget(self.card_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(top)
        layout.addWidget(self.card_label)
        self.model_box.activated.connect(self._on_model_box_activated)
        self.card_button.clicked.connect(self.card_clicked)

    def set_models(self, models: Sequence[tuple[str, str]], chosen: str) -> None:
        """Offer models, each (name to show, what chooses it), and mark one."""
        self._shown = chosen
        self.model_box.clear()
        for title, model in models:
            self.model_box.addItem(title, model)
            self.model_box.setItemData(self.model_box.count() - 1, model, 3)  # its tooltip
        self.model_box.insertSeparator(self.model_box.count())
        self.model_box.addItem("Folder…", FOLDER)
        self.model_box.addItem("From the hub…", HUB)
        self._mark()

    def set_card(self, text: str, *, problem: bool = False, whole: bool = True) -> None:
        """Show the card in words, or why the model cannot be run."""
        self.card_label.setText(text)
        self.card_label.setToolTip(text)
        lines = PROBLEM_LINES if problem else CARD_LINES
        self.card_label.setFixedHeight(lines * self.card_label.fontMetrics().lineSpacing() + 4)
        self.card_label.setStyleSheet(f"color: {PROBLEM_COLOR};" if problem else "")
        self.card_button.setEnabled(whole)

    def _mark(self) -> None:
        self.model_box.setCurrentIndex(self.model_box.findData(self._shown))

    def _on_model_box_activated(self, _index: int) -> None:
        model = self.model_box.currentData()
        self._mark()  # until the controller has taken it up
        if model == FOLDER:
            self.folder_clicked.emit()
        elif model == HUB:
            self.hub_clicked.emit()
        else:
            self.model_chosen.emit(model)


class ModelCardDialog(QDialog):
    """A whole model card, to read and to copy from."""

    def __init__(self, title: str, text: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.resize(620, 640)
        self.text = QPlainTextEdit(text)
        self.text.setReadOnly(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)

    def done(self, result: Any) -> None:
        """Close and let Qt delete it."""
        super().done(result)
        self.deleteLater()
