"""Edits that could not be written into their store when a window closed.

They go into a file of their own in the user's workspace folder, or where that fails
in the system's folder for temporary files, and into their analysis when it is opened
again. Which store they belong to is told by the slide's fingerprint and the grid, so
that a store that was moved meanwhile finds its edits.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fddm.core.edits import Edit
from napari_fddm.core.errors import StoreError
from napari_fddm.interop.files import sync_folder
from napari_fddm.pipeline.layout import workspace_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SUFFIX = ".strokes.jsonl"
_FOLDER = "rescued"


def write_rescue(edits: Sequence[Edit], fingerprint: str, store: Path) -> Path:
    """Write edits durably where a later opening finds them.

    Parameters
    ----------
    edits : sequence of Edit
        In the order in which they were made.
    fingerprint : str
        Of the slide.
    store : Path
        Where they belong; kept for people who look into the file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StoreError
        If no place can be written; it names them.
    """
    head = {
        "fingerprint": fingerprint,
        "store": str(store),
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    lines = [json.dumps(head), *(json.dumps(edit.to_record()) for edit in edits)]
    data = "".join(f"{line}\n" for line in lines).encode()
    failures = []
    for folder in _folders():
        try:
            return _written(folder, f"{_stem(fingerprint)}{uuid.uuid4().hex[:8]}{SUFFIX}", data)
        except OSError as error:
            failures.append(f"{folder}: {error.strerror or error}")
    raise StoreError(
        f"{len(edits)} strokes on {store} could not be written anywhere ({'; '.join(failures)}).",
        hint="Free some space before you close the window.",
    )


def find_rescues(fingerprint: str) -> list[Path]:
    """Return the files with edits of a slide, oldest first."""
    found = []
    for folder in _folders():
        if folder.is_dir():
            found += list(folder.glob(f"{_stem(fingerprint)}*{SUFFIX}"))
    return sorted(found, key=lambda path: path.stat().st_mtime)


def read_rescue(path: Path, shape: tuple[int, int]) -> list[Edit]:
    """Return the edits of a file.

    Parameters
    ----------
    path : Path
        What `find_rescues` found.
    shape : tuple of int
        (rows, columns) of the map that they should fit.

    Raises
    ------
    StoreError
        If the file is damaged or its edits are of another grid.
    """
    try:
        edits = list(_edits(path))
    except (OSError, ValueError, KeyError, TypeError, StoreError) as error:
        raise StoreError(
            f"the rescued strokes in {path} cannot be read: {error}.",
            hint="The file is left as it is; please report it.",
        ) from error
    if any(edit.shape != shape for edit in edits):
        raise StoreError(
            f"the rescued strokes in {path} belong to a label map of another size.",
            hint="They are kept; open the analysis that they were made on.",
        )
    return edits


def _edits(path: Path) -> Iterator[Edit]:
    lines = path.read_text(encoding="utf-8").split("\n")
    for line in lines[1:-1]:  # the first says whose they are, behind the last break is nothing
        record: dict[str, Any] = json.loads(line)
        yield Edit.from_record(record)


def _folders() -> tuple[Path, Path]:
    return workspace_folder().with_name(_FOLDER), Path(tempfile.gettempdir()) / "napari-fddm"


def _stem(fingerprint: str) -> str:
    # Hashed: a fingerprint may be long or hold what no file name can.
    return f"{hashlib.sha256(fingerprint.encode()).hexdigest()[:20]}-"


def _written(folder: Path, name: str, data: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / name, folder / f".{name}.part"
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    return path
