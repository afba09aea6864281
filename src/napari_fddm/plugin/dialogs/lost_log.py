"""The dialog for an analysis whose event log is lost, shortened or damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QDialog, QLineEdit, QPushButton, QVBoxLayout

from napari_fddm.plugin.panels.widgets import wrapped_label

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent
    from qtpy.QtWidgets import QWidget

WAYS = (
    "Nothing was changed. If you have a backup of the analysis, close this, put its event log "
    "back and open the analysis again. Otherwise choose what to go on with. Both ways keep the "
    "old files inside the analysis, and neither takes over outlines, estimates or a sign-off."
)


class LostLogDialog(QDialog):
    """Says what is wrong and offers the ways out; does not block the window.

    Signals
    -------
    from_map_clicked, without_clicked : str
        Begin a new log from the stored map, or without corrections, by this reader.

    Parameters
    ----------
    fault : str
        What is wrong with the log.
    reader : str
        The name that is proposed.
    """

    from_map_clicked = Signal(str)
    without_clicked = Signal(str)

    def __init__(self, fault: str, reader: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("The event log cannot be used")
        self.text = wrapped_label(f"{fault}\n\n{WAYS}")
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.reader_edit = QLineEdit(reader)
        self.reader_edit.setPlaceholderText("your name or initials")
        self.reader_edit.setToolTip("Recorded in the new log, with the time.")
        self.close_button = QPushButton("Close: I put the event log back")
        self.close_button.setToolTip("Change nothing.")
        self.from_map_button = QPushButton("Begin anew from the stored corrected map")
        self.from_map_button.setToolTip(
            "The labels stay as they are stored. Cells that differ from the model's labels count "
            "as corrected."
        )
        self.without_button = QPushButton("Give the corrections up")
        self.without_button.setToolTip("The labels are the model's again.")
        layout = QVBoxLayout(self)
        for widget in (
            self.text,
            self.close_button,
            self.reader_edit,
            self.from_map_button,
            self.without_button,
        ):
            layout.addWidget(widget)
        self.close_button.setDefault(True)
        self.close_button.clicked.connect(self.reject)
        self.from_map_button.clicked.connect(lambda: self._choose(self.from_map_clicked))
        self.without_button.clicked.connect(lambda: self._choose(self.without_clicked))
        self.reader_edit.textChanged.connect(self._on_reader_edit_changed)
        self._on_reader_edit_changed(reader)

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

    def _on_reader_edit_changed(self, text: str) -> None:
        for button in (self.from_map_button, self.without_button):
            button.setEnabled(bool(text.strip()))

    def _choose(self, signal: Signal) -> None:
        reader = self.reader_edit.text().strip()
        self.accept()
        signal.emit(reader)
