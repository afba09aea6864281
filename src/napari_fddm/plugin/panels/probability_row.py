"""The row that asks for a probability map: of which class, shown or not. Emits intent only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPushButton, QWidget

from napari_fddm.plugin.panels.widgets import narrow

if TYPE_CHECKING:
    from napari_fddm.core.classes import ClassTable

DOUBT = 0
"""Stands for "how unsure the model is" among the label values, where 0 is no class."""
TIP = (
    "Color where the model gives a class some probability. It is what the network says, from 0 "
    "to 1; it is not calibrated for your slides."
)


class ProbabilityRow(QWidget):
    """Chooses a class and shows its probability.

    Signals
    -------
    toggled : bool
        Whether the map is wanted.
    class_chosen : int
        Label value, or `DOUBT`.
    """

    toggled = Signal(bool)
    class_chosen = Signal(int)

    def __init__(self, table: ClassTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.button = QPushButton("Probability")
        self.button.setObjectName("probability")
        self.button.setCheckable(True)
        self.button.setToolTip(TIP)
        self.class_box = narrow(QComboBox())
        self.class_box.addItem("least sure", DOUBT)
        for tissue in table:
            self.class_box.addItem(tissue.name, tissue.value)
        self.class_box.setCurrentIndex(self.class_box.findData(table.values[1]))
        self.class_box.setToolTip("Of which class. Least sure: 1 − the highest probability.")
        self.stage_label = QLabel()
        self.stage_label.setToolTip("The stage that the probabilities are of.")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.button)
        layout.addWidget(self.class_box, 1)
        layout.addWidget(self.stage_label)
        self.button.clicked.connect(self.toggled)
        self.class_box.activated.connect(self._on_class_box_activated)
        self.set_available(False)

    @property
    def value(self) -> int:
        """The chosen label value, or `DOUBT`."""
        return int(self.class_box.currentData())

    def title_of(self, value: int) -> str:
        """Return what a choice is called."""
        return str(self.class_box.itemText(self.class_box.findData(value)))

    def set_available(self, available: bool) -> None:
        """Without a result, or while computed numbers are hidden, there is nothing to show."""
        self.setEnabled(available)

    def set_shown(self, shown: bool, stage: str = "") -> None:
        """Show whether the map is in the viewer, and of which stage it is."""
        self.button.setChecked(shown)
        self.stage_label.setText(stage)
        self.stage_label.setVisible(bool(stage))

    def _on_class_box_activated(self, _index: int) -> None:
        self.class_chosen.emit(self.value)
