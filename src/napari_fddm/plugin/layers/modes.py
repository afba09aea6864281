"""Translates a tool and its action to napari's layer mode, and back.

napari's modes mix the two: its eraser is a brush with another action. Here every tool
can do every action. A brush that restores is in napari's erase mode, so that napari's
own buttons show the same as ours.
"""

from __future__ import annotations

from napari.layers.labels._labels_constants import Mode

from napari_fddm.plugin.state.tools import Action, Tool

TOOL_OF_MODE = {
    Mode.PAINT: Tool.BRUSH,
    Mode.ERASE: Tool.BRUSH,
    Mode.FILL: Tool.FILL,
    Mode.POLYGON: Tool.LASSO,
}


def mode_of(tool: Tool, action: Action) -> Mode:
    """Return napari's mode for a tool with an action."""
    if tool is Tool.BRUSH:
        return Mode.ERASE if action is Action.RESTORE else Mode.PAINT
    return Mode.FILL if tool is Tool.FILL else Mode.POLYGON
