"""Runs analyses: sends requests to the engine, shows its results and its progress."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_fddm.core.errors import (
    ConfigError,
    DownloadNeededError,
    PixelsGoneError,
    SettingsDifferError,
    StoreError,
)
from napari_fddm.core.events import (
    STAGE_TITLES,
    AnalysisOpened,
    RegionRefined,
    StageDone,
    StageStarted,
    TileBatch,
)
from napari_fddm.pipeline.engine.messages import EngineReady, RunCancelled, RunEvent, RunFinished
from napari_fddm.pipeline.store.log_lines import LogMismatchError
from napari_fddm.plugin.document import Analysis
from napari_fddm.plugin.document.engine import Engine, EngineWorker
from napari_fddm.plugin.document.prepared_analysis import PreparedAnalysis
from napari_fddm.plugin.document.store_opener import StoreOpener
from napari_fddm.plugin.layers.slides import focus_of
from napari_fddm.plugin.plumbing.notices import show_error, show_info
from napari_fddm.plugin.plumbing.plain_text import ask
from napari_fddm.plugin.state.window_state import RunPhase, RunProgress, Scope, progress_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtWidgets import QMessageBox

    from napari_fddm.core.events import Event
    from napari_fddm.core.geometry import Region
    from napari_fddm.pipeline.engine.messages import Existing
    from napari_fddm.plugin.controllers.foreign_images import ForeignImagesController
    from napari_fddm.plugin.document import Session
    from napari_fddm.plugin.panels import Panels
    from napari_fddm.plugin.state.window_state import ShownSlide

PAUSE_MS = 10
"""Pause between two layers that are added, so that drawing and clicks are handled in between.

A pause of 0 ms does not suffice for Qt.
"""


@dataclass(frozen=True, slots=True)
class _Request:
    """The request of the last run.

    Attributes
    ----------
    slide : ShownSlide
        The slide to analyze.
    store : Path
        Path of its store.
    mpp : float or None
        The pixel size that the user typed, µm per level-0 px.
    region : Region or None
        The region to analyze, level-0 px; None for the whole slide.
    spread : bool
        Whether corrections spread to similar tissue.
    """

    slide: ShownSlide
    store: Path
    mpp: float | None
    region: Region | None
    spread: bool = False


class RunController(QObject):
    """Starts and stops runs; adds their results to the session as analyses.

    Parameters
    ----------
    session : Session
        The analyses are added to it.
    panels : Panels
        The run panel requests runs; the slide panel supplies a typed pixel size.
    region_of : callable
        Returns the region of a slide for a `Scope`; raises ConfigError.
    images : ForeignImagesController
        Supplies the pixels of layers that have no file of their own.
    tissue_of : callable
        Returns the setting `AnalysisConfig.tissue` for a slide; raises StoreError.
    parent : QObject
        The owner.
    worker : Engine
        Runs analyses; an `EngineWorker` by default.

    Signals
    -------
    refused : SettingsDifferError
        The stored analysis has other settings than those shown.
    log_refused : LogMismatchError
        The event log of an analysis is lost or damaged; also emitted by who finds it first.
    ready
        The result of a run, or a stored analysis, is shown.
    """

    refused = Signal(object)
    log_refused = Signal(object)
    ready = Signal()

    def __init__(
        self,
        session: Session,
        panels: Panels,
        region_of: Callable[[ShownSlide, Scope], Region | None],
        *,
        images: ForeignImagesController,
        tissue_of: Callable[[ShownSlide], str],
        parent: QObject,
        worker: Engine | None = None,
    ) -> None:
        super().__init__(parent)
        self._images = images
        self._session, self._state, self._panels = session, session.state, panels
        self._region_of, self._tissue_of = region_of, tissue_of
        self.worker: Engine = worker if worker is not None else EngineWorker(self)
        self._opener = StoreOpener(self)
        self._number = -1
        self._existing: Existing = "resume"
        self.question: QMessageBox | None = None
        self._request: _Request | None = None
        self._reopen: Path | None = None
        self._target: Analysis | None = None
        self._started = self._stage_started = 0.0
        self._before = 0
        self._stage = ""
        session.on_close(self.close)
        link = session.connections.add
        link(panels.run.run_clicked, self._on_run_panel_run_clicked)
        link(panels.run.cancel_clicked, self.cancel)
        link(self._state.progress_changed, panels.run.set_progress)
        link(self.worker.answered, self._on_worker_answered)
        link(self.worker.failed, self._on_worker_failed)
        link(self._opener.opened, self._on_opener_opened)
        link(self._opener.failed, self._on_opener_failed)
        link(session.removed, self._on_session_removed)
        link(images.lost, self._on_images_lost)

    def start(self, scope: Scope, existing: Existing = "resume", *, spread: bool = False) -> None:
        """Analyze the current slide; does nothing during a run.

        Parameters
        ----------
        scope : Scope
            The part of the slide.
        existing : {"resume", "revise", "fresh"}
            What to do with a stored analysis, see `run_again`.
        spread : bool
            Whether corrections spread to similar tissue; they must be on the disk already.
        """
        slide = self._state.slide
        if slide is None or self._state.busy:
            return
        analysis = self._session.analysis_of(slide)
        if analysis is not None and analysis.sign_off is not None:
            show_error(f"{slide.name} is {analysis.sign_off.title}. Unlock it to run it again.")
            return
        typed = self._panels.slide.mpp if slide.mpp is None else None
        if slide.mpp is None and typed is None:
            show_error(f"{slide.name} does not say how large its pixels are. Type µm per pixel.")
            return
        try:
            region = self._region_of(slide, scope)
        except ConfigError as error:
            show_error(str(error))
            return
        store = self._session.store_path(slide)
        self._request = _Request(slide, store, typed, region, spread)
        self.run_again(existing)

    def run_again(self, existing: Existing, *, allow_download: bool = False) -> None:
        """Repeat the last request with the model and settings that are shown now.

        Parameters
        ----------
        existing : {"resume", "revise", "fresh"}
            What to do with the stored analysis: continue it, replace it and carry the
            corrections over, or replace it. Before it is replaced, its layers are removed, so
            that unsaved strokes are written and the engine has the store for itself.
        allow_download : bool
            Whether what the model needs may be fetched from the hub.
        """
        if self._request is None or self._state.busy:
            return
        store = self._request.store
        if existing != "resume" and store in self._session.analyses:
            self._session.settling.emit()  # so that an outline just drawn is carried over
            self._session.analyses[store].remove_layers()
            self._reopen = store
        self._send(existing, allow_download=allow_download)

    def _send(self, existing: Existing, *, allow_download: bool) -> None:
        request, self._target, self._existing = self._request, None, existing
        if request is None:
            return
        try:
            tissue = self._tissue_of(request.slide)
        except StoreError as error:  # better no run than one with another mask than shown
            show_error(str(error))
            return
        self._started = time.monotonic()
        self._state.progress = RunProgress(RunPhase.STARTING, "starting the engine…")
        self._stage = self._panels.run.config["stage"]
        source, mpp_of_layer = self._images.source(request.slide)
        self._number = self.worker.start(
            slide=source,
            store=str(request.store),
            mpp=request.mpp if request.mpp is not None else mpp_of_layer,
            model=self._state.model_name,
            config={**self._panels.run.config, "tissue": tissue},
            region=request.region,
            focus=focus_of(self._session.viewer, request.slide),
            existing=existing,
            spread=request.spread and existing == "resume",
            allow_download=allow_download,
        )

    def cancel(self) -> None:
        """Stop the run after the current batch; finished work is kept."""
        if self._state.busy:
            self._state.progress = RunProgress(RunPhase.CANCELLING, "stopping…")
            self.worker.cancel()

    def open_store(self, path: Path) -> None:
        """Show a stored analysis without a run."""
        self._opener.open(path)

    def close(self) -> None:
        """Stop the engine."""
        self.worker.close()

    # Engine -------------------------------------------------------------------

    def _on_worker_answered(self, number: int, answer: object) -> None:
        if isinstance(answer, EngineReady):
            self._panels.run.set_devices(answer.devices)
            self._state.device = answer.device
            return
        if number != self._number:
            return  # too late: that run is over
        if isinstance(answer, PreparedAnalysis):
            self._target = self._open(answer)
        elif isinstance(answer, RunEvent):
            self._handle_event(answer.event)
        elif isinstance(answer, RunFinished):
            self._finish(answer.summary)
        elif isinstance(answer, RunCancelled):
            if self._target is not None:
                self._target.stopped = True
            self._use_tiles_as_labels()
            self._end("stopped; finished work is kept. Run FDDM continues it.")
            self._show_earlier()

    def _on_worker_failed(self, number: int, error: Exception) -> None:
        if number == self._number:
            self._end("")
            self._show_earlier()
            if isinstance(error, PixelsGoneError):
                return  # the user was told when the layer was deleted
            if isinstance(error, SettingsDifferError):
                self.refused.emit(error)
                return
            if isinstance(error, DownloadNeededError):
                self._ask_to_download(error)
                return
        self._show_error(error)

    def _ask_to_download(self, error: DownloadNeededError) -> None:
        self.question = ask(
            self._panels.run,
            "Download",
            f"{error.message[0].upper()}{error.message[1:]} Fetch it, with your own access?",
            yes="Download",
            no="Cancel",
            agreed=lambda: self.run_again(self._existing, allow_download=True),
        )

    def _show_earlier(self) -> None:
        """Show the analysis that was to be replaced again, if the run did not get that far."""
        if self._reopen is not None:
            self.open_store(self._reopen)
            self._reopen = None

    def _on_opener_opened(self, prepared: PreparedAnalysis) -> None:
        self._open(prepared).show_finished()
        self.ready.emit()
        self._session.report_wanted.emit()

    def _on_opener_failed(self, error: Exception) -> None:
        self._show_error(error)

    def _show_error(self, error: Exception) -> None:
        if isinstance(error, LogMismatchError):
            self.log_refused.emit(error)
        else:
            show_error(str(error))

    def _on_session_removed(self, analysis: Analysis) -> None:
        if analysis is self._target:
            self._target = None
            self.cancel()

    def _on_images_lost(self, reason: str) -> None:
        # Batches that were read ahead would still be analyzed; so cancel the run as well.
        show_error(reason)
        self.cancel()

    def _handle_event(self, event: Event) -> None:
        target = self._target  # another analysis may be current by now
        if isinstance(event, AnalysisOpened):
            self._target = self._open(PreparedAnalysis.of(event))
        elif isinstance(event, StageStarted):
            self._stage_started = time.monotonic()
            self._before = event.done
            self._show_progress(event.stage, event.done, event.total, event.unit)
        elif isinstance(event, TileBatch):
            self._show_progress("patch", event.done, event.total, "tiles")
            seconds = time.monotonic() - self._stage_started
            self._state.tiles_per_second = (event.done - self._before) / max(seconds, 1e-6)
            if target is not None:
                target.put_tiles(event)
        elif isinstance(event, RegionRefined):
            self._show_progress("refined", event.done, event.total, "regions")
            if target is not None:
                target.put_region(event)
        elif isinstance(event, StageDone):
            for note in event.notes:
                show_info(note)
            if event.stage == "patch" and self._stage == "patch":
                self._use_tiles_as_labels()

    def _use_tiles_as_labels(self) -> None:
        if self._target is not None:
            self._target.put_tiles_as_labels()
            self._session.report_wanted.emit()

    def _open(self, prepared: PreparedAnalysis) -> Analysis:
        event = prepared.opened
        path = Path(event.store)
        self._reopen = None
        if event.device:
            self._state.device = event.device
        analysis = self._session.analyses.get(path)
        if analysis is not None:
            analysis.model = event.model
            analysis.spread = event.spread
            analysis.coverage = event.coverage
            analysis.tissue_excluded_mm2 = event.tissue_excluded_mm2
            self._session.current = analysis
        else:
            name = event.slide.get("name", path.name)
            analysis = Analysis(self._session.viewer, prepared, name)
            self._session.add(path, analysis)
            QTimer.singleShot(PAUSE_MS, self._add_layers)
        return analysis

    def _add_layers(self) -> None:
        """Add one missing layer, and the next ones after a pause, so that clicks are handled."""
        if any(analysis.add_next() for analysis in self._session.analyses.values()):
            QTimer.singleShot(PAUSE_MS, self._add_layers)

    def _show_progress(self, stage: str, done: int, total: int, unit: str) -> None:
        seconds = time.monotonic() - self._stage_started
        text = progress_text(
            STAGE_TITLES.get(stage, stage), done, total, unit, seconds, self._before
        )
        self._state.progress = self._state.progress.advanced_to(text, done, total)

    def _finish(self, summary: dict[str, Any]) -> None:
        for note in summary.get("notes", []):
            show_info(note)
        target = self._target
        if target is not None:
            target.coverage = summary["report"].get("coverage")
            target.tissue_excluded_mm2 = summary["report"].get("tissue_excluded_mm2")
            target.spread = bool(summary["report"].get("spread"))
            target.stopped = False
            target.writer.sync()
            in_front = target is self._session.current
            target.show_finished(in_front=in_front)
            if in_front:
                self.ready.emit()
        self._end(f"done in {time.monotonic() - self._started:.0f} s")

    def _end(self, text: str) -> None:
        self._number = -1
        self._images.release()
        self._state.progress = RunProgress(RunPhase.IDLE, text)
        if self._target is not None:
            self._target.refresh()
        self._session.report_wanted.emit()

    def _on_run_panel_run_clicked(self, scope: str) -> None:
        self.start(Scope(scope))
