"""The window's controller: makes the small controllers, follows the viewer, closes with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QWidget

from napari_fddm.plugin.controllers.adapt import Adapting
from napari_fddm.plugin.controllers.classes import Appearance, Brush
from napari_fddm.plugin.controllers.compare import Swipe, curtain_over
from napari_fddm.plugin.controllers.excluded import Excluded
from napari_fddm.plugin.controllers.export import Exporting
from napari_fddm.plugin.controllers.images import ForeignImages
from napari_fddm.plugin.controllers.model import ModelChooser
from napari_fddm.plugin.controllers.navigator import Navigating
from napari_fddm.plugin.controllers.opening import SlideOpening
from napari_fddm.plugin.controllers.preferences import PluginSettings, Preferring
from napari_fddm.plugin.controllers.probability import Probability
from napari_fddm.plugin.controllers.properties import Properties
from napari_fddm.plugin.controllers.rate import EstimateFirst, Reporting
from napari_fddm.plugin.controllers.revise import Revising
from napari_fddm.plugin.controllers.run import Running
from napari_fddm.plugin.controllers.saving import Saving
from napari_fddm.plugin.controllers.scope import ScopeChooser
from napari_fddm.plugin.controllers.signoff import Signing
from napari_fddm.plugin.controllers.tissue import Tissue
from napari_fddm.plugin.controllers.tools import Tooling
from napari_fddm.plugin.controllers.tumor_bed import TumorBed
from napari_fddm.plugin.document.session import Session
from napari_fddm.plugin.layers.common import METADATA
from napari_fddm.plugin.layers.slides import info_of_layer
from napari_fddm.plugin.state.window_state import PluginState, Progress, Scope, SlideInfo

if TYPE_CHECKING:
    from pathlib import Path

    from napari.viewer import Viewer

    from napari_fddm.plugin.document.analysis import Analysis
    from napari_fddm.plugin.document.engine import Engine
    from napari_fddm.plugin.panels.dock import Panels


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
        settings = PluginSettings.read()
        self.model = ModelChooser(session, panels)
        self.estimate = EstimateFirst(session, panels.necrosis)
        self.reporting = Reporting(session, panels, self._hides, self)
        self.appearance = Appearance(session, panels.classes)
        self.scope = ScopeChooser(session, panels, self)
        self.brush = Brush(session, panels.classes)
        self.excluded = Excluded(session)
        self.tooling = Tooling(session, panels.tools, self)
        self.bed = TumorBed(session, panels.necrosis, self)
        self.saving = Saving(session, panels.necrosis, self)
        self.exporting = Exporting(
            session, panels.necrosis, self, with_name=settings.export_slide_name
        )
        self.signing = Signing(session, panels.signing, self)
        self.images = ForeignImages(session, self)
        self.tissue = Tissue(session, panels, self.images, self)
        self.running = Running(
            session,
            panels,
            self.scope.region,
            images=self.images,
            tissue_of=self.tissue.setting,
            parent=self,
            worker=worker,
        )
        self.revising = Revising(session, panels, self.running, self.tissue)
        self.adapting = Adapting(
            session, panels, self.running, self.model, images=self.images, parent=self
        )
        self.preferring = Preferring(session, panels, settings)
        self.probability = Probability(session, panels.classes.probability_row, self._hides, self)
        self.swipe = Swipe(session, panels.classes.swipe_row, partial(curtain_over, panels.classes))
        link = session.connections.add
        link(state.device_changed, panels.run.set_device)
        link(state.slide_changed, self._on_state_slide_changed)
        self.navigating = Navigating(session, panels, self.images, self)
        self.opening = SlideOpening(session, panels, self.running, self)
        self.properties = Properties(session, panels, self)
        link(viewer.layers.events.removed, self._on_viewer_layers_changed)
        link(viewer.layers.events.inserted, self._on_viewer_layers_changed)
        link(viewer.layers.selection.events.active, self._on_viewer_selection_changed)
        link(self.images.changed, self._on_viewer_selection_changed)
        self._window: QWidget | None = None
        self._orphaned = QTimer(self)
        self._orphaned.setSingleShot(True)
        link(self._orphaned.timeout, self._on_orphaned_timeout)
        parent.installEventFilter(self)
        self._on_viewer_selection_changed()
        self.running.worker.warm_up(self.state.model_name)

    @property
    def current(self) -> Analysis | None:
        """The analysis in front."""
        return self.session.current

    @property
    def worker(self) -> Engine:
        """What asks the engine for runs."""
        return self.running.worker

    def run(self, scope: Scope) -> None:
        """Analyze the chosen slide; does nothing while a run is going on."""
        self.running.run(scope)

    def cancel(self) -> None:
        """Stop the run after the current batch; finished work is kept."""
        self.running.cancel()

    def open_store(self, path: Path) -> None:
        """Show a stored analysis, without a run."""
        self.running.open_store(path)

    def export(self, destination: Path) -> None:
        """Write a validated OME-Zarr of the current analysis, in the background."""
        self.exporting.export(destination)

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
        self.images.look_at(layer)
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
            self.panels.slide.set_refusal(self.images.refusal(layer))

    def _on_viewer_layers_changed(self, _event: Any = None) -> None:
        self.session.drop_hidden()
        for layer in self.viewer.layers:
            if layer.metadata.get(METADATA, {}).get("role") == "stored":
                layer.editable = False  # a copy, whose strokes would not be stored
        self._on_viewer_selection_changed()

    def _on_state_slide_changed(self, slide: SlideInfo | None) -> None:
        self.panels.slide.set_slide(slide)
        self.panels.run.set_slide(slide)
        if not self.state.busy:
            self.state.progress = Progress()
