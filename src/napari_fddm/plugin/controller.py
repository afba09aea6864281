"""Turns intent into work and answers into views. The only place where they meet."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QEvent, QObject, QTimer

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.events import (
    STAGE_TITLES,
    AnalysisOpened,
    RegionRefined,
    StageDone,
    StageStarted,
    TileBatch,
)
from napari_fddm.core.necrosis import DEFINITIONS
from napari_fddm.pipeline.engine_messages import (
    EngineReady,
    RunCancelled,
    RunEvent,
    RunFinished,
)
from napari_fddm.pipeline.layout import default_store_path
from napari_fddm.plugin.analysis import Analysis
from napari_fddm.plugin.appearance import Appearance
from napari_fddm.plugin.bed import TumorBed
from napari_fddm.plugin.brush import Brush
from napari_fddm.plugin.connections import Connections
from napari_fddm.plugin.definitions import own_definitions
from napari_fddm.plugin.estimate import EstimateFirst
from napari_fddm.plugin.layers import METADATA
from napari_fddm.plugin.saving import Saving
from napari_fddm.plugin.scope import ScopeChooser
from napari_fddm.plugin.slides import info_of_layer
from napari_fddm.plugin.state import (
    PluginState,
    Progress,
    RunPhase,
    Scope,
    SlideInfo,
    progress_text,
)
from napari_fddm.plugin.workers import EngineWorker, Runs, StoreOpener

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer
    from qtpy.QtWidgets import QWidget

    from napari_fddm.core.events import Event
    from napari_fddm.plugin.class_panel import ClassPanel
    from napari_fddm.plugin.necrosis_panel import NecrosisPanel
    from napari_fddm.plugin.run_panel import RunPanel

REFRESH_MS = 200
"""Layers and labels are redrawn at most five times a second."""
EARLIER = "This slide has an analysis: Run FDDM shows it and goes on with it."
SYNTHETIC_BADGE = (
    "The model behind this rate never saw real tissue: on a real slide its classes mean nothing."
)


class Controller(QObject):
    """Connects viewer, state, views and workers.

    Parameters
    ----------
    viewer : Viewer
        Where slides and labels are layers.
    state : PluginState
        The truth.
    run_panel, class_panel, necrosis_panel : QWidget
        The views.
    parent : QWidget
        The dock widget; when it goes, everything is closed.
    worker : Runs
        Runs analyses; an `EngineWorker` by default.
    """

    def __init__(
        self,
        viewer: Viewer,
        state: PluginState,
        run_panel: RunPanel,
        class_panel: ClassPanel,
        necrosis_panel: NecrosisPanel,
        *,
        parent: QWidget,
        worker: Runs | None = None,
    ) -> None:
        super().__init__(parent)
        self.viewer, self.state = viewer, state
        self.run_panel, self.class_panel = run_panel, class_panel
        self.necrosis_panel = necrosis_panel
        self.worker: Runs = worker if worker is not None else EngineWorker(self)
        self._opener = StoreOpener(self)
        self.analyses: dict[Path, Analysis] = {}
        self.current: Analysis | None = None
        self._run_number = -1
        self._run_started = self._stage_started = 0.0
        self._closed = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REFRESH_MS)
        self._connections = Connections()
        self._connect()
        self._appearance = Appearance(state, class_panel, self._connections, self._label_layers)
        self._scope = ScopeChooser(viewer, state, run_panel, self._connections, self)
        shown: dict[str, Any] = {"analyses": self.analyses.values, "current": self._in_front}
        self._brush = Brush(viewer, state, class_panel, self._connections, **shown)
        self._bed = TumorBed(viewer, state, necrosis_panel, self._connections, parent=self, **shown)
        self._estimate = EstimateFirst(
            state,
            necrosis_panel,
            self._connections,
            current=self._in_front,
            update=self._update_report,
        )
        self._saving = Saving(necrosis_panel, self._connections, current=self._in_front)
        state.definitions = own_definitions()
        necrosis_panel.set_definitions((*DEFINITIONS.values(), *state.definitions))
        self._window: QWidget | None = None
        parent.installEventFilter(self)
        self._on_viewer_selection_changed()
        self.worker.warm_up()

    def _connect(self) -> None:
        link = self._connections.add
        link(self.run_panel.run_clicked, self._on_run_panel_run_clicked)
        link(self.run_panel.cancel_clicked, self._on_run_panel_cancel_clicked)
        link(self.necrosis_panel.definition_chosen, self._on_definition_chosen)
        link(self.worker.answered, self._on_worker_answered)
        link(self.worker.failed, self._on_worker_failed)
        link(self._opener.opened, self._on_opener_opened)
        link(self._opener.failed, self._on_opener_failed)
        link(self._timer.timeout, self._on_timer_timeout)
        link(self.state.slide_changed, self._on_state_slide_changed)
        link(self.state.progress_changed, self.run_panel.set_progress)
        link(self.state.report_changed, self._on_state_report_changed)
        layers = self.viewer.layers
        link(layers.events.removed, self._on_viewer_layers_changed)
        link(layers.events.inserted, self._on_viewer_layers_changed)
        link(layers.selection.events.active, self._on_viewer_selection_changed)

    # Intent -------------------------------------------------------------------

    def run(self, scope: Scope) -> None:
        """Analyze the chosen slide; does nothing while a run is going on."""
        slide = self.state.slide
        if slide is None or self.state.busy:
            return
        mpp = self.run_panel.mpp if slide.mpp is None else None
        if slide.mpp is None and mpp is None:
            show_error(f"{slide.name} does not say how large its pixels are. Type µm per pixel.")
            return
        try:
            region = self._scope.region(slide, scope)
        except ConfigError as error:
            show_error(str(error))
            return
        self._run_started = time.monotonic()
        self.state.progress = Progress(RunPhase.STARTING, "starting the engine…")
        self._run_number = self.worker.start(
            slide=slide.uri,
            store=str(self._store_path(slide)),
            mpp=mpp,
            model=self.state.model_name,
            config=dict(self.run_panel.config),
            region=region,
        )

    def open_store(self, path: Path) -> None:
        """Show an analysis that exists, without a run."""
        self._opener.open(path)

    def cancel(self) -> None:
        """Stop the run after the batch it is in; finished work is kept."""
        if self.state.busy:
            self.state.progress = Progress(RunPhase.CANCELLING, "stopping…")
            self.worker.cancel()

    def export(self, destination: Path) -> None:
        """Write a validated OME-Zarr of the current analysis, in the background."""
        self._saving.export(destination)

    def close(self) -> None:
        """Undo every connection, stop the engine, write what waits."""
        if self._closed:
            return
        self._closed = True
        self._timer.stop()
        self._bed.settle()
        self._connections.close()
        self.worker.close()
        for analysis in self.analyses.values():
            analysis.close()
        self.analyses.clear()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Close together with the dock widget or the whole window."""
        kind = event.type() if event is not None else None
        if kind == QEvent.Type.Show and self._window is None:
            window = self.run_panel.window()
            if window is not None and window is not watched:
                self._window = window
                window.installEventFilter(self)
        if kind == QEvent.Type.DeferredDelete or (
            kind == QEvent.Type.Close and watched is self._window
        ):
            self.close()
        return False

    # Viewer -------------------------------------------------------------------

    def _store_path(self, slide: SlideInfo) -> Path:
        """Return the store of a slide: the one that is shown, or the one it should have."""
        for analysis in self.analyses.values():
            if analysis.fingerprint == slide.fingerprint:
                return analysis.store_path
        return default_store_path(Path(slide.path) if slide.path else None, slide.fingerprint)

    def _on_viewer_selection_changed(self, _event: Any = None) -> None:
        layer = self.viewer.layers.selection.active
        info = info_of_layer(layer)
        for analysis in self.analyses.values():
            if layer in analysis.layers:
                self._show(analysis)
                return
        if info is None:
            known = [i for i in map(info_of_layer, self.viewer.layers) if i is not None]
            info = self.state.slide if self.state.slide in known else next(reversed(known), None)
        self.state.slide = info

    def _on_viewer_layers_changed(self, _event: Any = None) -> None:
        for path, analysis in list(self.analyses.items()):
            if not analysis.is_shown:
                del self.analyses[path]
                if self.current is analysis:
                    self.current = None
                    self.state.report = (None, None)
                    self.cancel()
                analysis.close()
        for layer in self.viewer.layers:
            if layer.metadata.get(METADATA, {}).get("role") == "stored":
                layer.editable = False  # a copy: its strokes would go nowhere
        self._on_viewer_selection_changed()

    def _in_front(self) -> Analysis | None:
        return self.current

    def _label_layers(self) -> list[Labels]:
        return [layer for analysis in self.analyses.values() for layer in analysis.layers]

    def _show(self, analysis: Analysis) -> None:
        self.current = analysis
        self._brush.show()
        self._schedule()

    # Engine -------------------------------------------------------------------

    def _on_worker_answered(self, number: int, answer: object) -> None:
        if isinstance(answer, EngineReady):
            self.state.device = answer.device
            return
        if number != self._run_number:
            return  # late, of a run that is over
        if isinstance(answer, RunEvent):
            self._take_event(answer.event)
        elif isinstance(answer, RunFinished):
            self._finish(answer.summary)
        elif isinstance(answer, RunCancelled):
            self._end("stopped; what was finished is kept")

    def _on_opener_opened(self, event: AnalysisOpened) -> None:
        self._open(event)
        self.analyses[Path(event.store)].show_finished()
        self._update_report()

    def _on_opener_failed(self, error: Exception) -> None:
        show_error(str(error))

    def _on_worker_failed(self, number: int, error: Exception) -> None:
        if number == self._run_number:
            self._end("")
        show_error(str(error))

    def _take_event(self, event: Event) -> None:
        if isinstance(event, AnalysisOpened):
            self._open(event)
        elif isinstance(event, StageStarted):
            self._stage_started = time.monotonic()
            self._tell(event.stage, 0, event.total, event.unit)
        elif isinstance(event, TileBatch):
            self._tell("patch", event.done, event.total, "tiles")
            seconds = time.monotonic() - self._stage_started
            self.state.tiles_per_second = event.done / max(seconds, 1e-6)
            if self.current is not None:
                self.current.put_tiles(event)
        elif isinstance(event, RegionRefined):
            self._tell("refined", event.done, event.total, "regions")
            if self.current is not None:
                self.current.put_region(event)
        elif isinstance(event, StageDone):
            for note in event.notes:
                show_info(note)
        self._schedule()

    def _open(self, event: AnalysisOpened) -> None:
        path = Path(event.store)
        self.state.model = event.model
        self.necrosis_panel.set_badge("" if event.model.get("real_tissue") else SYNTHETIC_BADGE)
        if path not in self.analyses:
            analysis = Analysis(self.viewer, event, event.slide.get("name", path.name))
            analysis.sync.edited.connect(self._on_analysis_edited)
            self._appearance.dress(analysis.layers)
            self._brush.attach(analysis)
            self._saving.attach(analysis)
            self.analyses[path] = analysis
            self._bed.attach(analysis)
        self.current = self.analyses[path]
        self.state.coverage = event.coverage

    def _tell(self, stage: str, done: int, total: int, unit: str) -> None:
        seconds = time.monotonic() - self._stage_started
        text = progress_text(STAGE_TITLES.get(stage, stage), done, total, unit, seconds)
        phase = self.state.progress.phase
        if phase is not RunPhase.CANCELLING:
            phase = RunPhase.RUNNING
        self.state.progress = Progress(phase, text, done, total)

    def _finish(self, summary: dict[str, Any]) -> None:
        self.state.coverage = summary["report"].get("coverage")
        for note in summary.get("notes", []):
            show_info(note)
        if self.current is not None:
            self.current.keeper.sync()
            self.current.show_finished()
        self._end(f"done in {time.monotonic() - self._run_started:.0f} s")

    def _end(self, text: str) -> None:
        self._run_number = -1
        self.state.progress = Progress(RunPhase.IDLE, text)
        self._on_timer_timeout()

    # Redrawing ----------------------------------------------------------------

    def _schedule(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _on_timer_timeout(self) -> None:
        if self.current is not None:
            self.current.refresh()
            self._update_report()

    def _update_report(self) -> None:
        if self.current is not None:
            self.state.report = self.current.reports(
                self.state.definition, self.state.coverage, self.state.definitions
            )

    def _on_analysis_edited(self, _edit: Any) -> None:
        self._update_report()

    def _on_state_slide_changed(self, slide: SlideInfo | None) -> None:
        self.run_panel.set_slide(slide)
        if not self.state.busy:
            found = slide is not None and self._store_path(slide).exists()
            self.state.progress = Progress(text=EARLIER if found else "")

    def _on_state_report_changed(self, reports: Any) -> None:
        corrected, automatic = (None, None) if self._estimate.hides else reports
        self.necrosis_panel.set_reports(corrected, automatic)
        if self.current is not None and corrected is not None:
            self.current.rate_seen |= corrected.main.rate is not None
        excluded = self.current.excluded_mm2 if self.current is not None else 0.0
        self.class_panel.set_areas(corrected.areas if corrected else None, excluded)
        unrefined = self.current is not None and bool(self.current.patch.any())
        if corrected and not corrected.areas.analyzed_mm2 and unrefined:
            self.necrosis_panel.set_unrefined()

    # Store and views ----------------------------------------------------------

    def _on_run_panel_run_clicked(self, scope: str) -> None:
        self.run(Scope(scope))

    def _on_run_panel_cancel_clicked(self) -> None:
        self.cancel()

    def _on_definition_chosen(self, name: str) -> None:
        self.state.definition = name
        self._update_report()
