"""A thread with a queue of jobs, done one after another."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


class WorkerThread:
    """Runs jobs in the order in which they were submitted; starts at once.

    It is a daemon thread: a network share that hangs must not keep the program from ending.

    Parameters
    ----------
    name : str
        Name of the thread.
    idle : callable, optional
        Called in the thread whenever no job was submitted for ``every`` seconds.
    every : float, optional
        Seconds between two calls of ``idle`` while there are no jobs.
    """

    def __init__(
        self, name: str, idle: Callable[[], object] | None = None, every: float | None = None
    ) -> None:
        self._idle, self._every = idle, every
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], object]) -> None:
        """Run a job in the thread, after those that were submitted before."""
        self._jobs.put(job)

    def flush(self, timeout: float) -> bool:
        """Wait until all jobs so far are done; False if that takes longer than ``timeout`` s."""
        done = threading.Event()
        self._jobs.put(done.set)
        return done.wait(timeout)

    def close(self, timeout: float | None = None) -> bool:
        """End the thread after the jobs so far; False if that takes longer than ``timeout`` s."""
        self._jobs.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        while True:
            job = self._idle
            with contextlib.suppress(queue.Empty):
                job = self._jobs.get(timeout=self._every)
                if job is None:
                    return
            try:
                if job is not None:
                    job()
            except Exception:  # a bug must not end the thread
                log.exception("the thread %s hit a bug", self._thread.name)
