"""The row of the run panel that shows which tissue mask the next run uses. Qt only."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_fddm.plugin.plumbing.plain_text import PlainLabel, tooltip

SHOW, HIDE = "Show", "Hide"
TIP = (
    "The next run analyzes every tile of 256 µm that touches the tissue mask. "
    "Pale necrosis and hemorrhage count as tissue. "
    "To add or leave out tissue, show the mask and paint or erase on it."
)


class TissueRow(QWidget):
    """Describes the mask, and has a button that shows or hides it as a layer.

    Signals
    -------
    clicked
        The user wants to show or hide the layer of the mask.
    """

    clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = PlainLabel()
        self.label.setObjectName("tissue")
        self.label.setWordWrap(True)
        self.label.setToolTip(tooltip(TIP))
        self.button = QPushButton(SHOW)
        self.button.setToolTip(tooltip(TIP))
        self.button.setEnabled(False)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.label, 1)
        layout.addWidget(self.button)
        self.button.clicked.connect(self.clicked)

    def set_state(self, text: str, *, shown: bool, enabled: bool) -> None:
        """Show a description of the mask; ``shown`` is whether its layer is in the viewer."""
        self.label.setText(text)
        self.button.setText(HIDE if shown else SHOW)
        self.button.setEnabled(enabled)
