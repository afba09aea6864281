"""Spreads corrections or trains the model on them in the engine, and switches between models."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_fddm.core.errors import FddmError, StoreError
from napari_fddm.core.events import STAGE_TITLES, Progressed, StageDone, StageStarted
from napari_fddm.pipeline.engine.messages import AdaptFinished, RunCancelled, RunEvent
from napari_fddm.plugin.document.confirmations import Confirmations
from napari_fddm.plugin.panels.widgets import percent
from napari_fddm.plugin.plumbing import Background
from napari_fddm.plugin.state.window_state import RunPhase, RunProgress, Scope, progress_text

if TYPE_CHECKING:
    from napari_fddm.plugin.controllers.foreign_images import ForeignImagesController
    from napari_fddm.plugin.controllers.model import ModelController
    from napari_fddm.plugin.controllers.run import RunController
    from napari_fddm.plugin.document import Analysis, Session
    from napari_fddm.plugin.panels import Panels
    from napari_fddm.training.adapt.guidance import StrokeCounts


@dataclass(frozen=True, slots=True)
class _Question:
    """What the user is asked before training: the strokes there are, and a name to propose."""

    strokes: StrokeCounts
    name: str


class AdaptController(QObject):
    """Passes requests of the adapt panel to the engine, and results back to the panel.

    Parameters
    ----------
    session : Session
        Its current analysis has the corrections to learn from.
    panels : Panels
        The adapt panel makes the requests; run and slide panel supply settings and a typed
        pixel size.
    run : RunController
        Its worker does the training; it classifies the view again afterwards.
    model : ModelController
        Selects the adapted model, or the original one again.
    images : ForeignImagesController
        Supplies the pixels of layers that have no file of their own.
    parent : QObject
        The owner.
    """

    def __init__(
        self,
        session: Session,
        panels: Panels,
        run: RunController,
        model: ModelController,
        *,
        images: ForeignImagesController,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._session, self._state, self._panels = session, session.state, panels
        self._panel, self._run, self._model = panels.adapt, run, model
        self._images = images
        self._background = Background("adapting", self)
        self._confirmations: dict[Analysis, Confirmations] = {}
        self._number = -1
        self._stage, self._unit, self._before, self._started = "", "", 0, 0.0
        self._verdict, self._base, self._adapted, self._rate = "", "", "", ""
        session.on_close(self.close)
        link = session.connections.add
        link(session.added, self._on_session_added)
        link(session.removed, self._on_session_removed)
        link(session.current_changed, self._on_session_current_changed)
        link(session.locked, self._on_session_locked)
        link(self._state.progress_changed, self._on_state_progress_changed)
        link(self._state.model_changed, self._on_state_model_changed)
        link(self._panel.asked, self.ask)
        link(self._panel.learn_clicked, self.learn)
        link(self._panel.spread_clicked, self.spread)
        link(self._panel.dismissed, self._on_panel_dismissed)
        link(self._panel.cancelled, self._on_panel_cancelled)
        link(self._panel.use_clicked, self._on_panel_use_clicked)
        link(self._panel.back_clicked, self._on_panel_back_clicked)
        link(run.worker.answered, self._on_worker_answered)
        link(run.worker.failed, self._on_worker_failed)

    def ask(self) -> None:
        """Count the strokes there are to learn from, and show the question."""
        analysis = self._session.current
        if analysis is None or self._state.busy:
            return
        self._panel.set_verdict("")
        self._panel.set_question("counting your strokes…")
        self._settle(analysis)
        self._background.do(
            lambda: _count(analysis),
            lambda question: self._show_question(analysis, question),
            self._show_problem,
        )

    def learn(self, name: str, lora: bool = False) -> None:
        """Train the chosen model on the corrections of the current analysis."""
        analysis = self._saved_analysis("learning needs its pixels")
        if analysis is None:
            return
        self._panel.set_question(None)
        self._state.progress = RunProgress(RunPhase.STARTING, "starting to learn…")
        self._panel.set_progress(self._state.progress.text)
        self._number = 0  # requested, but not started yet
        self._background.do(
            lambda: _flushed(analysis),
            lambda _: self._begin(analysis, name, lora=lora),
            self._show_problem,
        )

    def spread(self) -> None:
        """Refine what the window shows again, with the corrected cells fixed."""
        analysis = self._saved_analysis("spreading needs its pixels")
        if analysis is None:
            return
        self._background.do(
            lambda: _flushed(analysis),
            lambda _: self._run.start(Scope.VIEWPORT, spread=True),
            self._show_problem,
        )

    def close(self) -> None:
        """Record the confirmations, and stop listening."""
        for analysis, confirmations in self._confirmations.items():
            self._record(analysis, confirmations)
            confirmations.close()
        self._confirmations.clear()
        self._background.close()

    def _begin(self, analysis: Analysis, name: str, *, lora: bool) -> None:
        slide = self._state.slide
        if slide is None or self._state.progress.phase is RunPhase.CANCELLING:
            self._end("stopped; nothing was learned")
            return
        typed = self._panels.slide.mpp if slide.mpp is None else None
        source, mpp_of_layer = self._images.source(slide)
        self._base, self._rate = self._state.model_name, self._rate_shown()
        self._number = self._run.worker.adapt(
            slide=source,
            store=str(analysis.store_path),
            name=name,
            mpp=typed if typed is not None else mpp_of_layer,
            model=self._base,
            config=self._panels.run.config,
            lora=lora,
        )

    def _rate_shown(self) -> str:
        """Return a sentence with the rate of the original model; empty while rates are hidden."""
        corrected, _ = self._state.report
        analysis = self._session.current
        hidden = analysis is None or self._state.hides_rate_of(analysis.estimate)
        if corrected is None or corrected.main.rate is None or hidden:
            return ""
        return f"With the original model the rate is {percent(corrected.main)}."

    def _saved_analysis(self, why: str) -> Analysis | None:
        """Return the current analysis, with everything drawn passed to its writer.

        None during a run, or if another slide is selected; then ``why`` completes the message.
        """
        analysis, slide = self._session.current, self._state.slide
        if analysis is None or slide is None or self._state.busy:
            return None
        if slide.fingerprint != analysis.fingerprint:
            self._panel.set_verdict(f"Choose the slide's layer first: {why}.")
            return None
        self._settle(analysis)
        return analysis

    def _settle(self, analysis: Analysis) -> None:
        """Pass everything that was drawn to the writer of the analysis."""
        self._session.settling.emit()
        if analysis in self._confirmations:
            self._record(analysis, self._confirmations[analysis])

    def _record(self, analysis: Analysis, confirmations: Confirmations) -> None:
        if analysis.locked:
            return
        for record in confirmations.take():
            analysis.writer.record(record)

    def _show_question(self, analysis: Analysis, question: _Question) -> None:
        if analysis is not self._session.current:
            return
        strokes = question.strokes
        text = f"You painted at {strokes.in_words}. {strokes.advice}".strip()
        self._panel.set_question(text, question.name, enough=strokes.enough)

    def _show_problem(self, error: FddmError) -> None:
        self._panel.set_question(None)
        self._end("")
        self._show_verdict(str(error))

    def _show_verdict(self, text: str) -> None:
        self._verdict = text
        adapted = None
        if self._adapted:
            adapted = self._state.model_name == self._adapted
        if adapted is False:
            text += " The original model is in use now."
        self._panel.set_verdict(text, adapted=adapted)

    # Engine -------------------------------------------------------------------

    def _on_worker_answered(self, number: int, answer: object) -> None:
        if number != self._number or number < 1:
            return
        if isinstance(answer, RunEvent):
            self._handle_event(answer.event)
        elif isinstance(answer, RunCancelled):
            self._end("stopped; nothing was learned")
        elif isinstance(answer, AdaptFinished):
            self._finish(answer.summary)

    def _on_worker_failed(self, number: int, error: Exception) -> None:
        if number == self._number and number > 0:  # `RunController` shows the error
            self._end("")
            self._show_verdict(str(error))

    def _handle_event(self, event: object) -> None:
        if isinstance(event, StageStarted):
            self._stage, self._unit, self._before = event.stage, event.unit, event.done
            self._started = time.monotonic()
            self._show_progress(event.done, event.total)
        elif isinstance(event, Progressed):
            self._show_progress(event.done, event.total)
        elif isinstance(event, StageDone):
            self._panel.set_verdict(" ".join(event.notes))

    def _show_progress(self, done: int, total: int) -> None:
        seconds = time.monotonic() - self._started
        title = STAGE_TITLES[self._stage]
        text = progress_text(title, done, total, self._unit, seconds, self._before)
        self._state.progress = self._state.progress.advanced_to(text, done, total)
        self._panel.set_progress(text)

    def _finish(self, summary: dict[str, Any]) -> None:
        self._end("learned" if summary["accepted"] else "the original model is kept")
        self._adapted = summary["folder"] or ""
        self._verdict = f"{summary['in_words']} {self._rate}".strip()
        if self._adapted:
            self._use(self._adapted)
        self._show_verdict(self._verdict)

    def _end(self, text: str) -> None:
        if self._number < 0:
            return
        self._number = -1
        self._images.release()
        self._panel.set_progress(None)
        self._state.progress = RunProgress(RunPhase.IDLE, text)

    # Models -------------------------------------------------------------------

    def _use(self, model: str) -> None:
        """Choose a model and classify the view again; corrections are carried over."""
        self._model.choose(model)
        self._run.start(Scope.VIEWPORT, existing="revise")

    def _on_panel_use_clicked(self) -> None:
        if self._adapted and not self._state.busy:
            self._use(self._adapted)

    def _on_panel_back_clicked(self) -> None:
        if self._base and not self._state.busy:
            self._use(self._base)

    def _on_panel_cancelled(self) -> None:
        self._run.cancel()

    def _on_panel_dismissed(self) -> None:
        self._panel.set_question(None)

    def _on_state_model_changed(self, _model: str) -> None:
        if self._verdict:
            self._show_verdict(self._verdict)

    # Session ------------------------------------------------------------------

    def _on_session_added(self, analysis: Analysis) -> None:
        self._confirmations[analysis] = Confirmations(analysis)

    def _on_session_removed(self, analysis: Analysis) -> None:
        confirmations = self._confirmations.pop(analysis, None)
        if confirmations is not None:
            self._record(analysis, confirmations)
            confirmations.close()

    def _on_session_current_changed(self, _analysis: Analysis | None) -> None:
        self._panel.set_question(None)
        self._enable()

    def _on_session_locked(self, _analysis: Analysis) -> None:
        self._enable()

    def _on_state_progress_changed(self, _progress: RunProgress) -> None:
        self._enable()

    def _enable(self) -> None:
        current = self._session.current
        self._panel.set_enabled_for(
            analysis=current is not None,
            busy=self._state.busy,
            locked=current is not None and bool(current.locked),
        )


def _flushed(analysis: Analysis) -> None:
    """Wait until every stroke is in the event log, because the engine reads it."""
    if not analysis.writer.flush():
        raise StoreError(
            "the strokes are not saved yet, and learning reads them from the disk.",
            hint=analysis.writer.state.problem or "Try again in a moment.",
        )


def _count(analysis: Analysis) -> _Question:
    from napari_fddm.training.adapt.guidance import count_strokes
    from napari_fddm.training.adapt.models import free_name

    _flushed(analysis)
    return _Question(count_strokes(analysis.store_path), free_name())
