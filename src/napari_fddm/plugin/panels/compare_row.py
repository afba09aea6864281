"""The row that asks for a comparison of two maps."""

from __future__ import annotations

from enum import StrEnum

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QWidget


class Side(StrEnum):
    """What may stand on a side of the line."""

    PATCH = "patch"
    REFINED = "refined"
    CORRECTED = "corrected"
    SLIDE = "slide only"


MIN_LETTERS = 7


class CompareRow(QWidget):
    """Two maps and a button.

    Signals
    -------
    toggled : bool
        Whether the comparison is wanted.
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
            "Lay a line over the slide with one map on each side: drag it to compare (key W)."
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
        """What is chosen for left and right."""
        return Side(self.left_box.currentData()), Side(self.right_box.currentData())

    def set_available(self, available: bool) -> None:
        """Without an analysis there is nothing to compare."""
        self.button.setEnabled(available)

    def set_active(self, active: bool) -> None:
        """Show whether a comparison goes on."""
        self.button.setChecked(active)

    def _on_box_activated(self, _index: int) -> None:
        self.sides_chosen.emit()


def _box(chosen: Side, where: str) -> QComboBox:
    box = QComboBox()
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(MIN_LETTERS)
    for side in Side:
        box.addItem(side.value, side.value)
    box.setCurrentIndex(box.findData(chosen.value))
    box.setToolTip(f"What to show {where} of the line.")
    return box
