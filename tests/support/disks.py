"""Disks that are full or read-only: real ones where mounting is allowed, faults elsewhere."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


class SmallDisk:
    """A file system of its own in memory, that can be filled and made read-only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filling = folder / "filling"

    def fill(self) -> None:
        """Leave no free byte."""
        with self._filling.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)) == 4096:
                pass

    def free(self) -> None:
        """Take away what fills it."""
        self._filling.unlink()

    def set_read_only(self, value: bool) -> None:
        """Remount it."""
        option = f"remount,{'ro' if value else 'rw'}"
        subprocess.run(["mount", "-o", option, str(self.folder)], check=True)


@contextmanager
def small_disk(folder: Path, size: str = "24m") -> Iterator[SmallDisk]:
    """Mount one; skips the test where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting needs permission")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class Faults:
    """Makes the system calls on files of one folder fail as a full disk does.

    Parameters
    ----------
    monkeypatch : MonkeyPatch
        Replaces the calls.
    folder : Path
        Only files in it fail.
    call : str
        "write" or "fsync".
    code : int
        What the system says.
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        folder: Path,
        call: str,
        code: int = errno.ENOSPC,
    ) -> None:
        self._folder = folder
        self.on = False
        real = getattr(os, call)

        def failing(handle: int, *args: object) -> object:
            if self.on and self._is_inside(handle):
                if args:  # as a full disk does: the first part arrives, the rest does not
                    real(handle, bytes(args[0])[:7])
                raise OSError(code, os.strerror(code))
            return real(handle, *args)

        monkeypatch.setattr(os, call, failing)

    def _is_inside(self, handle: int) -> bool:
        return Path(os.readlink(f"/proc/self/fd/{handle}")).is_relative_to(self._folder)
