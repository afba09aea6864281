"""Learns from corrections in the engine, shows the verdict, and takes models up and back."""

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
from napari_fddm.plugin.plumbing.background import Background
from napari_fddm.plugin.state.window_state import RunPhase, RunProgress, Scope, progress_text

if TYPE_CHECKING:
    from napari_fddm.plugin.controllers.foreign_images import ForeignImagesController
    from napari_fddm.plugin.controllers.model import ModelController
    from napari_fddm.plugin.controllers.run import RunController
    from napari_fddm.plugin.document.analysis import Analysis
    from napari_fddm.plugin.document.session import Session
    from napari_fddm.plugin.panels.dock import Panels
    from napari_fddm.training.adapt.guidance import StrokeCounts


@dataclass(frozen=True, slots=True)
class _Asked:
    """What there is to learn from, when the user asked."""

    strokes: StrokeCounts
    name: str


class AdaptController(QObject):
    """Carries the wish to learn to the engine, and its answer back.

    Parameters
    ----------
    session : Session
        Its analysis in front is learned from.
    panels : Panels
        The adapt panel asks; run and slide panel know settings and a typed pixel size.
    run : RunController
        Its worker does the work; it classifies the view again afterwards.
    model : ModelController
        Takes up the adapted model, and its base again.
    images : ForeignImagesController
        Gives the pixels of layers that have no file of their own.
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
        """Find out what there is to learn from, and show it."""
        analysis = self._session.current
        if analysis is None or self._state.busy:
            return
        self._panel.set_verdict("")
        self._panel.set_question("looking at your strokes…")
        self._settle(analysis)
        self._background.do(
            lambda: _count(analysis),
            lambda asked: self._show_question(analysis, asked),
            self._show_problem,
        )

    def learn(self, name: str, lora: bool = False) -> None:
        """Let the chosen model learn from the analysis in front."""
        analysis = self._settled("its pixels are learned from")
        if analysis is None:
            return
        self._panel.set_question(None)
        self._state.progress = RunProgress(RunPhase.STARTING, "starting to learn…")
        self._panel.set_progress(self._state.progress.text)
        self._number = 0  # asked, not yet begun
        self._background.do(
            lambda: _flushed(analysis),
            lambda _: self._begin(analysis, name, lora=lora),
            self._show_problem,
        )

    def spread(self) -> None:
        """Run over what the window shows once more, with what was painted held fast."""
        analysis = self._settled("its strokes are spread")
        if analysis is None:
            return
        self._background.do(
            lambda: _flushed(analysis),
            lambda _: self._run.start(Scope.VIEWPORT, spread=True),
            self._show_problem,
        )

    def close(self) -> None:
        """Keep what was confirmed, stop listening."""
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
        source, known = self._images.source(slide)
        self._base, self._rate = self._state.model_name, self._rate_shown()
        self._number = self._run.worker.adapt(
            slide=source,
            store=str(analysis.store_path),
            name=name,
            mpp=typed if typed is not None else known,
            model=self._base,
            config=self._panels.run.config,
            lora=lora,
        )

    def _rate_shown(self) -> str:
        """Say which rate the earlier model gave, if the reader may know."""
        corrected, _ = self._state.report
        analysis = self._session.current
        hidden = analysis is None or self._state.hides_rate_of(analysis.estimate)
        if corrected is None or corrected.main.rate is None or hidden:
            return ""
        return f"With the model as it was the rate is {percent(corrected.main.rate)}."

    def _settled(self, why: str) -> Analysis | None:
        """Return the analysis in front, settled, if it is free and of the chosen slide."""
        analysis, slide = self._session.current, self._state.slide
        if analysis is None or slide is None or self._state.busy:
            return None
        if slide.fingerprint != analysis.fingerprint:
            self._panel.set_verdict(f"Choose the slide's layer first: {why}.")
            return None
        self._settle(analysis)
        return analysis

    def _settle(self, analysis: Analysis) -> None:
        """Hand everything that was drawn to the writer."""
        self._session.settling.emit()
        if analysis in self._confirmations:
            self._record(analysis, self._confirmations[analysis])

    def _record(self, analysis: Analysis, confirmations: Confirmations) -> None:
        if analysis.locked:
            return
        for record in confirmations.take():
            analysis.writer.record(record)

    def _show_question(self, analysis: Analysis, asked: _Asked) -> None:
        if analysis is not self._session.current:
            return
        strokes = asked.strokes
        text = f"You painted at {strokes.in_words}. {strokes.advice}".strip()
        self._panel.set_question(text, asked.name, enough=strokes.enough)

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
            text += " Now the model as it was is in use."
        self._panel.set_verdict(text, adapted=adapted)

    # Engine -------------------------------------------------------------------

    def _on_worker_answered(self, number: int, answer: object) -> None:
        if number != self._number or number < 1:
            return
        if isinstance(answer, RunEvent):
            self._take_event(answer.event)
        elif isinstance(answer, RunCancelled):
            self._end("stopped; nothing was learned")
        elif isinstance(answer, AdaptFinished):
            self._finish(answer.summary)

    def _on_worker_failed(self, number: int, error: Exception) -> None:
        if number == self._number and number > 0:  # `RunController` tells the user
            self._end("")
            self._show_verdict(str(error))

    def _take_event(self, event: object) -> None:
        if isinstance(event, StageStarted):
            self._stage, self._unit, self._before = event.stage, event.unit, event.done
            self._started = time.monotonic()
            self._tell(event.done, event.total)
        elif isinstance(event, Progressed):
            self._tell(event.done, event.total)
        elif isinstance(event, StageDone):
            self._panel.set_verdict(" ".join(event.notes))

    def _tell(self, done: int, total: int) -> None:
        phase = self._state.progress.phase
        if phase is not RunPhase.CANCELLING:
            phase = RunPhase.RUNNING
        seconds = time.monotonic() - self._started
        title = STAGE_TITLES[self._stage]
        text = progress_text(title, done, total, self._unit, seconds, self._before)
        self._state.progress = RunProgress(phase, text, done, total)
        self._panel.set_progress(text)

    def _finish(self, summary: dict[str, Any]) -> None:
        self._end("learned" if summary["accepted"] else "nothing was taken over")
        self._adapted = summary["folder"] or ""
        self._verdict = f"{summary['in_words']} {self._rate}".strip()
        if self._adapted:
            self._take_up(self._adapted)
        self._show_verdict(self._verdict)

    def _end(self, text: str) -> None:
        if self._number < 0:
            return
        self._number = -1
        self._images.release()
        self._panel.set_progress(None)
        self._state.progress = RunProgress(RunPhase.IDLE, text)

    # Models -------------------------------------------------------------------

    def _take_up(self, model: str) -> None:
        """Choose a model and classify the view again; corrections are carried over."""
        self._model.choose(model)
        self._run.start(Scope.VIEWPORT, existing="revise")

    def _on_panel_use_clicked(self) -> None:
        if self._adapted and not self._state.busy:
            self._take_up(self._adapted)

    def _on_panel_back_clicked(self) -> None:
        if self._base and not self._state.busy:
            self._take_up(self._base)

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
        self._show_possible()

    def _on_session_locked(self, _analysis: Analysis) -> None:
        self._show_possible()

    def _on_state_progress_changed(self, _progress: RunProgress) -> None:
        self._show_possible()

    def _show_possible(self) -> None:
        current = self._session.current
        self._panel.set_possible(
            analysis=current is not None,
            busy=self._state.busy,
            locked=current is not None and bool(current.locked),
        )


def _flushed(analysis: Analysis) -> None:
    """Wait until every stroke is in the event log, which the engine reads."""
    if not analysis.writer.flush():
        raise StoreError(
            "the strokes are not on the disk yet, where they would be read.",
            hint=analysis.writer.state.problem or "Try again in a moment.",
        )


def _count(analysis: Analysis) -> _Asked:
    from napari_fddm.training.adapt.guidance import count_strokes
    from napari_fddm.training.adapt.models import free_name

    _flushed(analysis)
    return _Asked(count_strokes(analysis.store_path), free_name())
