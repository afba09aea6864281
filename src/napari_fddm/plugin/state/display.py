"""How the classes look: which are shown, in which colors, filled or as outlines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_fddm.core.classes import TissueClass


class Palette(StrEnum):
    """Colors of the classes."""

    SAFE = "safe"
    PAPER = "paper"


PALETTE_TITLES = {Palette.SAFE: "Color-blind safe", Palette.PAPER: "As in the FDDM paper"}


@dataclass(frozen=True, slots=True)
class ClassDisplay:
    """What of the classes is drawn, and how. It changes colors only, never a label.

    Attributes
    ----------
    hidden : frozenset of int
        Label values whose eye is closed.
    solo : int or None
        The only label value drawn, whatever the eyes say.
    palette : Palette
        Colors.
    outline : bool
        Draw the borders of the classes instead of filling them.
    """

    hidden: frozenset[int] = frozenset()
    solo: int | None = None
    palette: Palette = Palette.SAFE
    outline: bool = False

    def shows(self, value: int) -> bool:
        """Whether a class is drawn."""
        return value == self.solo if self.solo is not None else value not in self.hidden

    def with_eye_toggled(self, value: int) -> ClassDisplay:
        """Close an open eye or open a closed one; ends solo."""
        return replace(self, hidden=self.hidden ^ {value}, solo=None)

    def with_solo_toggled(self, value: int) -> ClassDisplay:
        """Draw one class alone, or all of them again if it was alone."""
        return replace(self, solo=None if self.solo == value else value)

    def rgb(self, tissue: TissueClass) -> tuple[int, int, int]:
        """Return the color of a class."""
        return tissue.paper_rgb if self.palette is Palette.PAPER else tissue.display_rgb
