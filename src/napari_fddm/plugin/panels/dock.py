"""All panels of the dock widget, from top to bottom, and the sections they belong to."""

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
        The open slide.
    navigator : NavigatorPanel
        Overview and magnification.
    model : ModelPanel
        The model of the next run.
    run : RunPanel
        What to analyze, and the progress of the run.
    tools : ToolsPanel
        Tools, actions and brush size.
    classes : ClassesPanel
        The class to paint, and how the classes are drawn.
    adapt : AdaptPanel
        Spreading corrections and learning from them.
    rate : RatePanel
        Necrosis rate, tumor bed and export.
    signoff : SignOffPanel
        Sign-off and unlocking.
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
        """Create all panels."""
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
        """Return the panels by the title of their section, from top to bottom."""
        return {
            "Slide": (self.slide, self.navigator),
            "Analyze": (self.model, self.run),
            "Correct": (self.tools, self.classes, self.adapt),
            "Result": (self.rate, self.signoff),
        }
