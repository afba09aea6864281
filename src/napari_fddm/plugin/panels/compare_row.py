"""The row below the class table that compares two maps side by side. Qt only."""

from __future__ import annotations

from enum import StrEnum

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QWidget

from napari_fddm.plugin.panels.widgets import narrow
from napari_fddm.plugin.plumbing.plain_text import tooltip


class Side(StrEnum):
    """What can be shown on one side of the line."""

    PATCH = "patch"
    REFINED = "refined"
    CORRECTED = "corrected"
    SLIDE = "slide only"


MIN_LETTERS = 7


class CompareRow(QWidget):
    """A button that starts the comparison, and a box for the map of each side.

    Signals
    -------
    toggled : bool
        The user starts or ends the comparison.
    sides_chosen
        Another map was chosen for a side.
    """

    toggled = Signal(bool)
    sides_chosen = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.left_box = _box(Side.REFINED, "left")
        self.right_box = _box(Side.CORRECTED, "right")
        self.button = QPushButton("Compare")
        self.button.setObjectName("compare")
        self.button.setCheckable(True)
        self.button.setToolTip(
            "Show one map on each side of a line over the slide; drag the line to compare. Key: W"
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.button)
        layout.addWidget(self.left_box, 1)
        layout.addWidget(self.right_box, 1)
        self.button.clicked.connect(self.toggled)
        for box in (self.left_box, self.right_box):
            box.activated.connect(self._on_box_activated)
        self.set_available(False)

    @property
    def sides(self) -> tuple[Side, Side]:
        """The maps chosen for the left and the right side."""
        return Side(self.left_box.currentData()), Side(self.right_box.currentData())

    def set_available(self, available: bool) -> None:
        """Enable the row if there is an analysis to compare."""
        self.button.setEnabled(available)

    def set_active(self, active: bool) -> None:
        """Show whether the comparison is on."""
        self.button.setChecked(active)

    def _on_box_activated(self, _index: int) -> None:
        self.sides_chosen.emit()


def _box(chosen: Side, where: str) -> QComboBox:
    box = narrow(QComboBox(), MIN_LETTERS)
    for side in Side:
        box.addItem(side.value, side.value)
    box.setCurrentIndex(box.findData(chosen.value))
    box.setToolTip(tooltip(f"The map on the {where} side of the line."))
    return box
