"""What mouse and keys do on a layer of corrected labels."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers.labels._labels_mouse_bindings import draw
from napari.layers.labels._labels_utils import mouse_event_to_labels_coordinate
from napari.utils.notifications import show_info

from napari_fddm.plugin.layers.actions import Action, Tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from napari_fddm.plugin.layers.corrected import CorrectedLabels

LASSO_PX = 8
"""A press that travels less than this on the screen is a click: a corner of a polygon."""


def draw_or_restore(layer: CorrectedLabels, event: Any) -> Iterator[None]:
    """Draw as napari does; with Ctrl or Shift held, bring the model's labels back."""
    with _in_passing(layer, event):
        yield from draw(layer, event)


def draw_lasso(layer: CorrectedLabels, event: Any) -> Iterator[None]:
    """Add what the pressed mouse draws to the polygon; letting go after a drag closes it.

    napari's own overlay takes the clicks: each is a corner, a double click closes.
    """
    overlay = layer._overlays["polygon"]
    if event.button != 1:
        return
    start = np.asarray(event.pos)
    with _in_passing(layer, event):
        yield from _draw_line(layer, event, overlay, start)


@contextmanager
def _in_passing(layer: CorrectedLabels, event: Any) -> Iterator[None]:
    """Let a stroke restore that began with Ctrl or Shift held, whatever the action."""
    if {"Control", "Shift"} & set(event.modifiers):
        layer.stroke_action = Action.RESTORE
    try:
        yield
    finally:
        layer.stroke_action = None


def _draw_line(
    layer: CorrectedLabels, event: Any, overlay: Any, start: npt.NDArray[np.float64]
) -> Iterator[None]:
    yield
    dragged = False
    while event.type == "mouse_move":
        if dragged and not overlay.points:
            return  # Escape
        dragged = dragged or bool(np.linalg.norm(np.asarray(event.pos) - start) > LASSO_PX)
        place = mouse_event_to_labels_coordinate(layer, event)
        if dragged and place is not None:
            overlay.points = [*overlay.points, [float(c) + 0.5 for c in place]]
        yield
    if dragged and overlay.points:
        overlay.add_polygon_to_labels(layer)


def pick_class(layer: CorrectedLabels, event: Any) -> None:
    """Take the class under the cursor; where nothing was analyzed there is none to take."""
    value = layer.get_value(
        event.position,
        view_direction=event.view_direction,
        dims_displayed=event.dims_displayed,
        world=True,
    )
    if value:
        layer.paint_class(int(value))


def bind_keys(layer: CorrectedLabels) -> None:
    """Give a layer its keys; they exist on this layer alone."""
    keys = {
        "c": _toggle_visible,
        "e": _restore,
        "x": _toggle_excluding,
        "r": _toggle_relabeling,
        "g": _use_lasso,  # napari's own key for it is 3
        "m": _no_new_class,
        "-": _previous_class,
        "=": _next_class,
    }
    for key, action in keys.items():
        layer.bind_key(key, action, overwrite=True)
    for value in layer.classes:
        layer.bind_key(str(value), _class_key(value), overwrite=True)


def _class_key(value: int) -> Any:
    def select(layer: CorrectedLabels) -> None:
        layer.paint_class(value)

    select.__doc__ = f"Select class {value}."
    return select


def _toggle_visible(layer: CorrectedLabels) -> None:
    """Show or hide the corrected labels."""
    layer.visible = not layer.visible


def _restore(layer: CorrectedLabels) -> None:
    """Bring the model's labels back, with the tool in hand."""
    layer.take_up(action=Action.RESTORE)


def _toggle_excluding(layer: CorrectedLabels) -> None:
    """Exclude cells with the tool in hand, or paint classes again."""
    layer.toggle(Action.EXCLUDE)


def _toggle_relabeling(layer: CorrectedLabels) -> None:
    """Turn one class into another, or paint classes again."""
    layer.toggle(Action.RELABEL)


def _use_lasso(layer: CorrectedLabels) -> None:
    """Draw outlines: drag around, or click corners and double-click."""
    layer.take_up(tool=Tool.LASSO)


def _no_new_class(_layer: CorrectedLabels) -> None:
    """Say that there are no further classes."""
    show_info("The tissue classes are fixed: no new label is made.")


def _previous_class(layer: CorrectedLabels) -> None:
    """Select the class before, down to the first."""
    layer.selected_label = max(min(layer.classes), layer.selected_label - 1)


def _next_class(layer: CorrectedLabels) -> None:
    """Select the next class, up to the last."""
    layer.selected_label = min(max(layer.classes), layer.selected_label + 1)
