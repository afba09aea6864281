"""Rescue files: strokes, outlines and estimates that could not be saved when a window closed.

They are written into a file in the user's workspace folder or, if that fails, in the
system's folder for temporary files, and logged in their analysis when it is opened again.
The slide's fingerprint and the grid say which store they belong to, so that a store finds
its rescue files after it was moved.
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
from napari_fddm.core.files import storage_errors, whole_file
from napari_fddm.pipeline.store import estimates, tumor_bed
from napari_fddm.pipeline.store.eventlog import EDIT, now
from napari_fddm.pipeline.store.layout import workspace_folder
from napari_fddm.pipeline.store.records import LogRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_fddm.pipeline.store.eventlog import EventLog

    Entry = Edit | LogRecord

SUFFIX = ".strokes.jsonl"
_NAMES = {EDIT: "strokes", tumor_bed.KIND: "tumor bed", estimates.KIND: "estimate"}
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
        Where they belong; written for people who look into the file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StoreError
        If none of the folders can be written; it names them.
    """
    header = {"fingerprint": fingerprint, "store": str(store), "time": now()}
    lines = [json.dumps(header), *(json.dumps(_line_of(entry)) for entry in entries)]
    data = "".join(f"{line}\n" for line in lines).encode()
    name = f"{_stem(fingerprint)}{uuid.uuid4().hex[:8]}{SUFFIX}"
    failures = []
    for folder in _folders():
        try:
            return _write_private(folder / name, data)
        except StoreError as error:
            reason = getattr(error.__cause__, "strerror", None)
            failures.append(f"{folder}: {reason or error.message}")
    what = describe_entries(entries)
    raise StoreError(
        f"{what} of {store} could not be written anywhere ({'; '.join(failures)}).",
        hint="Free some space before you close the window.",
    )


def find_rescues(fingerprint: str) -> list[Path]:
    """Return the rescue files of a slide, oldest first."""
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
        (rows, columns) of the label map that they must fit.

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


def without_outdated(entries: Sequence[Entry], log: EventLog) -> list[Entry]:
    """Return the entries without tumor-bed outlines that are older than the one in the log."""
    newest = log.newest(tumor_bed.KIND)
    if newest is None:
        return list(entries)
    return [
        entry
        for entry in entries
        if isinstance(entry, Edit) or entry.kind != tumor_bed.KIND or entry.made > newest["time"]
    ]


def describe_entries(entries: Sequence[Entry]) -> str:
    """Return in words what kinds of work there are, e.g. "strokes, estimate"."""
    kinds = [EDIT if isinstance(entry, Edit) else entry.kind for entry in entries]
    return ", ".join(_NAMES.get(kind, kind) for kind in dict.fromkeys(kinds))


def _line_of(entry: Entry) -> dict[str, Any]:
    if isinstance(entry, Edit):
        return {"kind": EDIT, EDIT: entry.to_record()}
    return {"kind": entry.kind, "made": entry.made, "fields": dict(entry.fields)}


def _entries(path: Path) -> Iterator[Entry]:
    lines = path.read_text(encoding="utf-8").split("\n")
    for line in lines[1:-1]:  # the first is the header; nothing follows the last line break
        value: dict[str, Any] = json.loads(line)
        if value["kind"] == EDIT:
            yield Edit.from_record(value[EDIT])
        else:
            yield LogRecord(str(value["kind"]), dict(value["fields"]), str(value["made"]))


def _folders() -> tuple[Path, Path]:
    return workspace_folder().with_name(_FOLDER), Path(tempfile.gettempdir()) / "napari-fddm"


def _stem(fingerprint: str) -> str:
    # Hashed, since a fingerprint may be long or hold characters that no file name can.
    return f"{hashlib.sha256(fingerprint.encode()).hexdigest()[:20]}-"


def _write_private(path: Path, data: bytes) -> Path:
    with storage_errors("create", path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        # Readable by the user only, since everybody has access to a folder for temporary files.
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
    return path
