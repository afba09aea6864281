"""The views of the dock widget, from top to bottom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.plugin.panels.adapt import AdaptPanel
from napari_fddm.plugin.panels.classes import ClassPanel
from napari_fddm.plugin.panels.model import ModelPanel
from napari_fddm.plugin.panels.navigator import Navigator
from napari_fddm.plugin.panels.necrosis import NecrosisPanel
from napari_fddm.plugin.panels.run import RunPanel
from napari_fddm.plugin.panels.signoff import SignOffPanel
from napari_fddm.plugin.panels.slide import SlidePanel
from napari_fddm.plugin.panels.tools import ToolPanel

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget


@dataclass(frozen=True, slots=True)
class Panels:
    """The panels in the order in which a pathologist works.

    Attributes
    ----------
    slide : SlidePanel
        What is looked at.
    navigator : Navigator
        Where on it one is, and how near.
    model : ModelPanel
        Which networks look at it.
    run : RunPanel
        What shall be analyzed, and how far that is.
    tools : ToolPanel
        What the hand does.
    classes : ClassPanel
        What the brush paints and how the classes look.
    adapting : AdaptPanel
        What the model may learn from that.
    necrosis : NecrosisPanel
        The rate.
    signing : SignOffPanel
        Who stands for it.
    """

    slide: SlidePanel
    navigator: Navigator
    model: ModelPanel
    run: RunPanel
    tools: ToolPanel
    classes: ClassPanel
    adapting: AdaptPanel
    necrosis: NecrosisPanel
    signing: SignOffPanel

    @classmethod
    def build(cls, parent: QWidget | None = None) -> Panels:
        """Make all of them."""
        return cls(
            slide=SlidePanel(parent),
            navigator=Navigator(parent),
            model=ModelPanel(parent),
            run=RunPanel(parent),
            tools=ToolPanel(OSTEOSARCOMA, parent),
            classes=ClassPanel(OSTEOSARCOMA, parent),
            adapting=AdaptPanel(parent),
            necrosis=NecrosisPanel(parent),
            signing=SignOffPanel(parent),
        )

    def sections(self) -> dict[str, tuple[QWidget, ...]]:
        """Return the panels by the title they stand under, from top to bottom."""
        return {
            "Slide": (self.slide, self.navigator),
            "Analyze": (self.model, self.run),
            "Correct": (self.tools, self.classes, self.adapting),
            "Result": (self.necrosis, self.signing),
        }
