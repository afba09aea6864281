"""Strokes, outlines and estimates that could not be written when a window closed.

They go into a file of their own in the user's workspace folder, or where that fails
in the system's folder for temporary files, and into their analysis when it is opened
again. Which store they belong to is told by the slide's fingerprint and the grid, so
that a store that was moved meanwhile finds what belongs to it.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fddm.core.edits import Edit
from napari_fddm.core.errors import StoreError
from napari_fddm.interop.files import storage_errors, whole_file
from napari_fddm.pipeline.store import estimates, tumor_bed
from napari_fddm.pipeline.store.eventlog import now
from napari_fddm.pipeline.store.layout import workspace_folder
from napari_fddm.pipeline.store.records import LogRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_fddm.pipeline.store.eventlog import EventLog

    Entry = Edit | LogRecord

SUFFIX = ".strokes.jsonl"
_EDIT = "edit"
_WORDS = {_EDIT: "strokes", tumor_bed.KIND: "tumor bed", estimates.KIND: "estimate"}
_FOLDER = "rescued"


def write_rescue(entries: Sequence[Entry], fingerprint: str, store: Path) -> Path:
    """Write edits and records durably where a later opening finds them.

    Parameters
    ----------
    entries : sequence of Edit or LogRecord
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
        "time": now(),
    }
    lines = [json.dumps(head), *(json.dumps(_line_of(entry)) for entry in entries)]
    data = "".join(f"{line}\n" for line in lines).encode()
    failures = []
    for folder in _folders():
        try:
            return _written(folder, f"{_stem(fingerprint)}{uuid.uuid4().hex[:8]}{SUFFIX}", data)
        except StoreError as error:
            reason = getattr(error.__cause__, "strerror", None)
            failures.append(f"{folder}: {reason or error.message}")
    raise StoreError(
        f"{what_is_in(entries)} of {store} could not be written anywhere ({'; '.join(failures)}).",
        hint="Free some space before you close the window.",
    )


def find_rescues(fingerprint: str) -> list[Path]:
    """Return the files with rescued work on a slide, oldest first."""
    found = []
    for folder in _folders():
        if folder.is_dir():
            found += list(folder.glob(f"{_stem(fingerprint)}*{SUFFIX}"))
    return sorted(found, key=lambda path: path.stat().st_mtime)


def read_rescue(path: Path, shape: tuple[int, int]) -> list[Entry]:
    """Return the edits and records of a file, in their order.

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
        entries = list(_entries(path))
    except (OSError, ValueError, KeyError, TypeError, StoreError) as error:
        raise StoreError(
            f"the rescued work in {path} cannot be read: {error}.",
            hint="The file is left as it is; please report it.",
        ) from error
    if any(isinstance(entry, Edit) and entry.shape != shape for entry in entries):
        raise StoreError(
            f"the rescued strokes in {path} belong to a label map of another size.",
            hint="They are kept; open the analysis that they were made on.",
        )
    return entries


def wanted_still(entries: Sequence[Entry], log: EventLog) -> list[Entry]:
    """Leave out outlines that somebody has replaced since: the newest one counts."""
    newest = log.newest(tumor_bed.KIND)
    if newest is None:
        return list(entries)
    return [
        entry
        for entry in entries
        if isinstance(entry, Edit) or entry.kind != tumor_bed.KIND or entry.made > newest["time"]
    ]


def what_is_in(entries: Sequence[Entry]) -> str:
    """Say in words what kinds of work there are, e.g. "strokes, estimate"."""
    kinds = [_EDIT if isinstance(entry, Edit) else entry.kind for entry in entries]
    return ", ".join(_WORDS.get(kind, kind) for kind in dict.fromkeys(kinds))


def _line_of(entry: Entry) -> dict[str, Any]:
    if isinstance(entry, Edit):
        return {"kind": _EDIT, _EDIT: entry.to_record()}
    return {"kind": entry.kind, "made": entry.made, "fields": dict(entry.fields)}


def _entries(path: Path) -> Iterator[Entry]:
    lines = path.read_text(encoding="utf-8").split("\n")
    for line in lines[1:-1]:  # the first says whose they are, behind the last break is nothing
        value: dict[str, Any] = json.loads(line)
        if value["kind"] == _EDIT:
            yield Edit.from_record(value[_EDIT])
        else:
            yield LogRecord(str(value["kind"]), dict(value["fields"]), str(value["made"]))


def _folders() -> tuple[Path, Path]:
    return workspace_folder().with_name(_FOLDER), Path(tempfile.gettempdir()) / "napari-fddm"


def _stem(fingerprint: str) -> str:
    # Hashed: a fingerprint may be long or hold what no file name can.
    return f"{hashlib.sha256(fingerprint.encode()).hexdigest()[:20]}-"


def _written(folder: Path, name: str, data: bytes) -> Path:
    with storage_errors("create", folder):
        folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / name) as part:
        # For the user's eyes only: a folder for temporary files is open to everybody.
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
    return folder / name
