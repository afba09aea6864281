"""Serves the pixels of a slide in this process to another process, from threads."""

from __future__ import annotations

import contextlib
import secrets
import sys
import threading
import time
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import FddmError, PixelsGoneError
from napari_fddm.slides.served import CLOSED, KEPT, Greeting, PixelSource, WindowRequest

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from napari_fddm.core.protocols import RgbImage
    from napari_fddm.slides.base import PyramidSlide

THREAD_NAME = "fddm-pixels"
POLL_SECONDS = 0.05
JOIN_SECONDS = 5.0


class PixelServer:
    """Answers `ServedSlide` readers until it is stopped.

    Parameters
    ----------
    slide : PyramidSlide
        The slide whose pixels are served; the caller closes it.
    """

    def __init__(self, slide: PyramidSlide) -> None:
        self._slide = slide
        self._key = secrets.token_bytes(32)
        self._stop = threading.Event()
        self._farewell = PixelsGoneError(CLOSED, hint=KEPT)
        self._listener = Listener(authkey=self._key)
        self._threads = [self._start(self._accept)]

    def source(self, mpp: float | None, mpp_source: str) -> PixelSource:
        """Return what a `ServedSlide` needs to read from here."""
        family = "AF_PIPE" if sys.platform == "win32" else "AF_UNIX"
        return PixelSource(str(self._listener.address), family, self._key, mpp, mpp_source)

    def stop(self, reason: str = CLOSED) -> None:
        """Tell every reader that no more pixels come, and why; does not wait."""
        if self._stop.is_set():
            return
        self._farewell = PixelsGoneError(reason, hint=KEPT)
        self._stop.set()
        # Closing the listener would not wake the accepting thread; a connection does.
        with contextlib.suppress(OSError, EOFError, AuthenticationError):
            Client(self._listener.address, authkey=self._key).close()

    def close(self) -> None:
        """Stop, and wait until the threads are gone or a slow read takes too long."""
        self.stop()
        until = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _start(self, target: object, *args: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, name=THREAD_NAME, daemon=True)  # type: ignore[arg-type]
        thread.start()
        return thread

    def _accept(self) -> None:
        with self._listener:
            while not self._stop.is_set():
                try:
                    connection = self._listener.accept()
                except (OSError, EOFError, AuthenticationError):
                    continue  # a client without the key, or one that left at once
                self._threads.append(self._start(self._serve, connection))

    def _serve(self, connection: Connection) -> None:
        slide = self._slide
        with connection, contextlib.suppress(OSError, EOFError):
            shapes = tuple(level.shape for level in slide.levels)
            connection.send(
                Greeting(slide.name, slide.fingerprint, shapes, slide.scales, tuple(slide.warnings))
            )
            while not self._stop.is_set():
                if connection.poll(POLL_SECONDS) and not self._stop.is_set():
                    self._answer(connection, connection.recv())
            connection.send(self._farewell)
            while connection.poll():  # an unread request would reset the reader's connection
                connection.recv()

    def _answer(self, connection: Connection, request: WindowRequest) -> None:
        pixels = self._read(request)
        if isinstance(pixels, FddmError):
            connection.send(pixels)
            return
        connection.send(None)
        connection.send_bytes(np.ascontiguousarray(pixels).data.cast("B"))

    def _read(self, request: WindowRequest) -> RgbImage | FddmError:
        try:
            return self._slide.read_level(
                request.level, request.y, request.x, request.height, request.width
            )
        except FddmError as error:
            return self._farewell if self._stop.is_set() else error
