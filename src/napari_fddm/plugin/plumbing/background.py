"""Runs small jobs in a thread beside the window; their results come back on the main thread."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from qtpy.QtCore import QObject, Signal

from napari_fddm.core.errors import FddmError
from napari_fddm.plugin.plumbing.worker_thread import WorkerThread

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

T = TypeVar("T")

JOIN_SECONDS = 5.0
"""Longest wait for the thread: a drive that hangs must not keep the window from closing."""


class Background(QObject):
    """A `WorkerThread` with callbacks on the main thread; it starts with the first job.

    Parameters
    ----------
    name : str
        The thread is called ``fddm-<name>``.
    parent : QObject
        The owner.

    Signals
    -------
    failed : object
        The `FddmError` of a job that was given no ``otherwise``.
    """

    failed = Signal(object)
    _answered = Signal(object, object)

    def __init__(self, name: str, parent: QObject) -> None:
        super().__init__(parent)
        self._name = f"fddm-{name}"
        self._thread: WorkerThread | None = None
        self._closed = threading.Event()
        self._answered.connect(self._on_answered)

    @property
    def closed(self) -> bool:
        """Whether the window is closing; long jobs look at it and stop."""
        return self._closed.is_set()

    def do(
        self,
        job: Callable[[], T],
        then: Callable[[T], None],
        otherwise: Callable[[FddmError], None] | None = None,
    ) -> None:
        """Queue a job; does nothing after closing.

        Parameters
        ----------
        job : callable
            Runs in the thread; must not touch widgets or layers.
        then : callable
            Called on the main thread with what the job returned.
        otherwise : callable, optional
            Called on the main thread with the job's error; by default `failed` is emitted.
        """
        if self.closed:
            return
        if self._thread is None:
            self._thread = WorkerThread(self._name)
        self._thread.submit(partial(self._run, job, then, otherwise or self.failed.emit))

    def close(self) -> None:
        """End the thread after the job it is at; what waits is dropped, and so are results."""
        self._closed.set()
        if self._thread is not None:
            self._thread.close(JOIN_SECONDS)

    def _run(
        self,
        job: Callable[[], T],
        then: Callable[[T], None],
        otherwise: Callable[[FddmError], Any],
    ) -> None:
        if self.closed:
            return
        try:
            result = job()
        except FddmError as error:
            log.info("%s: %s", self._name, error)
            self._answer(otherwise, error)
        else:
            self._answer(then, result)

    def _answer(self, callback: Callable[[Any], Any], result: object) -> None:
        if not self.closed:
            self._answered.emit(callback, result)

    def _on_answered(self, callback: Callable[[Any], Any], result: object) -> None:
        if not self.closed:
            callback(result)
