"""The dialog for a run whose settings differ from those of the stored analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDialog, QPushButton, QVBoxLayout

from napari_fddm.plugin.panels.widgets import wrapped_label
from napari_fddm.plugin.plumbing.plain_text import tooltip

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent
    from qtpy.QtWidgets import QWidget


class OtherSettingsDialog(QDialog):
    """Lists what differs and offers the choices; does not block the window.

    Signals
    -------
    revise_clicked, go_on_clicked
        The user wants to start over, or to continue with the stored settings.

    Parameters
    ----------
    differences : str
        What differs, one line each.
    start_over : str
        Text of the button that starts over.
    consequence : str
        What happens to the stored analysis when starting over.
    why_not_go_on : str
        Why the stored settings cannot be used; empty if they can.
    """

    revise_clicked = Signal()
    go_on_clicked = Signal()

    def __init__(
        self,
        differences: str,
        start_over: str,
        consequence: str,
        why_not_go_on: str,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Other settings")
        self.text = wrapped_label(
            f"This slide has an analysis that was made with other settings:\n\n{differences}"
            f"\n\n{consequence}"
        )
        self.revise_button = QPushButton(start_over)
        self.go_on_button = QPushButton("Continue with the earlier settings")
        self.go_on_button.setEnabled(not why_not_go_on)
        self.go_on_button.setToolTip(
            tooltip(why_not_go_on or "The panel shows the earlier settings again.")
        )
        self.cancel_button = QPushButton("Cancel")
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        for button in (self.revise_button, self.go_on_button, self.cancel_button):
            layout.addWidget(button)
        self.revise_button.clicked.connect(self._on_revise_button_clicked)
        self.go_on_button.clicked.connect(self._on_go_on_button_clicked)
        self.cancel_button.clicked.connect(self.reject)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Be as high as the text needs at this width; Qt does not count its lines itself."""
        super().showEvent(event)
        layout = self.layout()
        if layout is not None:
            self.resize(self.width(), max(self.height(), layout.totalHeightForWidth(self.width())))

    def done(self, result: int) -> None:
        """Close the dialog and let Qt delete it."""
        super().done(result)
        self.deleteLater()

    def _on_revise_button_clicked(self) -> None:
        self.accept()
        self.revise_clicked.emit()

    def _on_go_on_button_clicked(self) -> None:
        self.accept()
        self.go_on_clicked.emit()
