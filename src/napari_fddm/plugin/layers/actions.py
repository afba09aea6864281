"""What a stroke does, what draws it, and how mouse and keys ask for that.

napari mixes the two in its modes: its eraser is a brush that does something else.
Here every action goes with every tool. A brush that restores is in napari's erase
mode, so that napari's own buttons stay in step.
"""

from __future__ import annotations

from enum import StrEnum

from napari.layers.labels._labels_constants import Mode


class Action(StrEnum):
    """What happens to the cells that a tool touches."""

    PAINT = "paint"
    RESTORE = "restore"
    EXCLUDE = "exclude"
    RELABEL = "relabel"


class Tool(StrEnum):
    """What touches cells."""

    BRUSH = "brush"
    FILL = "fill"
    LASSO = "lasso"


TOOL_OF_MODE = {
    Mode.PAINT: Tool.BRUSH,
    Mode.ERASE: Tool.BRUSH,
    Mode.FILL: Tool.FILL,
    Mode.POLYGON: Tool.LASSO,
}


def mode_of(tool: Tool, action: Action) -> Mode:
    """Return napari's mode for a tool that does something."""
    if tool is Tool.BRUSH:
        return Mode.ERASE if action is Action.RESTORE else Mode.PAINT
    return Mode.FILL if tool is Tool.FILL else Mode.POLYGON
