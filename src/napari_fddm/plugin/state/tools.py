"""The drawing tools, and the actions that each of them can do to the cells it touches."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """What happens to the cells that a tool touches."""

    PAINT = "paint"
    RESTORE = "restore"
    EXCLUDE = "exclude"
    RELABEL = "relabel"


class Tool(StrEnum):
    """How cells are selected."""

    BRUSH = "brush"
    FILL = "fill"
    LASSO = "lasso"
