"""A thread that does one thing after another, and comes back to it at times."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


class Lane:
    """A thread with a queue of work.

    It is a daemon: a network share that hangs must not keep the program from ending.

    Parameters
    ----------
    name : str
        Of the thread.
    idle : callable, optional
        Called whenever nothing was asked for ``every`` seconds.
    every : float
        Seconds.
    """

    def __init__(
        self, name: str, idle: Callable[[], object] | None = None, every: float | None = None
    ) -> None:
        self._idle, self._every = idle, every
        self._queue: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread has not ended yet."""
        return self._thread.is_alive()

    def submit(self, work: Callable[[], object]) -> None:
        """Do something in the thread, after what was asked before."""
        self._queue.put(work)

    def flush(self, timeout: float) -> bool:
        """Wait until what was asked so far is done; False if that takes longer."""
        done = threading.Event()
        self._queue.put(done.set)
        return done.wait(timeout)

    def close(self, timeout: float | None = None) -> bool:
        """End the thread after what was asked so far; False if that takes longer."""
        self._queue.put(None)
        self._thread.join(timeout)
        return not self.alive

    def _loop(self) -> None:
        while True:
            work = self._idle
            with contextlib.suppress(queue.Empty):
                work = self._queue.get(timeout=self._every)
                if work is None:
                    return
            try:
                if work is not None:
                    work()
            except Exception:
                log.exception("the thread %s hit a bug", self._thread.name)
