"""Server of the engine process: loads the networks once and runs the requested analyses.

    python -m napari_fddm.pipeline.engine.server ADDRESS FAMILY

`training.engine` is the same server with one more kind of work.

The key of the connection comes on standard input. The main thread runs analyses;
a second one reads requests, so that a cancel is seen between two batches.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
import traceback
from contextlib import closing
from multiprocessing.connection import Client
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import EngineError, FddmError
from napari_fddm.core.resample import WHITE
from napari_fddm.core.tiling import TILE_PX
from napari_fddm.pipeline.engine.messages import (
    AdaptFinished,
    AdaptRequest,
    CancelRequest,
    EngineReady,
    PreloadRequest,
    Reply,
    Request,
    RunCancelled,
    RunEvent,
    RunFailed,
    RunFinished,
    RunRequest,
    ShutdownRequest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from multiprocessing.connection import Connection

    from napari_fddm.core.protocols import Slide
    from napari_fddm.models import LoadedModel
    from napari_fddm.slides.served import PixelSource

    Work = RunRequest | AdaptRequest | PreloadRequest
    Adapting = Callable[[Slide, LoadedModel, AdaptRequest], Generator[Any, None, dict[str, Any]]]


NICENESS = 5
"""By how much the engine lowers its priority. Its threads keep every core busy, and at equal
priority the window freezes for seconds; without competition it is not slower."""


class EngineServer:
    """Serves one client.

    Parameters
    ----------
    connection : Connection
        Both ends pickle the messages of `pipeline.engine.messages`.
    adapting : callable, optional
        Learns from corrections: from a slide, a loaded model and an `AdaptRequest` to a
        generator of events that returns a summary. It lies in a layer above this one.
    """

    def __init__(self, connection: Connection, adapting: Adapting | None = None) -> None:
        self._connection = connection
        self._adapting = adapting
        self._requests: queue.Queue[Work | None] = queue.Queue()
        self._cancelled: set[int] = set()
        self._stop = threading.Event()
        self._model: tuple[tuple[str, str], LoadedModel] | None = None

    def serve(self) -> None:
        """Import the heavy libraries, then run requests until told to stop."""
        threading.Thread(target=self._listen, name="fddm-requests", daemon=True).start()
        started = time.monotonic()
        try:
            device, devices = warm_up()
        except FddmError as error:
            self._send(RunFailed(-1, error))
            return
        self._send(EngineReady(device, time.monotonic() - started, devices))
        while (request := self._requests.get()) is not None:
            if isinstance(request, PreloadRequest):
                self._preload(request)
            else:
                self._run(request)

    def _listen(self) -> None:
        while True:
            try:
                message: Request = self._connection.recv()
            except (EOFError, OSError):
                message = ShutdownRequest()
            if isinstance(message, RunRequest | AdaptRequest | PreloadRequest):
                self._requests.put(message)
            elif isinstance(message, CancelRequest):
                self._cancelled.add(message.run_id)
            else:
                self._stop.set()
                self._requests.put(None)
                return

    def _run(self, request: RunRequest | AdaptRequest) -> None:
        try:
            if isinstance(request, AdaptRequest):
                self._send(self._adapt(request))
            else:
                self._send(self._analyze(request))
        except FddmError as error:
            self._send(RunFailed(request.run_id, error))
        except Exception as error:  # noqa: BLE001 - a bug must reach the user
            wrapped = EngineError(
                f"the run stopped on an unexpected {type(error).__name__}: {error}.",
                hint="Finished work is kept; please report this with the log.",
            )
            self._send(RunFailed(request.run_id, wrapped, traceback.format_exc()))

    def _analyze(self, request: RunRequest) -> Reply:
        from napari_fddm.core.config import load_config
        from napari_fddm.pipeline.run.analyze import analyze

        run_id = request.run_id
        config = load_config(**request.config)
        if request.allow_download:
            from napari_fddm.models.fetching import fetch_needed

            fetch_needed(request.model)
        model = self._load(request.model, config.device)
        with open_source(request.slide, request.mpp) as slide:
            run = analyze(
                slide,
                model=model,
                config=config,
                store=request.store,
                region=request.region,
                focus=request.focus,
                fresh=request.existing == "fresh",
                revise=request.existing == "revise",
                spread=request.spread,
            )
            return self._drained(run_id, run, lambda r: RunFinished(run_id, r.to_json()))

    def _adapt(self, request: AdaptRequest) -> Reply:
        from napari_fddm.core.config import load_config

        if self._adapting is None:
            raise EngineError("this engine cannot learn from corrections.")
        run_id = request.run_id
        model = self._load(request.model, load_config(**request.config).device)
        with open_source(request.slide, request.mpp) as slide:
            run = self._adapting(slide, model, request)
            return self._drained(run_id, run, lambda summary: AdaptFinished(run_id, summary))

    def _drained(
        self, run_id: int, run: Generator[Any, None, Any], finished: Callable[[Any], Reply]
    ) -> Reply:
        """Send the events of a run until it ends or is cancelled; return the final reply."""
        with closing(run):
            while True:
                if self._stop.is_set() or run_id in self._cancelled:
                    return RunCancelled(run_id)
                try:
                    event = next(run)
                except StopIteration as stop:
                    return finished(stop.value)
                self._send(RunEvent(run_id, event))

    def _preload(self, request: PreloadRequest) -> None:
        """Load a model and classify a batch of glass, because the first batch is the slowest."""
        from napari_fddm.core.config import load_config

        with contextlib.suppress(FddmError):  # a run with this model reports it
            config = load_config(**request.config)
            model = self._load(request.model, config.device)
            model.classify(np.full((config.batch_size, TILE_PX, TILE_PX, 3), WHITE, np.uint8))

    def _load(self, model: str, device: str) -> LoadedModel:
        from napari_fddm.models import load_model

        if self._model is None or self._model[0] != (model, device):
            self._model = None
            self._model = ((model, device), load_model(model, device))
        return self._model[1]

    def _send(self, reply: Reply) -> None:
        try:
            self._connection.send(reply)
        except (BrokenPipeError, ConnectionError, OSError):
            self._stop.set()
            self._requests.put(None)


def open_source(source: str | PixelSource, mpp: float | None) -> Slide:
    """Open a slide by its path, or from the process that serves its pixels."""
    if isinstance(source, str):
        from napari_fddm.slides import open_slide

        return open_slide(source, mpp=mpp)
    from napari_fddm.slides.served import ServedSlide

    return ServedSlide(source, mpp=mpp)


def warm_up() -> tuple[str, tuple[str, ...]]:
    """Import what a run needs; return the device in words, and the available devices."""
    import diffusers  # noqa: F401
    import peft  # noqa: F401
    import timm  # noqa: F401

    from napari_fddm.models import choose_device
    from napari_fddm.models.device import available_devices
    from napari_fddm.pipeline.run import analyze  # noqa: F401

    return choose_device().title, available_devices()


def main(adapting: Adapting | None = None) -> None:
    """Connect to the client and serve it."""
    if sys.platform != "win32":  # on Windows the client lowers the priority
        os.nice(NICENESS)
    address, family = sys.argv[1:3]
    key = bytes.fromhex(sys.stdin.readline().strip())
    with Client(address, family, authkey=key) as connection:
        EngineServer(connection, adapting).serve()


if __name__ == "__main__":
    main()
