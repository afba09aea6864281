"""A folder that a case must not leave, and limits that it must not reach.

Nothing is forbidden: what was done is noted, so that the case fails and says what it did.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_RESIDENT = 1 << 29
"""Bytes that a case may keep in memory at once beyond what the process had before: seeds have
at most a few hundred kB."""
MOST_ADDRESSED = 4 << 30
"""Bytes that it may ask for."""
OUTSIDE = "this lies outside"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_ONE_PATH = {"os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod", "os.chown"}
_TWO_PATHS = {"os.rename", "os.link", "os.symlink"}


class Jail:
    """The folder of one process: ``case`` is free, ``home`` and ``tmp`` must stay as they are.

    Parameters
    ----------
    root : Path
        Created if it is not there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.case, self.home, self.tmp = (self.root / n for n in ("case", "home", "tmp"))
        self.outside = self.root / "outside"
        for folder in (self.case, self.home, self.tmp, self.outside):
            folder.mkdir(parents=True, exist_ok=True)
        (self.outside / "secret.txt").write_text(OUTSIDE)
        self._broken: list[str] = []
        self._active = threading.Event()
        self._free = tuple(f"{p}{os.sep}" for p in (self.case, self.tmp))
        sys.addaudithook(self._hook)

    @staticmethod
    def environment(root: Path) -> dict[str, str]:
        """Return the variables of a process that is to live in a jail."""
        home = root.resolve() / "home"
        names = {"HOME": home, "TMPDIR": root.resolve() / "tmp", "XDG_CONFIG_HOME": home / "config",
                 "XDG_DATA_HOME": home / "data", "XDG_CACHE_HOME": home / "cache"}  # fmt: skip
        return {k: str(v) for k, v in names.items()} | {"PYTHONDONTWRITEBYTECODE": "1"}

    def cleared(self) -> Path:
        """Empty the case's folder and return it."""
        shutil.rmtree(self.case)
        self.case.mkdir()
        return self.case

    @contextmanager
    def watching(self) -> Iterator[list[str]]:
        """Yield a list that holds, after the block, what the case did outside its folder."""
        found: list[str] = []
        self._broken.clear()
        before = self._listing()
        base = _memory("VmRSS")
        _reset_peak()
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") + MOST_ADDRESSED, hard))
        self._active.set()
        try:
            yield found
        finally:
            self._active.clear()
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
            grown = _memory("VmHWM") - base
            found += dict.fromkeys(self._broken)
            if grown > MOST_RESIDENT:
                found.append(f"{grown / (1 << 20):.0f} MiB more memory")
            after = self._listing()
            found += [f"left behind: {name}" for name in sorted(after.keys() - before.keys())]
            found += [f"gone or changed: {n}" for n in sorted(before) if after.get(n) != before[n]]
            self._restore(after.keys() - before.keys())

    def _listing(self) -> dict[str, tuple[int, int]]:
        found = {}
        for folder in (self.home, self.tmp, self.outside, self.root):
            paths = folder.iterdir() if folder == self.root else folder.rglob("*")
            for path in paths:
                status = path.lstat()
                place = str(path.relative_to(self.root))
                found[place] = (status.st_mode, status.st_size if path.is_file() else 0)
        return found

    def _restore(self, names: set[str]) -> None:
        for name in sorted(names, reverse=True):
            path = self.root / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._active.is_set():
            return
        if event == "open":
            if args[2] is not None and args[2] & _WRITING:
                self._check("write", args[0])
        elif event in _ONE_PATH:
            self._check(event, args[0], args[-1])
        elif event in _TWO_PATHS:
            self._check(event, args[1], args[3] if len(args) > 3 else -1)
        elif event == "socket.connect":
            self._broken.append(f"a connection to {args[1]!r}")

    def _check(self, what: str, path: object, folder: object = -1) -> None:
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a number: opened, and checked, before
        place = os.fsdecode(path)
        if isinstance(folder, int) and folder > 2 and not os.path.isabs(place):
            place = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), place)
        parent, name = os.path.split(os.path.abspath(place))
        whole = os.path.join(os.path.realpath(parent), name)
        inside = f"{whole}{os.sep}".startswith(self._free)
        if not (inside or whole.startswith(("/dev/", "/proc/self/"))):
            self._broken.append(f"{what} outside its folder: {whole}")


def _memory(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    raise OSError(f"no {name}")


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")
