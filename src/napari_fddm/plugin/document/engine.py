"""The thread of the window that supervises the engine process.

It passes the engine's answers to the main thread as Qt signals, and is joined when the
window closes.
"""

from __future__ import annotations

import importlib
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol

from qtpy.QtCore import QObject, Signal

from napari_fddm.core.errors import FddmError
from napari_fddm.core.events import AnalysisOpened
from napari_fddm.pipeline.engine import EngineClient
from napari_fddm.pipeline.engine.messages import RunEvent
from napari_fddm.plugin.document.prepared_analysis import PreparedAnalysis

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from napari_fddm.pipeline.engine.client import Answer

    Answers = Generator[Answer | None, bool | None]


JOIN_SECONDS = 5.0
ENGINE = "napari_fddm.training.engine"
"""Module that the engine process runs: it analyzes slides and learns from corrections."""
LATE_IMPORTS = ("pandas", "skimage.color.colorconv")
"""What napari imports with the first labels layer; they are imported in this thread before,
because in the main thread the window would stand still."""


class Engine(Protocol):
    """What controllers need of an `EngineWorker`; tests give a mock."""

    answered: Any
    failed: Any

    def warm_up(self, model: str) -> None:
        """Start the engine and load the model that the first run will probably use."""
        ...

    def start(self, **request: Any) -> int:
        """Start a run; return its number."""
        ...

    def adapt(self, **request: Any) -> int:
        """Start learning from corrections; return the number of that run."""
        ...

    def cancel(self) -> None:
        """Ask the run to stop."""
        ...

    def close(self) -> None:
        """End the engine."""
        ...


class EngineWorker(QObject):
    """Starts the engine process, asks it for one run at a time, passes its answers on.

    Signals
    -------
    answered : int, object
        Run number and an answer of `EngineClient.run`; instead of an `AnalysisOpened` a
        `PreparedAnalysis`, because copying and counting large maps takes long.
    failed : int, object
        Run number and the error.
    """

    answered = Signal(int, object)
    failed = Signal(int, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._client = EngineClient(ENGINE)
        self._thread: threading.Thread | None = None
        self._cancel = threading.Event()
        self._number = 0

    def warm_up(self, model: str) -> None:
        """Start the engine, so that the first run does not wait for imports and the model."""
        self._spawn(0, lambda: self._warm_up(model))

    def start(self, **request: Any) -> int:
        """Start a run; arguments as `EngineClient.run`. Returns its number."""
        return self._begin(lambda: self._client.run(**request))

    def adapt(self, **request: Any) -> int:
        """Start learning; arguments as `EngineClient.adapt`. Returns its number."""
        return self._begin(lambda: self._client.adapt(**request))

    def _begin(self, ask: Callable[[], Answers]) -> int:
        self._wait_for_warm_up()
        self._number += 1
        self._cancel.clear()
        number = self._number
        self._spawn(number, lambda: self._run(number, ask))
        return number

    def cancel(self) -> None:
        """Ask the run to stop after the current batch."""
        self._cancel.set()

    def close(self) -> None:
        """End the engine; signals are blocked first, so that none reaches a deleted window."""
        self.blockSignals(True)
        self._cancel.set()
        self._client.close()
        if self._thread is not None:
            self._thread.join(JOIN_SECONDS)

    def _wait_for_warm_up(self) -> None:
        # Only one thread may read the engine's answers. The warm-up ends as soon as it
        # sees the cancel flag; the run then waits for the engine itself.
        if self._thread is not None:
            self._cancel.set()
            self._thread.join(JOIN_SECONDS)

    def _spawn(self, number: int, work: Callable[[], None]) -> None:
        def target() -> None:
            try:
                work()
            except FddmError as error:
                self.failed.emit(number, error)

        self._thread = threading.Thread(target=target, name="fddm-engine-worker", daemon=True)
        self._thread.start()

    def _warm_up(self, model: str) -> None:
        self._client.start()
        for name in LATE_IMPORTS:
            importlib.import_module(name)
        for answer in self._client.until_ready():
            if answer is not None:
                self.answered.emit(0, answer)
            if self._cancel.is_set():
                return
        self._client.preload(model)

    def _run(self, number: int, ask: Callable[[], Answers]) -> None:
        with closing(ask()) as answers:
            cancel_sent = False
            answer = next(answers, None)
            while True:
                if answer is not None:
                    self.answered.emit(number, _prepared(answer))
                stop = self._cancel.is_set() and not cancel_sent
                cancel_sent |= stop
                try:
                    answer = answers.send(stop)
                except StopIteration:
                    return


def _prepared(answer: object) -> object:
    event = answer.event if isinstance(answer, RunEvent) else None
    return PreparedAnalysis.of(event) if isinstance(event, AnalysisOpened) else answer
