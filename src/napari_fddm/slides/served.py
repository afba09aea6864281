"""A slide whose pixels another process holds: an image layer of the window, read by the engine.

A socket carries the pixels. Shared memory would save one copy, but cannot hold a
lazy array: a dask or zarr layer would have to be computed as a whole first.
"""

from __future__ import annotations

import contextlib
import queue
from dataclasses import dataclass, field
from multiprocessing.connection import Client
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import FddmError, PixelsGoneError
from napari_fddm.core.geometry import Mpp
from napari_fddm.slides.base import PyramidSlide, SlideInfo
from napari_fddm.slides.mpp import resolve_mpp

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from napari_fddm.core.protocols import RgbImage
    from napari_fddm.slides.scales import Scale

BACKEND = "layer"
CLOSED = "The window no longer shows the image that is being analyzed."
KEPT = "Finished work is kept; open the image again and run it again."


@dataclass(frozen=True, slots=True)
class PixelSource:
    """Address of a `PixelServer`, and the pixel size of its slide.

    Attributes
    ----------
    address, family : str
        As `multiprocessing.connection` has them.
    key : bytes
        Both sides must know it.
    mpp : float or None
        µm per level-0 px.
    mpp_source : str
        Where that was found.
    """

    address: str
    family: str
    key: bytes = field(repr=False)
    mpp: float | None = None
    mpp_source: str = "layer"


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the server sends about its slide to each reader that connects."""

    name: str
    fingerprint: str
    shapes: tuple[tuple[int, int], ...]
    scales: tuple[Scale, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """Whole pixels of one level; the answer is an error or None, then the bytes."""

    level: int
    y: int
    x: int
    height: int
    width: int


class ServedSlide(PyramidSlide):
    """A slide that reads through a `PixelServer`; each reading thread gets a connection.

    Parameters
    ----------
    source : PixelSource
        The server.
    mpp : float, optional
        Given by the user; overrides the source's.

    Raises
    ------
    PixelsGoneError
        If the server is gone.
    MppError
        If `mpp` is not believable.
    """

    def __init__(self, source: PixelSource, *, mpp: float | None = None) -> None:
        self._source = source
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue()
        connection, hello = self._connect()
        self._idle.put(connection)
        known = Mpp(source.mpp, source.mpp_source)
        if mpp is not None:
            known, _ = resolve_mpp((), name=hello.name, user=mpp)
        info = SlideInfo(hello.name, BACKEND, "", known, hello.fingerprint, hello.warnings)
        super().__init__(info, hello.shapes)
        self._set_scales(hello.scales)

    def close(self) -> None:
        """Disconnect from the server."""
        super().close()
        self._close_idle()

    def _close_idle(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def _give_back(self, connection: Connection) -> None:
        """Keep a connection for the next read, unless the slide was closed meanwhile."""
        self._idle.put(connection)
        if self._closed:
            self._close_idle()

    def _connect(self) -> tuple[Connection, Greeting]:
        source = self._source
        try:
            connection = Client(source.address, source.family, authkey=source.key)
            return connection, _answer(connection)
        except (OSError, EOFError) as error:
            raise PixelsGoneError(CLOSED, hint=KEPT) from error

    def _read_level(self, level: int, y: int, x: int, height: int, width: int) -> RgbImage:
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection, _ = self._connect()
        image = np.empty((height, width, 3), np.uint8)
        try:
            _ask(connection, WindowRequest(level, y, x, height, width))
            connection.recv_bytes_into(image.data.cast("B"))
        except (OSError, EOFError) as error:
            connection.close()
            raise PixelsGoneError(CLOSED, hint=KEPT) from error
        except PixelsGoneError:
            connection.close()
            raise
        except FddmError:
            self._give_back(connection)
            raise
        self._give_back(connection)
        return image


def _ask(connection: Connection, request: WindowRequest) -> None:
    """Send a request and read its first answer; the server may have sent its last one before."""
    try:
        connection.send(request)
    except OSError:
        _answer(connection)
        raise
    _answer(connection)


def _answer(connection: Connection) -> Any:
    answer = connection.recv()
    if isinstance(answer, FddmError):
        raise answer
    return answer
