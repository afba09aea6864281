"""How classes are displayed: which are visible, in which colors, filled or as outlines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_fddm.core.classes import TissueClass


class Palette(StrEnum):
    """The color schemes of the classes."""

    SAFE = "safe"
    PAPER = "paper"


PALETTE_TITLES = {Palette.SAFE: "Color-blind safe", Palette.PAPER: "As in the FDDM paper"}


@dataclass(frozen=True, slots=True)
class ClassDisplay:
    """Which classes are drawn, and how. It affects colors only, never labels.

    Attributes
    ----------
    hidden : frozenset of int
        Label values that the user has hidden.
    solo : int or None
        The only label value that is drawn, whatever is hidden; None for all.
    palette : Palette
        The color scheme.
    outline : bool
        Draw the borders of the classes instead of filling them.
    """

    hidden: frozenset[int] = frozenset()
    solo: int | None = None
    palette: Palette = Palette.SAFE
    outline: bool = False

    def shows(self, value: int) -> bool:
        """Return whether a class is drawn."""
        return value == self.solo if self.solo is not None else value not in self.hidden

    def with_eye_toggled(self, value: int) -> ClassDisplay:
        """Hide a visible class or show a hidden one; ends showing one class alone."""
        return replace(self, hidden=self.hidden ^ {value}, solo=None)

    def with_solo_toggled(self, value: int) -> ClassDisplay:
        """Show one class alone, or all again if it was alone."""
        return replace(self, solo=None if self.solo == value else value)

    def rgb(self, tissue: TissueClass) -> tuple[int, int, int]:
        """Return the color of a class."""
        return tissue.paper_rgb if self.palette is Palette.PAPER else tissue.display_rgb
