"""Mouse gestures and keys of the layer of corrected labels."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from napari.layers.labels._labels_mouse_bindings import draw
from napari.layers.labels._labels_utils import mouse_event_to_labels_coordinate

from napari_fddm.plugin.plumbing.notices import show_info
from napari_fddm.plugin.state.tools import Action, Tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

LASSO_PX = 8
"""A drag shorter than this, screen px, is a click: it adds one corner of a polygon."""


class EditableLabels(Protocol):
    """What gestures and keys need of the layer; `CorrectedLabels` has it.

    Attributes
    ----------
    classes : tuple of int
        The values that may be painted.
    stroke_action : Action or None
        What the current stroke does instead of the layer's action.
    selected_label : int
        The class that is painted.
    visible : bool
        Whether the layer is drawn.
    """

    classes: tuple[int, ...]
    stroke_action: Action | None
    selected_label: int
    visible: bool
    _overlays: Any

    def activate(self, *, tool: Tool | None = None, action: Action | None = None) -> None:
        """Activate a tool, an action or both."""
        ...

    def toggle(self, action: Action) -> None:
        """Begin or end an action."""
        ...

    def paint_class(self, value: int) -> None:
        """Select a class and paint it."""
        ...

    def get_value(self, position: Any, **view: Any) -> Any:
        """Return the label at a position of the world."""
        ...

    def bind_key(self, key: str, action: Any, *, overwrite: bool = False) -> Any:
        """Call a function with the layer when a key is pressed."""
        ...


def draw_or_restore(layer: EditableLabels, event: Any) -> Iterator[None]:
    """Draw as napari does; with Ctrl or Shift held, restore the model's labels."""
    with _modifiers_restore(layer, event):
        yield from draw(layer, event)


def draw_lasso(layer: EditableLabels, event: Any) -> Iterator[None]:
    """Add the path of a drag to the polygon, which closes when the mouse button is released.

    Clicks are handled by napari's polygon overlay: each adds a corner, a double click closes.
    """
    overlay = layer._overlays["polygon"]
    if event.button != 1:
        return
    start = np.asarray(event.pos)
    with _modifiers_restore(layer, event):
        yield from _draw_path(layer, event, overlay, start)


@contextmanager
def _modifiers_restore(layer: EditableLabels, event: Any) -> Iterator[None]:
    """Make one stroke restore if it began with Ctrl or Shift held, whatever the action."""
    if {"Control", "Shift"} & set(event.modifiers):
        layer.stroke_action = Action.RESTORE
    try:
        yield
    finally:
        layer.stroke_action = None


def _draw_path(
    layer: EditableLabels, event: Any, overlay: Any, start: npt.NDArray[np.float64]
) -> Iterator[None]:
    yield
    dragged = False
    while event.type == "mouse_move":
        if dragged and not overlay.points:
            return  # Escape has discarded the polygon
        dragged = dragged or bool(np.linalg.norm(np.asarray(event.pos) - start) > LASSO_PX)
        place = mouse_event_to_labels_coordinate(layer, event)
        if dragged and place is not None:
            overlay.points = [*overlay.points, [float(c) + 0.5 for c in place]]
        yield
    if dragged and overlay.points:
        overlay.add_polygon_to_labels(layer)


def pick_class(layer: EditableLabels, event: Any) -> None:
    """Select the class under the cursor; nothing happens where nothing was analyzed."""
    value = layer.get_value(
        event.position,
        view_direction=event.view_direction,
        dims_displayed=event.dims_displayed,
        world=True,
    )
    if value:
        layer.paint_class(int(value))


def bind_keys(layer: EditableLabels) -> None:
    """Bind the keys to one layer; other layers do not have them."""
    keys = {
        "c": _toggle_visible,
        "e": _restore,
        "x": _toggle_excluding,
        "r": _toggle_relabeling,
        "g": _use_lasso,  # napari's key for the polygon tool is 3
        "m": _no_new_class,
        "-": _previous_class,
        "=": _next_class,
    }
    for key, action in keys.items():
        layer.bind_key(key, action, overwrite=True)
    for value in layer.classes:
        layer.bind_key(str(value), _class_key(value), overwrite=True)


def _class_key(value: int) -> Any:
    def select(layer: EditableLabels) -> None:
        layer.paint_class(value)

    select.__doc__ = f"Select class {value}."
    return select


def _toggle_visible(layer: EditableLabels) -> None:
    """Show or hide the corrected labels."""
    layer.visible = not layer.visible


def _restore(layer: EditableLabels) -> None:
    """Restore the model's labels with the current tool."""
    layer.activate(action=Action.RESTORE)


def _toggle_excluding(layer: EditableLabels) -> None:
    """Exclude cells with the current tool, or paint classes again."""
    layer.toggle(Action.EXCLUDE)


def _toggle_relabeling(layer: EditableLabels) -> None:
    """Change one class to another, or paint classes again."""
    layer.toggle(Action.RELABEL)


def _use_lasso(layer: EditableLabels) -> None:
    """Draw outlines: drag around, or click corners and double-click."""
    layer.activate(tool=Tool.LASSO)


def _no_new_class(_layer: EditableLabels) -> None:
    """Say that there are no further classes."""
    show_info("The tissue classes are fixed: no new label is made.")


def _previous_class(layer: EditableLabels) -> None:
    """Select the previous class, down to the first."""
    layer.selected_label = max(min(layer.classes), layer.selected_label - 1)


def _next_class(layer: EditableLabels) -> None:
    """Select the next class, up to the last."""
    layer.selected_label = min(max(layer.classes), layer.selected_label + 1)
