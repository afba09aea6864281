"""Write files and folders whole or not at all, and report storage errors with a hint."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PART = ".part"
"""Part of the name of every file and folder that is not finished."""

_JUNK = {".ds_store", "thumbs.db", "desktop.ini"}

_DISCARD_TRIES = 100
_DISCARD_PAUSE_S = 0.05
"""Longer than the chunks of one folder follow each other, with 5 s for all of them."""

_HINTS = {
    errno.ENOSPC: "The disk is full: free some space; what was written before is safe.",
    errno.EDQUOT: "The disk quota is used up: free some space; what was written before is safe.",
    errno.EFBIG: "The file system cannot hold a file this large; choose another disk.",
    errno.EACCES: "Ask for write permission or choose another folder.",
    errno.EPERM: "Ask for write permission or choose another folder.",
    errno.EROFS: "The folder is read-only: choose another one.",
    errno.ENOENT: "Check that the path exists and its disk is connected.",
    errno.ENOTDIR: "Check that the path exists and its disk is connected.",
    errno.EIO: "The disk or network share failed; check its connection.",
    errno.ESTALE: "The disk or network share failed; check its connection.",
    errno.EMFILE: "Too many files are open: close other programs.",
}


@contextmanager
def storage_errors(doing: str, path: Path | str, *, damaged: bool = False) -> Iterator[None]:
    """Turn what the operating system and zarr raise into a StoreError.

    Parameters
    ----------
    doing : str
        What is being done, for the message: "write the labels of".
    path : Path or str
        What it is done to.
    damaged : bool
        Also translate the errors that zarr and its codecs raise on damaged
        data; use it around reading only.

    Raises
    ------
    StoreError
        With the reason and a hint.
    """
    try:
        yield
    except OSError as error:
        code = error.errno if error.errno is not None else errno.ENOENT
        reason = error.strerror or str(error)
        hint = _HINTS.get(code, "Check the disk and the permissions of the folder.")
        raise StoreError(f"cannot {doing} {path}: {reason}.", hint=hint) from error
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        if not damaged:
            raise
        raise StoreError(
            f"cannot {doing} {path}: the data is damaged ({error}).",
            hint="Restore it from a backup or run the analysis again.",
        ) from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path whose file replaces ``path`` when the block succeeds.

    Readers see the old or the new file, never a part of one. The new file is on the disk
    (fsync) before it takes the place of the old one. It has the permissions that the
    block's writer gives it: those of the user's umask, for ordinary writers.

    Parameters
    ----------
    path : Path
        The file to write or replace; its folder must exist.

    Yields
    ------
    Path
        A path that does not exist yet, beside ``path`` and with the same suffixes, since
        some writers choose the format by them. The block must create a file there.

    Raises
    ------
    StoreError
        If the file cannot be written. After any error the old file is untouched and the
        temporary one removed.
    """
    suffixes = "".join(path.suffixes)
    part = _temporary(path, path.name.removesuffix(suffixes), suffixes)
    with storage_errors("write", path):
        try:
            yield part
            _sync_file(part)
            part.replace(path)
        except BaseException:
            with suppress(OSError):  # the first error is the one to report
                part.unlink()
            raise
        sync_folder(path.parent)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a new temporary folder that becomes ``path`` when the block succeeds.

    Everything in it is on the disk (fsync) before the folder gets its name.

    Parameters
    ----------
    path : Path
        The folder to create; must not exist. Missing parent folders are created.

    Yields
    ------
    Path
        An empty folder beside ``path``.

    Raises
    ------
    StoreError
        If ``path`` exists or the folder cannot be written. After any error ``path`` is
        as it was and the temporary folder is removed.
    """
    part = temporary_beside(path)
    with storage_errors("write", path):
        _refuse_existing(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.mkdir()
            yield part
            _sync_tree(part)
            # A rename would silently replace an empty folder.
            _refuse_existing(path)
            part.rename(path)
        except BaseException:
            discard_folder(part)
            raise
        sync_folder(path.parent)


def temporary_beside(path: Path) -> Path:
    """Return a free, hidden name beside a path, for what is built there; see `is_unfinished`.

    For what `whole_file` and `whole_folder` do not do: replacing a folder.
    """
    return _temporary(path, path.name)


def replace_folder(new: Path, path: Path, old: Path) -> None:
    """Rename ``path`` to ``old`` and ``new`` to ``path``; if that fails, nothing has changed.

    A process that is killed between the two renames leaves nothing at ``path``.

    Parameters
    ----------
    new : Path
        The file or folder that takes the place, in the same folder as ``path``.
    path : Path
        What is replaced.
    old : Path
        A free name beside it, where it goes.

    Raises
    ------
    OSError
        If one of them cannot be renamed.
    """
    path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        old.rename(path)
        raise
    sync_folder(path.parent)


def discard_folder(folder: Path) -> None:
    """Remove a folder and all that is in it, as far as the system allows; never raises.

    zarr writes chunks in threads of its own: after an error, those that are on their way
    may still put a file into a folder that is being removed, or make it anew. So the
    folder has to stay away for a while. One that got its final name is not waited for.
    """
    for _ in range(_DISCARD_TRIES):
        if not os.path.lexists(folder):
            return
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(_DISCARD_PAUSE_S)


def is_unfinished(path: Path) -> bool:
    """Return whether a path is a temporary one of those that this module makes.

    A program that was killed leaves such files and folders behind; they can be deleted.
    """
    return path.name.startswith(".") and _PART in path.suffixes


def is_junk(name: str) -> bool:
    """Return whether a file's name is one that file managers put beside everything.

    Finder writes ``._NAME`` beside each file on a disk that has no resource forks.
    """
    return name.startswith("._") or name.lower() in _JUNK


def write_atomic(path: Path, text: str | bytes) -> None:
    """Replace a file such that readers see the old or the new content, never a part.

    Parameters
    ----------
    path : Path
        The file; its folder must exist.
    text : str or bytes
        The new content; text is written as UTF-8.

    Raises
    ------
    StoreError
        If it cannot be written; the old file is then untouched.
    """
    with whole_file(path) as part:
        part.write_bytes(text.encode() if isinstance(text, str) else text)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Replace a JSON file atomically.

    Raises
    ------
    StoreError
        If it cannot be written or a value has no JSON form.
    """
    try:
        text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"cannot write {path}: {error}.", hint="Give plain numbers, text, lists and mappings."
        ) from error
    write_atomic(path, text + "\n")


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable, where the system can do that."""
    if os.name == "nt":  # Windows cannot open folders; its renames are journaled
        return
    _sync_file(folder)


def _temporary(path: Path, name: str, suffixes: str = "") -> Path:
    return path.with_name(f".{name}.{uuid.uuid4().hex[:8]}{_PART}{suffixes}")


def _refuse_existing(path: Path) -> None:
    if os.path.lexists(path):
        raise StoreError(f"{path} exists already.", hint="Choose another name, or remove it first.")


def _sync_file(path: Path) -> None:
    # Windows syncs only what is open for writing; elsewhere a read-only file can be synced.
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_tree(folder: Path) -> None:
    for inside, _, names in os.walk(folder):
        for name in names:
            _sync_file(Path(inside, name))
        sync_folder(Path(inside))
