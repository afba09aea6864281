"""Client of the engine process: starts it, sends requests, notices when it dies.

Nothing here imports torch. The process is started with ``subprocess``, not with
``multiprocessing``, so that it works from any main program: napari's launcher, a
notebook, a bundled application.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from multiprocessing.connection import Client, Listener
from typing import IO, TYPE_CHECKING, Any

from napari_fddm.core.errors import EngineError
from napari_fddm.pipeline.engine.messages import (
    AdaptFinished,
    AdaptRequest,
    CancelRequest,
    EngineReady,
    PreloadRequest,
    RunCancelled,
    RunEvent,
    RunFailed,
    RunFinished,
    RunRequest,
    ShutdownRequest,
)

if TYPE_CHECKING:
    from collections.abc import Generator
    from multiprocessing.connection import Connection

    from napari_fddm.core.errors import FddmError
    from napari_fddm.core.geometry import YX, Region
    from napari_fddm.pipeline.engine.messages import Existing, Reply, Request
    from napari_fddm.slides.served import PixelSource

log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
"""How long to wait for an answer at once, s."""
JOIN_SECONDS = 5.0
"""How long the process may take to end, s."""
Answer = EngineReady | RunEvent | RunFinished | AdaptFinished | RunCancelled


class EngineClient:
    """One engine process, started on demand and kept for the next run.

    Methods may be called from several threads; one run at a time is answered.

    Parameters
    ----------
    module : str
        Module that the process runs; `training.engine` can also learn from corrections.
    """

    def __init__(self, module: str = "napari_fddm.pipeline.engine.server") -> None:
        self._module = module
        self._process: subprocess.Popen[str] | None = None
        self._connection: Connection | None = None
        self._log: IO[str] | None = None
        self._mutex = threading.Lock()
        self._ids = itertools.count(1)
        self.ready: EngineReady | None = None

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process if there is none; returns once it is connected.

        It is still importing then: see `wait_until_ready`.

        Raises
        ------
        EngineError
            If it cannot be started.
        """
        with self._mutex:
            if self.running:
                return
            self._forget()
            key = secrets.token_bytes(32)
            with Listener(authkey=key) as listener:
                family = "AF_PIPE" if sys.platform == "win32" else "AF_UNIX"
                self._process = self._spawn(str(listener.address), family, key)
                self._connection = self._accept(listener, key)

    def _spawn(self, address: str, family: str, key: bytes) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", self._module, address, family]
        self._log = tempfile.TemporaryFile(mode="w+", prefix="fddm-engine-")  # noqa: SIM115
        try:
            process = subprocess.Popen(  # noqa: S603 - our own module, our own interpreter
                command,
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
                text=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                # Elsewhere the engine lowers its priority itself: `server.NICENESS`.
                creationflags=getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
            )
        except OSError as error:
            raise EngineError(f"the engine process could not be started: {error}.") from error
        if process.stdin is not None:
            # If the process ended at once, `_accept` notices and reports its last output.
            with contextlib.suppress(OSError):
                process.stdin.write(key.hex() + "\n")
            with contextlib.suppress(OSError):
                process.stdin.close()
        return process

    def _accept(self, listener: Listener, key: bytes) -> Connection:
        """Wait for the process to connect; fail if it ends before."""
        process = self._process
        accepted: list[Connection] = []

        def accept() -> None:
            try:
                accepted.append(listener.accept())
            except (OSError, EOFError):
                return

        thread = threading.Thread(target=accept, name="fddm-accept", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(POLL_SECONDS)
            if process is None or process.poll() is None:
                continue
            thread.join(POLL_SECONDS)
            if thread.is_alive():
                # Closing the listener would not wake the thread; a connection does.
                Client(listener.address, authkey=key).close()
                thread.join()
            for connection in accepted:
                connection.close()
            raise EngineError(self._how_it_ended())
        if not accepted:
            raise EngineError("the engine process could not be reached.")
        return accepted[0]

    def wait_until_ready(self) -> EngineReady:
        """Block until the engine has imported everything.

        Raises
        ------
        EngineError
            If the process stopped instead.
        """
        while self.ready is None:
            reply = self._receive()
            if isinstance(reply, RunFailed):
                raise error_of(reply)
            if isinstance(reply, EngineReady):
                self.ready = reply
        return self.ready

    def run(
        self,
        slide: str | PixelSource,
        store: str,
        *,
        mpp: float | None = None,
        model: str = "fddm-small",
        config: dict[str, Any] | None = None,
        region: Region | None = None,
        focus: YX | None = None,
        existing: Existing = "resume",
        spread: bool = False,
        allow_download: bool = False,
    ) -> Generator[Answer | None, bool | None]:
        """Analyze a slide; yields answers, and None about 20 times a second while waiting.

        The last answer is `RunFinished` or `RunCancelled`. Closing the generator
        cancels the run; so does sending True into it.

        Raises
        ------
        FddmError
            What the run raised, or EngineError if the process died.
        """
        request = RunRequest(
            next(self._ids),
            slide,
            mpp,
            model,
            dict(config or {}),
            region,
            store,
            focus,
            existing,
            spread,
            allow_download,
        )
        return (yield from self._answers(request))

    def adapt(
        self,
        slide: str | PixelSource,
        store: str,
        *,
        name: str,
        mpp: float | None = None,
        model: str = "fddm-small",
        config: dict[str, Any] | None = None,
        lora: bool = False,
    ) -> Generator[Answer | None, bool | None]:
        """Adapt a model to the strokes of a store; yields and raises as `run` does.

        The last answer is `AdaptFinished` or `RunCancelled`.
        """
        request = AdaptRequest(
            next(self._ids), slide, mpp, model, dict(config or {}), store, name, lora
        )
        return (yield from self._answers(request))

    def _answers(self, request: RunRequest | AdaptRequest) -> Generator[Answer | None, bool | None]:
        """Send a request, as soon as the engine is ready, and yield its answers."""
        self.start()
        if self.ready is None:
            yield from self.until_ready()
        self._send(request)
        finished = False
        try:
            while not finished:
                reply = self._receive_now()
                if reply is not None and getattr(reply, "run_id", None) != request.run_id:
                    continue  # a late answer to a run that was cancelled
                if isinstance(reply, RunFailed):
                    finished = True
                    raise error_of(reply)
                finished = isinstance(reply, RunFinished | AdaptFinished | RunCancelled)
                if (yield reply):
                    self._send(CancelRequest(request.run_id))
        finally:
            if not finished and self.running:
                self._send(CancelRequest(request.run_id))

    def preload(self, model: str, config: dict[str, Any] | None = None) -> None:
        """Let an engine that is ready load a model before a run needs it.

        Raises
        ------
        EngineError
            If the process died.
        """
        self._send(PreloadRequest(model, dict(config or {})))

    def until_ready(self) -> Generator[Answer | None, bool | None]:
        """Yield None about 20 times a second, then the engine's `EngineReady`."""
        while self.ready is None:
            reply = self._receive_now()
            if isinstance(reply, RunFailed):
                raise error_of(reply)
            if isinstance(reply, EngineReady):
                self.ready = reply
            yield reply if isinstance(reply, EngineReady) else None

    def _send(self, request: Request) -> None:
        try:
            if self._connection is None:
                raise EngineError("the engine process is not running.")
            self._connection.send(request)
        except (BrokenPipeError, ConnectionError, OSError) as error:
            raise EngineError(self._how_it_ended()) from error

    def _receive(self) -> Reply:
        while (reply := self._receive_now()) is None:
            pass
        return reply

    def _receive_now(self) -> Reply | None:
        """Return the next answer, or None if none comes within `POLL_SECONDS`."""
        if self._connection is None:
            raise EngineError("the engine process is not running.")
        try:
            if self._connection.poll(POLL_SECONDS):
                reply: Reply = self._connection.recv()
                return reply
        except (EOFError, ConnectionError, OSError) as error:
            raise EngineError(
                self._how_it_ended(), hint="Finished work and all strokes are kept; run it again."
            ) from error
        return None

    def _how_it_ended(self) -> str:
        """Describe how the process ended, with its last line of output."""
        code = self._process.wait(JOIN_SECONDS) if self._process is not None else None
        lines: list[str] = []
        if self._log is not None:
            self._log.seek(0)
            lines = [line.strip() for line in self._log if line.strip()]
        last = f" Its last words: {lines[-1]}" if lines else ""
        killed = " (killed, perhaps for lack of memory)" if code == -9 else ""
        return f"the engine process stopped with code {code}{killed}.{last}"

    def close(self) -> None:
        """Ask the process to end, wait some seconds, then kill it.

        A process that is still importing has nothing to finish and is killed at once.
        """
        with self._mutex:
            process = self._process
            if process is not None and process.poll() is None:
                try:
                    if self.ready is None:
                        process.kill()
                    self._send(ShutdownRequest())
                    process.wait(JOIN_SECONDS)
                except (EngineError, subprocess.TimeoutExpired):
                    process.kill()
                    process.wait()
            self._forget()

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._log is not None:
            self._log.close()
        self._process, self._connection, self._log, self.ready = None, None, None, None


def error_of(reply: RunFailed) -> FddmError:
    """Return the error to raise for a run that failed; a bug's traceback goes to the log."""
    if reply.traceback:
        log.error("the engine process hit a bug:\n%s", reply.traceback)
    return reply.error
