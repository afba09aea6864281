"""The views of the dock widget, from top to bottom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.plugin.panels.adapt import AdaptPanel
from napari_fddm.plugin.panels.classes import ClassesPanel
from napari_fddm.plugin.panels.model import ModelPanel
from napari_fddm.plugin.panels.navigator import NavigatorPanel
from napari_fddm.plugin.panels.rate import RatePanel
from napari_fddm.plugin.panels.run import RunPanel
from napari_fddm.plugin.panels.signoff import SignOffPanel
from napari_fddm.plugin.panels.slide import SlidePanel
from napari_fddm.plugin.panels.tools import ToolsPanel

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget


@dataclass(frozen=True, slots=True)
class Panels:
    """The panels in the order in which a pathologist works.

    Attributes
    ----------
    slide : SlidePanel
        What is looked at.
    navigator : NavigatorPanel
        Where on it one is, and how near.
    model : ModelPanel
        Which networks look at it.
    run : RunPanel
        What shall be analyzed, and how far that is.
    tools : ToolsPanel
        What the hand does.
    classes : ClassesPanel
        What the brush paints and how the classes look.
    adapt : AdaptPanel
        What the model may learn from that.
    rate : RatePanel
        The rate.
    signoff : SignOffPanel
        Who stands for it.
    """

    slide: SlidePanel
    navigator: NavigatorPanel
    model: ModelPanel
    run: RunPanel
    tools: ToolsPanel
    classes: ClassesPanel
    adapt: AdaptPanel
    rate: RatePanel
    signoff: SignOffPanel

    @classmethod
    def build(cls, parent: QWidget | None = None) -> Panels:
        """Make all of them."""
        return cls(
            slide=SlidePanel(parent),
            navigator=NavigatorPanel(parent),
            model=ModelPanel(parent),
            run=RunPanel(parent),
            tools=ToolsPanel(OSTEOSARCOMA, parent),
            classes=ClassesPanel(OSTEOSARCOMA, parent),
            adapt=AdaptPanel(parent),
            rate=RatePanel(parent),
            signoff=SignOffPanel(parent),
        )

    def sections(self) -> dict[str, tuple[QWidget, ...]]:
        """Return the panels by the title they stand under, from top to bottom."""
        return {
            "Slide": (self.slide, self.navigator),
            "Analyze": (self.model, self.run),
            "Correct": (self.tools, self.classes, self.adapt),
            "Result": (self.rate, self.signoff),
        }
