"""The tools panel: tools, what they do to cells, brush size, undo and reset. Qt only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_fddm.plugin.panels.widgets import narrow
from napari_fddm.plugin.plumbing.plain_text import PlainLabel, tooltip
from napari_fddm.plugin.state.tools import Action, Tool

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_fddm.core.classes import ClassTable

TOOLS = {
    Tool.BRUSH: (
        "Brush",
        "P",
        "Drag over cells. Or right-click, draw around an area and return to the red ring.",
    ),
    Tool.FILL: ("Fill", "F", "Click a cell: it and all connected cells of its class are changed."),
    Tool.LASSO: (
        "Lasso",
        "G",
        "Drag around cells, or click corners and double-click. Escape cancels.",
    ),
}
ACTIONS = {
    Action.PAINT: ("Paint", "1–7", "Give cells the class that is selected in the table below."),
    Action.RESTORE: (
        "Restore",
        "E",
        "Bring the model's labels back. "
        "With the brush you can also hold Ctrl or Shift while you drag.",
    ),
    Action.EXCLUDE: (
        "Exclude",
        "X",
        "Take cells out of every area and rate: folds, pen marks, bone dust, a duplicate section.",
    ),
    Action.RELABEL: (
        "Relabel",
        "R",
        "Change one class into another: click a patch, or draw a lasso. "
        "The box below limits it to one class.",
    ),
}
LARGEST_UM = 20_000.0
"""Largest brush, µm: about the width of a tissue cassette."""


class ToolsPanel(QWidget):
    """A row of tools, a row of actions, and the size of the brush.

    Signals
    -------
    tool_clicked, action_clicked : str
        Values of `Tool` and `Action`.
    undo_clicked, redo_clicked, reset_clicked
        Reset is emitted only after the user has confirmed it.
    size_typed : float
        Diameter of the brush, µm.
    following_toggled : bool
        Whether the brush keeps its size on the screen when the user zooms.
    source_chosen : int
        The only class that relabeling changes; 0 for any.
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
        self.tool_buttons = {tool: _button(*texts) for tool, texts in TOOLS.items()}
        self.action_buttons = {action: _button(*texts) for action, texts in ACTIONS.items()}
        self.undo_button = _button("Undo", "Ctrl+Z", "Undo the last stroke.", checkable=False)
        self.redo_button = _button(
            "Redo", "Ctrl+Shift+Z", "Do the undone stroke again.", checkable=False
        )
        self.reset_button = _button(
            "Reset…",
            "",
            "Bring the model's labels back on the whole slide. For a part of it use Restore.",
            checkable=False,
        )
        self.size_spin = _size_spin()
        self.follow_box = QCheckBox("same on screen")
        self.follow_box.setToolTip("Keep the brush's size on the screen when you zoom.")
        self.source_label = PlainLabel("from")
        self.source_box = narrow(QComboBox())
        self.source_box.setMinimumContentsLength(5)
        self.source_box.addItem("any", 0)
        for tissue in table:
            self.source_box.addItem(tissue.short, tissue.value)
        self.source_box.setToolTip("Relabel changes only cells of this class.")
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
        size = [PlainLabel("Ø"), self.size_spin, self.follow_box]
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
        self.undo_button.clicked.connect(self.undo_clicked)
        self.redo_button.clicked.connect(self.redo_clicked)
        self.reset_button.clicked.connect(self._on_reset_button_clicked)
        self.size_spin.valueChanged.connect(self.size_typed)
        self.follow_box.toggled.connect(self.following_toggled)
        self.source_box.activated.connect(self._on_source_box_activated)

    def set_enabled(self, wanted: bool) -> None:
        """Enable the tools if there are labels to edit."""
        self.setEnabled(wanted)

    def set_tool(self, tool: Tool | None) -> None:
        """Show the current tool; None if the mouse moves the view."""
        _check_only(self._groups[0], self.tool_buttons.get(tool) if tool else None)

    def set_action(self, action: Action | None) -> None:
        """Show the current action; None if the corrected layer is not the active one."""
        _check_only(self._groups[1], self.action_buttons[action] if action else None)
        for widget in (self.source_label, self.source_box):
            widget.setVisible(action is Action.RELABEL)

    def set_size(self, um: float, step_um: float) -> None:
        """Show the diameter of the brush and how much one click on the arrows changes it."""
        with signals_blocked(self.size_spin):
            self.size_spin.setSingleStep(step_um)
            self.size_spin.setValue(um)

    def set_source(self, value: int) -> None:
        """Show the class that relabeling is limited to."""
        self.source_box.setCurrentIndex(self.source_box.findData(value))

    def _on_reset_button_clicked(self) -> None:
        answer = QMessageBox.question(
            self,
            "Reset to the model's labels",
            "Bring the model's labels back on the whole slide?\n\n"
            "This removes all corrections and exclusions, except in locked classes. "
            "You can undo it as long as the slide is open.",
        )
        if answer == QMessageBox.StandardButton.Yes:
            self.reset_clicked.emit()

    def _on_source_box_activated(self, _index: int) -> None:
        self.source_chosen.emit(self.source_box.currentData())


def _button(text: str, key: str, tip: str, *, checkable: bool = True) -> QPushButton:
    button = QPushButton()
    short = f" {key}" if len(key) == 1 else ""
    button.setText(text + short)
    button.setToolTip(tooltip(f"{tip} Key: {key}" if key else tip))
    button.setCheckable(checkable)
    button.setStyleSheet("padding: 4px 2px")  # napari's padding is too wide for six in a row
    return button


def _exclusive(parent: QWidget, buttons: Iterable[QPushButton]) -> QButtonGroup:
    group = QButtonGroup(parent)
    for button in buttons:
        group.addButton(button)
    return group


def _check_only(group: QButtonGroup, wanted: QPushButton | None) -> None:
    group.setExclusive(False)  # an exclusive group cannot uncheck its last button
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
