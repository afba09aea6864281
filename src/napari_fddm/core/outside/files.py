"""Open files that others made: regular ones, of a possible size, in the encoding they have."""

from __future__ import annotations

import gzip
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_fddm.core.errors import DataError, FddmError
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from pathlib import Path

MOST_TEXT = 1 << 30
"""Bytes. Larger JSON, GeoJSON and tables are refused before they are read."""

_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_GZIP = b"\x1f\x8b"


def require_regular(path: Path, what: str, *, error: type[FddmError] = DataError) -> int:
    """Return the size of a file in bytes; links are followed.

    Raises
    ------
    FddmError
        If there is none, or it is a pipe, a device or a folder: reading those would wait for
        ever or never end.
    """
    with reading(what, path, error=error):
        status = path.stat()
    if stat.S_ISREG(status.st_mode):
        return status.st_size
    kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
    raise error(f"{visible(path)} is {kind}, not a file.", hint="Choose a file.")


def real_path(path: Path) -> Path:
    """Return where a path leads, all links followed; links in a circle lead to themselves.

    `Path.resolve` raises a RuntimeError of such a circle in some versions of Python.
    """
    return type(path)(os.path.realpath(path))


@contextmanager
def open_file(
    path: Path, what: str, *, error: type[FddmError] = DataError
) -> Iterator[BufferedReader]:
    """Open a regular file for reading bytes; what goes wrong in the block becomes ours."""
    require_regular(path, what, error=error)
    with reading(what, path, error=error), path.open("rb") as file:
        yield file


def read_bytes(
    path: Path, what: str, *, most: int = MOST_TEXT, error: type[FddmError] = DataError
) -> bytes:
    """Read a whole file; one that was compressed by gzip is unpacked.

    Parameters
    ----------
    path : Path
        A file.
    what : str
        What it is read as, for messages.
    most : int
        Bytes; a larger file, or one that unpacks to more, is refused.
    error : type of FddmError
        The error to raise.
    """
    size = require_regular(path, what, error=error)
    if size > most:
        raise _too_large(path, what, most, error)
    with reading(what, path, error=error, hint="Copy it again from where it came."):
        with path.open("rb") as file:
            data = file.read(most + 1)
        if data.startswith(_GZIP):
            with gzip.open(path) as file:
                data = file.read(most + 1)
    if len(data) > most:
        raise _too_large(path, what, most, error)
    return data


def read_private(
    path: Path, what: str, *, most: int = MOST_TEXT, error: type[FddmError] = DataError
) -> bytes:
    """Read a file that nobody but the user can have written; links are not followed.

    Parameters are those of `read_bytes`. On Windows, where the owner of a file says little,
    the folder has to protect it.

    Raises
    ------
    FddmError
        If it cannot be read, is no regular file or too large, or others own it or may write it.
    """
    with reading(what, path, error=error):
        flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | flags)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode) or not _is_private(status):
                raise error(
                    f"{visible(path)} is not taken for {what}: others own it or may write it.",
                    hint="Look into it; remove it, or make it yours alone.",
                )
            data = file.read(most + 1)
    if len(data) > most:
        raise _too_large(path, what, most, error)
    return data


def is_private_folder(path: Path, *, mend: bool = False) -> bool:
    """Return whether a path is a folder of the user's that nobody else may write to; no link.

    Parameters
    ----------
    path : Path
        A folder.
    mend : bool
        Whether to take the rights of others to a folder of the user's away first.
    """
    try:
        status = path.lstat()
        if mend and stat.S_ISDIR(status.st_mode) and _is_own(status) and status.st_mode & 0o077:
            path.chmod(0o700)
            status = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and _is_private(status)


def _is_own(status: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()


def _is_private(status: os.stat_result) -> bool:
    return _is_own(status) and (os.name == "nt" or not status.st_mode & 0o022)


def read_text(
    path: Path, what: str, *, most: int = MOST_TEXT, error: type[FddmError] = DataError
) -> str:
    """Read a whole text file: UTF-8 or UTF-16, with or without a byte order mark.

    Raises
    ------
    FddmError
        If it cannot be read, is too large, or is in another encoding.
    """
    data = read_bytes(path, what, most=most, error=error)
    return decoded(data, path, what, error=error)


def decoded(
    data: bytes, place: Path | str, what: str, *, error: type[FddmError] = DataError
) -> str:
    """Return the text of bytes, by their byte order mark or as UTF-8.

    Raises
    ------
    FddmError
        Naming the first byte that is not UTF-8 and its line.
    """
    encoding = next((name for mark, name in _BOMS.items() if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        raise error(
            f"{visible(place)} cannot be read as {what}: line {line} is not "
            f"{encoding.removesuffix('-sig').upper()}.",
            hint="Save it again with the encoding UTF-8.",
        ) from fault


def _too_large(path: Path, what: str, most: int, error: type[FddmError]) -> FddmError:
    return error(
        f"{visible(path)} cannot be read as {what}: it holds more than "
        f"{most / (1 << 20):,.0f} MiB.",
        hint="Check that it is the right file.",
    )
