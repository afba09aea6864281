"""A slide that OpenSlide holds in other processes; reads as `openslide.OpenSlide` does.

Files that others made can make its C libraries write where they must not, and the
process dies. Here that is an error of the one read, which a next one may survive.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.outside.json_files import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

MOST_PROCESSES = 4
"""That read one slide at a time; as many as the threads that read tiles of it."""
CHILD = "napari_fddm.slides.isolated.child"


class IsolatedError(Exception):
    """OpenSlide refused something, or died of it; the message says why."""


class IsolatedOpenSlide:
    """A slide, opened by a process of its own and by further ones as threads need them.

    Parameters
    ----------
    path : Path
        File to open.

    Attributes
    ----------
    dimensions : tuple of int
        (width, height) of level 0.
    level_dimensions : tuple of (int, int)
        Of each level.
    level_downsamples : tuple of float
        Level-0 pixels per pixel of each level.
    properties : dict of str to str
        OpenSlide's.
    associated : tuple of str
        Names of label, macro and the like.

    Raises
    ------
    IsolatedError
        If OpenSlide cannot open it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: queue.LifoQueue[subprocess.Popen[bytes]] = queue.LifoQueue()
        self._free = threading.Semaphore(MOST_PROCESSES)
        # Ends the processes when nobody refers to the slide any more, as a handle of C does.
        weakref.finalize(self, _end_all, self._idle)
        with self._process() as process:
            known, _ = _ask(process, {"facts": True})
        self.dimensions: tuple[int, int] = tuple(known["dimensions"])
        self.level_dimensions = tuple(tuple(size) for size in known["level_dimensions"])
        self.level_downsamples: tuple[float, ...] = tuple(known["level_downsamples"])
        self.properties: Mapping[str, str] = known["properties"]
        self.associated: tuple[str, ...] = tuple(known["associated"])

    def read_region(
        self, location_xy: tuple[int, int], level: int, size_xy: tuple[int, int]
    ) -> npt.NDArray[np.uint8]:
        """Read a window of a level.

        Parameters
        ----------
        location_xy : tuple of int
            Upper left corner in level-0 px.
        level : int
            The level.
        size_xy : tuple of int
            (width, height) in px of the level.

        Returns
        -------
        array of uint8, shape (height, width, 4)
            RGBA, not premultiplied.

        Raises
        ------
        IsolatedError
            If it cannot be decoded.
        """
        return self._pixels({"region": [*location_xy, level, *size_xy]})

    def read_associated(self, name: str) -> npt.NDArray[np.uint8]:
        """Read an associated image, shape (h, w, 4); errors are those of `read_region`."""
        return self._pixels({"associated": name})

    def _pixels(self, request: dict[str, Any]) -> npt.NDArray[np.uint8]:
        with self._process() as process:
            head, data = _ask(process, request)
        height, width = head["shape"]
        return np.frombuffer(data, np.uint8).reshape(height, width, 4).copy()

    @contextlib.contextmanager
    def _process(self) -> Iterator[subprocess.Popen[bytes]]:
        """Yield a process that has opened the slide, for one request."""
        with self._free:
            try:
                process = self._idle.get_nowait()
            except queue.Empty:
                process = _start(self._path)
            try:
                yield process
            except IsolatedError:
                if process.poll() is None:  # it opens the slide again for the next request
                    self._idle.put(process)
                else:
                    _end(process)
                raise
            except BaseException:  # in the middle of an answer
                _end(process)
                raise
            self._idle.put(process)


def _start(path: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(  # noqa: S603 - our own module, our own interpreter
        [sys.executable, "-m", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    try:
        _ask(process, {"open": os.fsencode(path).hex()})
    except BaseException:
        _end(process)
        raise
    return process


def _ask(process: subprocess.Popen[bytes], request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Send a request; return the answer and the bytes behind it."""
    if process.stdin is None or process.stdout is None:
        raise IsolatedError("it has no connection")
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
        head: dict[str, Any] = parse_json(line, "an answer") if line else {"error": _death(process)}
        size = 4 * head["shape"][0] * head["shape"][1] if "shape" in head else 0
        data = process.stdout.read(size)
    except OSError as error:
        raise IsolatedError(_death(process)) from error
    if "error" in head:
        raise IsolatedError(str(head["error"]))
    if len(data) < size:
        raise IsolatedError(_death(process))
    return head, data


def _death(process: subprocess.Popen[bytes]) -> str:
    """Return in words how a process ended."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    code = process.returncode
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"OpenSlide crashed on it ({signal.Signals(-code).name})"
    return f"OpenSlide ended on it (exit code {code})"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with contextlib.suppress(OSError):  # what it never read
        process.communicate()


def _end_all(idle: queue.LifoQueue[subprocess.Popen[bytes]]) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            _end(idle.get_nowait())
