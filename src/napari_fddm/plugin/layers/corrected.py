"""The layer on which labels are corrected: painting, restoring, excluding and relabeling.

It is a napari Labels layer that accepts only the values of classes. Its data are
single-scale uint8, because napari cannot paint multiscale labels. What erasing does stands in
`erasing.py`, what mouse and keys do in `gestures.py`
(``docs/architecture.md#editing-and-the-live-rate``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from napari.layers import Labels
from napari.layers.labels._labels_constants import Mode
from napari.layers.labels.labels import WrongSelectedLabelError
from psygnal import Signal

from napari_fddm.core.classes import NOT_ANALYZED, ClassTable
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import Window
from napari_fddm.plugin.layers.common import (
    BRUSH_CELLS,
    METADATA,
    OPACITY,
    TOOL_MARKS,
    hide_tool_marks,
    placement,
)
from napari_fddm.plugin.layers.erasing import AUTOMATIC, RestoringLabels
from napari_fddm.plugin.layers.gestures import bind_keys, draw_lasso, draw_or_restore, pick_class
from napari_fddm.plugin.layers.modes import TOOL_OF_MODE, mode_of
from napari_fddm.plugin.layers.napari_colormap import class_colormap
from napari_fddm.plugin.state.tools import Action, Tool

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_fddm.core.maps import LabelMap
    from napari_fddm.plugin.state.placement import Placement


class CorrectedLabels(RestoringLabels):
    """The labels that a pathologist corrects.

    Parameters
    ----------
    label_map : LabelMap
        Its ``labels`` are painted in place.
    table : ClassTable
        The values that may be painted.
    name : str
        Shown in the layer list.
    place : Placement, optional
        Where the slide lies.

    Attributes
    ----------
    classes : tuple of int
        The values that may be painted.
    stroke_action : Action or None
        What the stroke that is being drawn does instead of `action`.
    action_changed, source_changed : psygnal signals of Action, int
        After `action` or `relabel_source` was set to another value.
    cells_written : psygnal signal of Window
        After a tool wrote cells inside a window, also while the layer is hidden.
    stepped : psygnal signal of object
        After undo or redo; gives napari's record of the step.
    rewritten : psygnal signal of str
        Any cell may have changed, by "undo", "redo", "abort" (of a stroke) or "write" (other
        code called ``refresh``). Also emitted while the layer is hidden, when napari emits
        nothing.
    """

    stepped = Signal(object)
    action_changed = Signal(Action)
    source_changed = Signal(int)
    cells_written = Signal(Window)
    rewritten = Signal(str)

    _drag_modes: ClassVar[dict[Mode, Any]] = Labels._drag_modes | {
        Mode.PICK: pick_class,
        Mode.PAINT: draw_or_restore,
        Mode.FILL: draw_or_restore,
        Mode.ERASE: draw_or_restore,
        Mode.POLYGON: draw_lasso,
    }

    def __init__(
        self, label_map: LabelMap, table: ClassTable, name: str, place: Placement | None = None
    ) -> None:
        self.classes = table.values
        self._action = Action.PAINT
        self.stroke_action: Action | None = None
        self._relabel_source = NOT_ANALYZED
        super().__init__(
            label_map,
            name=name,
            colormap=class_colormap(table),
            opacity=OPACITY,
            metadata={METADATA: {"role": "corrected"}},
            **placement(label_map.geometry, place),
        )
        hide_tool_marks(self)
        self.brush_size = BRUSH_CELLS
        self.selected_label = table.values[1]
        bind_keys(self)

    @property
    def data(self) -> npt.NDArray[np.uint8]:
        """Label values, uint8 of shape (H, W); assigning copies values into the same array.

        Code that writes into the array must call ``refresh``, or the change is found late.
        """
        return np.asarray(self._data)

    @data.setter
    def data(self, values: npt.ArrayLike) -> None:
        if self._refuses():
            return
        new = np.asarray(values)
        if new.shape != self.data.shape or not np.isin(new, (NOT_ANALYZED, *self.classes)).all():
            raise ConfigError(
                f"corrected labels are {self.data.shape} cells of the classes {self.classes}; "
                f"got {new.shape}, or values that are no class.",
                hint="Add the array as a layer of its own.",
            )
        self.data[...] = new
        self.refresh()

    @property
    def action(self) -> Action:
        """What a tool does to the cells it touches.

        Excluded cells (a fold, pen, bone dust, a second section of the same tissue) become
        "not analyzed" and count in no sum any more; restoring brings them back.
        """
        return self._action

    @action.setter
    def action(self, value: Action) -> None:
        if self.tool is None:
            self._set_action(value)
        else:
            self.activate(action=value)

    @property
    def tool(self) -> Tool | None:
        """The active tool; None while the mouse moves the view."""
        return TOOL_OF_MODE.get(self._mode)

    @property
    def relabel_source(self) -> int:
        """The class that relabeling changes; 0 stands for any class."""
        return self._relabel_source

    @relabel_source.setter
    def relabel_source(self, value: int) -> None:
        if value != self._relabel_source:
            self._validate_label_in_range(value)
            self._relabel_source = value
            self.source_changed.emit(value)

    @property
    def doing(self) -> str:
        """What changes the labels now, as the event log names it."""
        if self._doing is not None:
            return self._doing
        action = self.stroke_action or self.action
        return str(self.mode) if action is Action.PAINT else str(action)

    def activate(self, *, tool: Tool | None = None, action: Action | None = None) -> None:
        """Activate a tool, an action or both.

        Parameters
        ----------
        tool : Tool, optional
            By default the active tool stays; the brush if there is none.
        action : Action, optional
            By default the action stays.
        """
        wanted = action or self.action
        self.mode = mode_of(tool or self.tool or Tool.BRUSH, wanted)
        self._set_action(wanted)  # after the mode, which sets one of its own

    def toggle(self, action: Action) -> None:
        """Begin or end an action; relabeling replaces the brush by the fill tool."""
        if self.action is action:
            self.action = Action.PAINT
            return
        fill = action is Action.RELABEL and self.tool in (None, Tool.BRUSH)
        self.activate(tool=Tool.FILL if fill else None, action=action)

    def paint_class(self, value: int) -> None:
        """Select a class and paint it, or relabel into it; ends excluding and restoring."""
        self.selected_label = value
        if self.action is not Action.RELABEL:
            self.action = Action.PAINT

    @property
    def selected_label(self) -> int:
        """The class that is painted. It is never 0: erasing is an action."""
        return int(self._selected_label)

    @selected_label.setter
    def selected_label(self, value: int) -> None:
        if value not in self.classes:
            self.events.selected_label()  # so that napari's spin box shows the valid class again
            raise self._no_class(value)
        changed = value != self.selected_label
        Labels.selected_label.fset(self, value)
        if changed and self.action in (Action.EXCLUDE, Action.RESTORE):
            self.action = Action.PAINT

    def swap_selected_and_background_labels(self) -> None:
        """Begin or end restoring; napari calls this to switch to its background label."""
        self.toggle(Action.RESTORE)

    def paint(self, coord: Sequence[float], new_label: int, refresh: bool = True) -> None:
        """Write a disk of the brush's size; label 0 restores the automatic labels."""
        super().paint(coord, self._label_to_write(new_label), refresh)

    def paint_polygon(self, points: Any, new_label: int) -> None:
        """Write inside a polygon; label 0 restores the automatic labels there."""
        super().paint_polygon(points, self._label_to_write(new_label))

    def fill(self, coord: Sequence[float], new_label: int, refresh: bool = True) -> None:
        """Write the connected area under a point; label 0 restores the automatic labels."""
        super().fill(coord, self._label_to_write(new_label), refresh)

    def refresh(self, event: Any = None, **parts: Any) -> None:
        """Emit `rewritten`, then draw."""
        if parts.get("data_displayed", True):
            # Emitted first, because drawing the whole map takes longer than counting.
            self.rewritten.emit(self._doing or "write")
        super().refresh(event, **parts)

    def _label_to_write(self, label: int) -> int:
        """Return the label that napari's tools shall write, by the action."""
        self._validate_label_in_range(label)
        action = self.stroke_action or self.action
        if label == NOT_ANALYZED or action is Action.RESTORE:
            return AUTOMATIC
        return NOT_ANALYZED if action is Action.EXCLUDE else label

    @property
    def _is_limited(self) -> bool:
        return super()._is_limited or self.action is Action.RELABEL

    def _may_change(self, values: npt.NDArray[np.uint8], label: int) -> npt.NDArray[np.bool_]:
        """Return where a tool may change cells; relabeling changes one class, or any class."""
        free = super()._may_change(values, label)
        if self.action is Action.RELABEL and label != AUTOMATIC:
            source = self.relabel_source
            free &= values != NOT_ANALYZED if source == NOT_ANALYZED else values == source
        return free

    def _mode_setter_helper(self, mode_in: Mode | str) -> Any:
        mode = super()._mode_setter_helper(mode_in)
        if mode != self._mode:  # napari enables the right-button lasso for painting only
            self._overlays["brush_stroke"].enabled = TOOL_OF_MODE.get(mode) is Tool.BRUSH
            for mark in TOOL_MARKS:
                self._overlays[mark].visible |= self._overlays[mark].enabled
        if mode is Mode.ERASE:
            self._set_action(Action.RESTORE)
        elif mode is Mode.PAINT:
            self._set_action(Action.PAINT)
        return mode

    def _set_action(self, value: Action) -> None:
        if value is not self._action:
            self._action = value
            self.action_changed.emit(value)

    def _partial_labels_refresh(self) -> None:
        touched = self._updated_slice
        super()._partial_labels_refresh()
        if touched is not None:
            (y, y_end), (x, x_end) = ((part.start, part.stop) for part in touched)
            self.cells_written.emit(Window(int(y), int(x), int(y_end - y), int(x_end - x)))

    def _load_history(self, before: Any, after: Any, undoing: bool = True) -> None:
        step = list(before[-1]) if before else []
        self._doing = "undo" if undoing else "redo"
        try:
            super()._load_history(before, after, undoing)
            self.stepped.emit(step)
        finally:
            self._doing = None

    def _abort_stroke(self) -> None:
        self._doing = "abort"
        try:
            super()._abort_stroke()
        finally:
            self._doing = None

    def _validate_label_in_range(self, label: int) -> None:
        if label != AUTOMATIC and int(label) not in (NOT_ANALYZED, *self.classes):
            raise self._no_class(label)

    def _no_class(self, value: int) -> WrongSelectedLabelError:
        low, high = min(self.classes), max(self.classes)
        return WrongSelectedLabelError(
            dtype=self.data.dtype, value=value, lower_bound=low, upper_bound=high
        )

    @property
    def _type_string(self) -> str:
        return "labels"  # napari derives it from the class name, and saving would write nothing
