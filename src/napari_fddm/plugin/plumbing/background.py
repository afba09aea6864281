"""Small jobs beside the window: done in one thread, answered on the main thread."""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from qtpy.QtCore import QObject, Signal

from napari_fddm.core.errors import FddmError

if TYPE_CHECKING:
    from collections.abc import Callable

    Job = tuple[Callable[[], Any], Callable[[Any], None], Callable[[FddmError], None] | None]

log = logging.getLogger(__name__)

T = TypeVar("T")

JOIN_SECONDS = 5.0
"""A drive that does not answer must not keep the window from closing."""


class Background(QObject):
    """One thread that does one job after the other; it starts with the first.

    Parameters
    ----------
    name : str
        The thread is called ``fddm-<name>``.
    parent : QObject
        The owner.

    Signals
    -------
    failed : object
        The `FddmError` of a job that nobody else wanted to hear of.
    """

    failed = Signal(object)
    _answered = Signal(object, object)

    def __init__(self, name: str, parent: QObject) -> None:
        super().__init__(parent)
        self._name = f"fddm-{name}"
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._answered.connect(self._on_answered)

    @property
    def closed(self) -> bool:
        """Whether the window is going; long jobs look at it and stop."""
        return self._closed.is_set()

    def do(
        self,
        job: Callable[[], T],
        then: Callable[[T], None],
        otherwise: Callable[[FddmError], None] | None = None,
    ) -> None:
        """Queue a job.

        Parameters
        ----------
        job : callable
            Runs in the thread; must not touch widgets or layers.
        then : callable
            Gets the answer, on the main thread.
        otherwise : callable, optional
            Gets the job's error, on the main thread; by default `failed` tells it.
        """
        if self.closed:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        self._jobs.put((job, then, otherwise))

    def close(self) -> None:
        """End the thread after the job it is at; answers are dropped from now on."""
        self._closed.set()
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join(JOIN_SECONDS)

    def _work(self) -> None:
        while (entry := self._jobs.get()) is not None and not self.closed:
            job, then, otherwise = entry
            try:
                answer = job()
            except FddmError as error:
                log.info("%s: %s", self._name, error)
                self._tell(otherwise or self._fail, error)
            except Exception:  # a bug must not end the thread, and is told where bugs are
                log.exception("%s hit a bug", self._name)
            else:
                self._tell(then, answer)

    def _tell(self, listener: Callable[[Any], None], answer: object) -> None:
        if not self.closed:
            self._answered.emit(listener, answer)

    def _fail(self, error: FddmError) -> None:
        self.failed.emit(error)

    def _on_answered(self, listener: Callable[[Any], None], answer: object) -> None:
        if not self.closed:
            listener(answer)
