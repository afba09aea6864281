"""Asks what to do with an analysis that was made with other settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDialog, QLabel, QPushButton, QVBoxLayout

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget


class OtherSettingsDialog(QDialog):
    """Says what differs and offers what can be done; does not block the window.

    Signals
    -------
    revise_clicked, go_on_clicked
        What the user chose; nothing is emitted for Cancel.

    Parameters
    ----------
    differences : str
        What differs, one line each.
    start_over : str
        What the first button says.
    fate : str
        What becomes of the earlier analysis, in words.
    why_not_on : str
        Why the earlier settings cannot be taken up; empty if they can.
    """

    revise_clicked = Signal()
    go_on_clicked = Signal()

    def __init__(
        self, differences: str, start_over: str, fate: str, why_not_on: str, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Other settings")
        self.text = QLabel(
            f"This slide has an analysis that was made with other settings:\n\n{differences}"
            f"\n\n{fate}"
        )
        self.text.setWordWrap(True)
        self.revise_button = QPushButton(start_over)
        self.go_on_button = QPushButton("Go on with the earlier settings")
        self.go_on_button.setEnabled(not why_not_on)
        self.go_on_button.setToolTip(why_not_on or "The settings in the panel change back.")
        self.cancel_button = QPushButton("Cancel")
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        for button in (self.revise_button, self.go_on_button, self.cancel_button):
            layout.addWidget(button)
        self.revise_button.clicked.connect(self._on_revise_button_clicked)
        self.go_on_button.clicked.connect(self._on_go_on_button_clicked)
        self.cancel_button.clicked.connect(self.reject)

    def done(self, result: int) -> None:
        """Close and let Qt delete it."""
        super().done(result)
        self.deleteLater()

    def _on_revise_button_clicked(self) -> None:
        self.accept()
        self.revise_clicked.emit()

    def _on_go_on_button_clicked(self) -> None:
        self.accept()
        self.go_on_clicked.emit()
