"""The row that says which tissue mask the next run uses. Emits intent only."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

SHOW, HIDE = "Show", "Hide"
TIP = (
    "What the next run looks at: every tile of 256 µm that touches the mask. "
    "Pale necrosis and hemorrhage count as tissue. "
    "Show the mask and paint or erase on it to add tissue or leave some out."
)


class TissueRow(QWidget):
    """Says what the mask is, and asks for its layer.

    Signals
    -------
    clicked
        The user wants the layer, or wants it gone.
    """

    clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = QLabel()
        self.label.setObjectName("tissue")
        self.label.setWordWrap(True)
        self.label.setToolTip(TIP)
        self.button = QPushButton(SHOW)
        self.button.setToolTip(TIP)
        self.button.setEnabled(False)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.label, 1)
        layout.addWidget(self.button)
        self.button.clicked.connect(self._on_button_clicked)

    def set_state(self, text: str, *, shown: bool, enabled: bool) -> None:
        """Say what the mask is; ``shown`` is whether it has a layer."""
        self.label.setText(text)
        self.button.setText(HIDE if shown else SHOW)
        self.button.setEnabled(enabled)

    def _on_button_clicked(self) -> None:
        self.clicked.emit()
