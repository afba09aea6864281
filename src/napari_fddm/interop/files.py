"""Files that survive a crash, and storage errors a user understands."""

from __future__ import annotations

import errno
import json
import os
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

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
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    with storage_errors("write", path):
        try:
            with part.open("xb") as file:
                file.write(text.encode() if isinstance(text, str) else text)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


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


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    StoreError
        If the file is missing, unreadable or not a JSON object.
    """
    with storage_errors("read", path):
        raw = path.read_bytes()
    try:
        values = json.loads(raw)
    except ValueError as error:
        raise StoreError(
            f"cannot read {path}: it is not JSON ({error}).", hint="Restore it from a backup."
        ) from error
    if not isinstance(values, dict):
        raise StoreError(
            f"cannot read {path}: expected a JSON object.", hint="Restore it from a backup."
        )
    return values


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable, where the system can do that."""
    if os.name == "nt":  # Windows cannot open folders; its renames are journaled
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
