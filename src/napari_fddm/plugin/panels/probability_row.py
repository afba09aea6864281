"""The row below the class table that shows the probability map of a class. Qt only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QWidget

from napari_fddm.plugin.panels.widgets import narrow
from napari_fddm.plugin.plumbing.plain_text import PlainLabel, tooltip

if TYPE_CHECKING:
    from napari_fddm.core.classes import ClassTable

DOUBT = 0
"""Choice of the uncertainty map (1 − the highest probability); 0 is no class's value."""
TIP = (
    "Show the probability that the model gives to a class, from 0 to 1. It is the output of the "
    "network and is not calibrated for your slides."
)


class ProbabilityRow(QWidget):
    """A button that shows the map, and a box to choose the class.

    Signals
    -------
    toggled : bool
        The user shows or hides the map.
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
        self.button.setToolTip(tooltip(TIP))
        self.class_box = narrow(QComboBox())
        self.class_box.addItem("least sure", DOUBT)
        for tissue in table:
            self.class_box.addItem(tissue.name, tissue.value)
        self.class_box.setCurrentIndex(self.class_box.findData(table.values[1]))
        self.class_box.setToolTip("The class. Least sure: 1 − the highest of all probabilities.")
        self.stage_label = PlainLabel()
        self.stage_label.setToolTip("The stage that the probabilities come from.")
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
        """Return the title of a choice."""
        return str(self.class_box.itemText(self.class_box.findData(value)))

    def set_available(self, available: bool) -> None:
        """Enable the row; not without a result or while computed numbers are hidden."""
        self.setEnabled(available)

    def set_shown(self, shown: bool, stage: str = "") -> None:
        """Show whether the map is visible and which stage it comes from."""
        self.button.setChecked(shown)
        self.stage_label.setText(stage)
        self.stage_label.setVisible(bool(stage))

    def _on_class_box_activated(self, _index: int) -> None:
        self.class_chosen.emit(self.value)
