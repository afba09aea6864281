"""The tool panel: what is in the hand, what it does to the cells, how large the brush is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_fddm.plugin.panels.widgets import narrow
from napari_fddm.plugin.state.tools import Action, Tool

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_fddm.core.classes import ClassTable

TOOLS = {
    Tool.BRUSH: (
        "Brush",
        "P",
        "Drag to touch cells. Or right-click, circle a patch and come back to the red ring.",
    ),
    Tool.FILL: ("Fill", "F", "Click to touch the connected patch of one class."),
    Tool.LASSO: (
        "Lasso",
        "G",
        "Drag around cells, or click corners and double-click. Escape gives up.",
    ),
}
ACTIONS = {
    Action.PAINT: ("Paint", "1–7", "Give cells the class that is selected in the table."),
    Action.RESTORE: (
        "Restore",
        "E",
        "Bring the model's labels back: with brush, fill or lasso. "
        "Holding Ctrl or Shift while you drag the brush does it in passing.",
    ),
    Action.EXCLUDE: (
        "Exclude",
        "X",
        "Take cells out of every sum: a fold, pen, bone dust, a section that is there twice.",
    ),
    Action.RELABEL: (
        "Relabel",
        "R",
        "Turn one class into another: click a patch, or draw a lasso. "
        "The box below says which class may change.",
    ),
}
LARGEST_UM = 20_000.0
"""Twenty millimeters, about a cassette's width."""


class ToolsPanel(QWidget):
    """A row of tools, a row of what they do, and the brush's size.

    Signals
    -------
    tool_clicked, action_clicked : str
        A `Tool`, an `Action`.
    undo_clicked, redo_clicked, reset_clicked
        Reset is emitted after the question was answered with yes.
    size_typed : float
        Diameter of the brush, µm.
    following_toggled : bool
        Whether the brush shall keep its size on the screen.
    source_chosen : int
        The class that relabeling changes; 0: any.
    """

    tool_clicked = Signal(str)
    action_clicked = Signal(str)
    undo_clicked = Signal()
    redo_clicked = Signal()
    reset_clicked = Signal()
    size_typed = Signal(float)
    following_toggled = Signal(bool)
    source_chosen = Signal(int)

    def __init__(self, table: ClassTable, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tool_buttons = {tool: _button(*words) for tool, words in TOOLS.items()}
        self.action_buttons = {action: _button(*words) for action, words in ACTIONS.items()}
        self.undo_button = _button("Undo", "Ctrl+Z", "Take the last stroke back.", checkable=False)
        self.redo_button = _button(
            "Redo", "Ctrl+Shift+Z", "Do it again after all.", checkable=False
        )
        self.reset_button = _button(
            "Reset…",
            "",
            "Bring the model's labels back everywhere. For one region: Restore with the lasso.",
            checkable=False,
        )
        self.size_spin = _size_spin()
        self.follow_box = QCheckBox("same on screen")
        self.follow_box.setToolTip("Keep the brush's size on the screen when you zoom.")
        self.source_label = QLabel("from")
        self.source_box = narrow(QComboBox())
        self.source_box.setMinimumContentsLength(5)
        self.source_box.addItem("any", 0)
        for tissue in table:
            self.source_box.addItem(tissue.short, tissue.value)
        self.source_box.setToolTip("Relabel changes cells of this class alone.")
        self._groups = [
            _exclusive(self, buttons)
            for buttons in (self.tool_buttons.values(), self.action_buttons.values())
        ]
        self._lay_out()
        self._connect()
        self.set_enabled(False)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        tools = [*self.tool_buttons.values(), self.undo_button, self.redo_button]
        size = [QLabel("Ø"), self.size_spin, self.follow_box]
        rows = (
            [*tools, self.reset_button],
            list(self.action_buttons.values()),
            [*size, self.source_label, self.source_box],
        )
        for widgets in rows:
            row = QHBoxLayout()
            row.setSpacing(3)
            for widget in widgets:
                row.addWidget(widget, 1 if isinstance(widget, QPushButton) else 0)
            layout.addLayout(row)
        row.addStretch(1)

    def _connect(self) -> None:
        for tool, button in self.tool_buttons.items():
            button.clicked.connect(lambda _=False, t=tool: self.tool_clicked.emit(t.value))
        for action, button in self.action_buttons.items():
            button.clicked.connect(lambda _=False, a=action: self.action_clicked.emit(a.value))
        self.undo_button.clicked.connect(self._on_undo_button_clicked)
        self.redo_button.clicked.connect(self._on_redo_button_clicked)
        self.reset_button.clicked.connect(self._on_reset_button_clicked)
        self.size_spin.valueChanged.connect(self.size_typed)
        self.follow_box.toggled.connect(self.following_toggled)
        self.source_box.activated.connect(self._on_source_box_activated)

    def set_enabled(self, wanted: bool) -> None:
        """Without labels there is nothing to touch."""
        self.setEnabled(wanted)

    def set_tool(self, tool: Tool | None) -> None:
        """Mark what is in the hand; None: the mouse moves the view."""
        _mark(self._groups[0], self.tool_buttons.get(tool) if tool else None)

    def set_action(self, action: Action | None) -> None:
        """Mark what tools do; None: another layer than the corrected classes is in front."""
        _mark(self._groups[1], self.action_buttons[action] if action else None)
        for widget in (self.source_label, self.source_box):
            widget.setVisible(action is Action.RELABEL)

    def set_size(self, um: float, step_um: float) -> None:
        """Show the brush's diameter; a step is two cells, the least that changes a disk."""
        blocked = self.size_spin.blockSignals(True)
        self.size_spin.setSingleStep(step_um)
        self.size_spin.setValue(um)
        self.size_spin.blockSignals(blocked)

    def set_source(self, value: int) -> None:
        """Show which class relabeling changes."""
        self.source_box.setCurrentIndex(self.source_box.findData(value))

    def _on_undo_button_clicked(self) -> None:
        self.undo_clicked.emit()

    def _on_redo_button_clicked(self) -> None:
        self.redo_clicked.emit()

    def _on_reset_button_clicked(self) -> None:
        answer = QMessageBox.question(
            self,
            "Reset to the model's labels",
            "Bring the model's labels back on the whole slide?\n\n"
            "Every correction and exclusion goes, except in locked classes. "
            "Undo takes it back as long as the slide is open.",
        )
        if answer == QMessageBox.StandardButton.Yes:
            self.reset_clicked.emit()

    def _on_source_box_activated(self, _index: int) -> None:
        self.source_chosen.emit(self.source_box.currentData())


def _button(text: str, key: str, tip: str, *, checkable: bool = True) -> QPushButton:
    button = QPushButton()
    short = f" {key}" if len(key) == 1 else ""
    button.setText(text + short)
    button.setToolTip(f"{tip} Key: {key}" if key else tip)
    button.setCheckable(checkable)
    button.setStyleSheet("padding: 4px 2px")  # napari's are too wide for six in a row
    return button


def _exclusive(parent: QWidget, buttons: Iterable[QPushButton]) -> QButtonGroup:
    group = QButtonGroup(parent)
    for button in buttons:
        group.addButton(button)
    return group


def _mark(group: QButtonGroup, wanted: QPushButton | None) -> None:
    group.setExclusive(False)  # else the last one could not be let go
    for button in group.buttons():
        button.setChecked(button is wanted)
    group.setExclusive(True)


def _size_spin() -> QDoubleSpinBox:
    spin = QDoubleSpinBox()
    spin.setRange(1.0, LARGEST_UM)
    spin.setDecimals(0)
    spin.setSuffix(" µm")
    spin.setKeyboardTracking(False)
    spin.setToolTip("Diameter of the brush. Keys: [ and ], or Alt and the mouse.")
    return spin
