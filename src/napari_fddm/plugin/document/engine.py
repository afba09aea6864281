"""The threads beside the window that supervise the engine and open stores.

They hand their answers to the main thread through Qt signals; the engine's is joined
when the widget closes.
"""

from __future__ import annotations

import importlib
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol

from qtpy.QtCore import QObject, Signal

from napari_fddm.core.errors import FddmError
from napari_fddm.core.events import AnalysisOpened
from napari_fddm.pipeline.engine.client import EngineClient
from napari_fddm.pipeline.engine.messages import RunEvent
from napari_fddm.plugin.document.prepared_analysis import PreparedAnalysis

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from napari_fddm.pipeline.engine.client import Answer

    Answers = Generator[Answer | None, bool | None]


JOIN_SECONDS = 5.0
ENGINE = "napari_fddm.training.engine"
"""What the engine process runs: analyses, and learning from corrections."""
LATE_IMPORTS = ("pandas", "skimage.color.colorconv")
"""What napari imports with the first labels layer; there it would stop the window."""


class Runs(Protocol):
    """What a controller needs of an engine worker; tests give a mock."""

    answered: Any
    failed: Any

    def warm_up(self, model: str) -> None:
        """Make ready for the first run, which probably uses this model."""
        ...

    def start(self, **request: Any) -> int:
        """Start a run and return its number."""
        ...

    def adapt(self, **request: Any) -> int:
        """Let a model learn from corrections and return the number of that."""
        ...

    def cancel(self) -> None:
        """Stop the run soon."""
        ...

    def close(self) -> None:
        """Stop everything."""
        ...


class EngineWorker(QObject):
    """Runs one analysis at a time in the engine process.

    Signals
    -------
    answered : int, object
        Run number and an answer of `EngineClient.run`; an `AnalysisOpened` comes as a
        `PreparedAnalysis`, because copying and counting large maps would stop the window.
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

    @property
    def busy(self) -> bool:
        """Whether the thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    def warm_up(self, model: str) -> None:
        """Start the engine so that the first run need wait for no imports and no model."""
        self._spawn(0, lambda: self._warm_up(model))

    def start(self, **request: Any) -> int:
        """Start a run; arguments as `EngineClient.run`. Returns its number."""
        return self._begin(lambda: self._client.run(**request))

    def adapt(self, **request: Any) -> int:
        """Let a model learn; arguments as `EngineClient.adapt`. Returns its number."""
        return self._begin(lambda: self._client.adapt(**request))

    def _begin(self, ask: Callable[[], Answers]) -> int:
        self._wait_for_warm_up()
        self._number += 1
        self._cancel.clear()
        number = self._number
        self._spawn(number, lambda: self._run(number, ask))
        return number

    def cancel(self) -> None:
        """Ask the run to stop after the batch it is in."""
        self._cancel.set()

    def close(self) -> None:
        """Stop everything: signals first, so that nothing arrives in a dead window."""
        self.blockSignals(True)
        self._cancel.set()
        self._client.close()
        if self._thread is not None:
            self._thread.join(JOIN_SECONDS)

    def _wait_for_warm_up(self) -> None:
        # The engine's answers are read by one thread; the warm-up ends at once when
        # it sees the cancel flag, and the run goes on waiting for the engine itself.
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
            asked = False
            answer = next(answers, None)
            while True:
                if answer is not None:
                    self.answered.emit(number, _prepared(answer))
                stop = self._cancel.is_set() and not asked
                asked |= stop
                try:
                    answer = answers.send(stop)
                except StopIteration:
                    return


def _prepared(answer: object) -> object:
    event = answer.event if isinstance(answer, RunEvent) else None
    return PreparedAnalysis.of(event) if isinstance(event, AnalysisOpened) else answer


class StoreOpener(QObject):
    """Reads a store in a thread, so that the window need not wait for it.

    Signals
    -------
    opened : object
        The store as a `PreparedAnalysis`.
    failed : object
        Why it cannot be read.
    """

    opened = Signal(object)
    failed = Signal(object)

    def open(self, path: Path) -> None:
        """Read a store; the answer comes as a signal."""
        threading.Thread(target=self._read, args=(path,), name="fddm-opener", daemon=True).start()

    def _read(self, path: Path) -> None:
        from napari_fddm.pipeline.outputs.report import opened_event
        from napari_fddm.pipeline.store.analysis_store import AnalysisStore

        try:
            with AnalysisStore.open(path) as store:
                self.opened.emit(PreparedAnalysis.of(opened_event(store)))
        except FddmError as error:
            self.failed.emit(error)
