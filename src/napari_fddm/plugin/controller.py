"""The window's controller: makes the small controllers, follows the viewer, closes with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

from napari_fddm.plugin.controllers.adapt import AdaptController
from napari_fddm.plugin.controllers.classes import ClassBrushController, ClassDisplayController
from napari_fddm.plugin.controllers.compare import CompareController, curtain_over
from napari_fddm.plugin.controllers.estimate import EstimateController
from napari_fddm.plugin.controllers.excluded import ExcludedController
from napari_fddm.plugin.controllers.export import ExportController
from napari_fddm.plugin.controllers.foreign_images import ForeignImagesController
from napari_fddm.plugin.controllers.lost_log import LostLogController
from napari_fddm.plugin.controllers.model import ModelController
from napari_fddm.plugin.controllers.navigator import NavigatorController
from napari_fddm.plugin.controllers.other_settings import OtherSettingsController
from napari_fddm.plugin.controllers.preferences import Preferences, PreferencesController
from napari_fddm.plugin.controllers.probability import ProbabilityController
from napari_fddm.plugin.controllers.properties import PropertiesController
from napari_fddm.plugin.controllers.rate import RateController
from napari_fddm.plugin.controllers.run import RunController
from napari_fddm.plugin.controllers.saving import SavingController
from napari_fddm.plugin.controllers.scope import ScopeController
from napari_fddm.plugin.controllers.signoff import SignOffController
from napari_fddm.plugin.controllers.slide import SlideController
from napari_fddm.plugin.controllers.tissue import TissueController
from napari_fddm.plugin.controllers.tools import ToolsController
from napari_fddm.plugin.controllers.tumor_bed import TumorBedController
from napari_fddm.plugin.document import Session
from napari_fddm.plugin.layers.common import METADATA
from napari_fddm.plugin.layers.slides import info_of_layer
from napari_fddm.plugin.plumbing.timers import single_shot
from napari_fddm.plugin.state.window_state import PluginState, RunProgress, ShownSlide

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_fddm.plugin.document import Analysis
    from napari_fddm.plugin.document.engine import Engine
    from napari_fddm.plugin.panels import Panels


class Controller(QObject):
    """Connects viewer, state, panels and engine.

    Controllers are closed in the reverse order of their making, see `Session.on_close`: one
    that is given another is made after it, and closed before it.

    Parameters
    ----------
    viewer : Viewer
        Shows slides and labels as layers.
    state : PluginState
        What the window shows.
    panels : Panels
        The widgets.
    parent : QWidget
        The dock widget; when it is closed or deleted, so is everything else.
    worker : Engine
        Runs analyses; an `EngineWorker` by default.
    """

    def __init__(
        self,
        viewer: Viewer,
        state: PluginState,
        panels: Panels,
        *,
        parent: QWidget,
        worker: Engine | None = None,
    ) -> None:
        super().__init__(parent)
        self.viewer, self.state, self.panels = viewer, state, panels
        self.session = session = Session(viewer, state)
        preferences = Preferences.read()
        self.model = ModelController(session, panels)
        self.estimate = EstimateController(session, panels.rate)
        self.rate = RateController(session, panels, self._hides, self)
        self.class_display = ClassDisplayController(session, panels.classes)
        self.scope = ScopeController(session, panels, self)
        self.class_brush = ClassBrushController(session, panels.classes)
        self.excluded = ExcludedController(session)
        self.tools = ToolsController(session, panels.tools, self)
        self.tumor_bed = TumorBedController(session, panels.rate, self)
        self.saving = SavingController(session, panels.rate, self)
        self.export = ExportController(
            session, panels.rate, self, with_name=preferences.export_slide_name
        )
        self.signoff = SignOffController(session, panels.signoff, self)
        self.foreign_images = ForeignImagesController(session, self)
        self.tissue = TissueController(session, panels, self.foreign_images, self)
        self.run = RunController(
            session,
            panels,
            self.scope.region,
            images=self.foreign_images,
            tissue_of=self.tissue.setting,
            parent=self,
            worker=worker,
        )
        self.other_settings = OtherSettingsController(session, panels, self.run, self.tissue)
        self.lost_log = LostLogController(session, panels, self.run, self)
        self.adapt = AdaptController(
            session, panels, self.run, self.model, images=self.foreign_images, parent=self
        )
        self.preferences = PreferencesController(session, panels, preferences)
        self.probability = ProbabilityController(
            session, panels.classes.probability_row, self._hides, self
        )
        self.compare = CompareController(
            session, panels.classes.compare_row, partial(curtain_over, panels.classes)
        )
        link = session.connections.add
        link(state.device_changed, panels.run.set_device)
        link(state.slide_changed, self._on_state_slide_changed)
        self.navigator = NavigatorController(session, panels, self.foreign_images, self)
        self.slide = SlideController(session, panels, self.run, self)
        self.properties = PropertiesController(session, panels, self)
        link(viewer.layers.events.removed, self._on_viewer_layers_changed)
        link(viewer.layers.events.inserted, self._on_viewer_layers_changed)
        link(viewer.layers.selection.events.active, self._on_viewer_selection_changed)
        link(self.foreign_images.changed, self._on_viewer_selection_changed)
        self._window: QWidget | None = None
        self._orphaned = single_shot(self)
        link(self._orphaned.timeout, self._on_orphaned_timeout)
        parent.installEventFilter(self)
        self._on_viewer_selection_changed()
        self.run.worker.warm_up(self.state.model_name)

    @property
    def current(self) -> Analysis | None:
        """The analysis in front."""
        return self.session.current

    def close(self) -> None:
        """Undo every connection, end the engine, write what is not saved yet."""
        self.session.close()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Close together with the dock widget or with napari's window."""
        kind = event.type() if event is not None else None
        if kind == QEvent.Type.Show and self._window is None:
            window = self.panels.run.window()
            if window is not None and window is not watched:
                self._window = window
                window.installEventFilter(self)
        if kind == QEvent.Type.DeferredDelete or (
            kind == QEvent.Type.Close and watched is self._window
        ):
            self.close()
        if kind == QEvent.Type.ParentChange and watched is self.parent():
            self._orphaned.start()  # it may be moving to another dock
        return False

    def _on_orphaned_timeout(self) -> None:
        """Close if the dock was closed: napari then only removes the widget from its parent."""
        widget = self.parent()
        if isinstance(widget, QWidget) and widget.parentWidget() is None:
            self.close()
            widget.deleteLater()

    def _hides(self) -> bool:
        return self.estimate.hides

    def _on_viewer_selection_changed(self, _event: Any = None) -> None:
        layer = self.viewer.layers.selection.active
        self.foreign_images.examine(layer)
        info = info_of_layer(layer)
        for analysis in self.session.analyses.values():
            if layer in analysis.layers:
                self.session.current = analysis
                return
        if info is None:
            known = [i for i in map(info_of_layer, self.viewer.layers) if i is not None]
            info = self.state.slide if self.state.slide in known else next(reversed(known), None)
        self.state.slide = info
        if info is None:
            self.panels.slide.set_refusal(self.foreign_images.refusal(layer))

    def _on_viewer_layers_changed(self, _event: Any = None) -> None:
        self.session.drop_hidden()
        for layer in self.viewer.layers:
            if layer.metadata.get(METADATA, {}).get("role") == "stored":
                layer.editable = False  # a copy, whose strokes would not be stored
        self._on_viewer_selection_changed()

    def _on_state_slide_changed(self, slide: ShownSlide | None) -> None:
        self.panels.slide.set_slide(slide)
        self.panels.run.set_slide(slide)
        if not self.state.busy:
            self.state.progress = RunProgress()
