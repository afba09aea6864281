"""Rescue files: strokes, outlines and estimates that could not be saved when a window closed.

They are written into a file in a folder that belongs to the user alone, and logged in their
analysis when it is opened again. The slide's fingerprint and the grid say which store they
belong to, so that a store finds its rescue files after it was moved. What signs, unlocks or
begins a log is never taken from such a file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fddm.core.edits import Edit
from napari_fddm.core.errors import StoreError
from napari_fddm.core.files import storage_errors, whole_file
from napari_fddm.core.outside.files import is_private_folder, read_private
from napari_fddm.core.outside.json_files import as_object, field, parse_json
from napari_fddm.pipeline.store import estimates, tumor_bed
from napari_fddm.pipeline.store.eventlog import EDIT, now
from napari_fddm.pipeline.store.layout import workspace_folder
from napari_fddm.pipeline.store.record_checks import check_record
from napari_fddm.pipeline.store.records import LogRecord
from napari_fddm.pipeline.store.strokes import CONFIRMED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_fddm.pipeline.store.eventlog import EventLog

    Entry = Edit | LogRecord

SUFFIX = ".strokes.jsonl"
_NAMES = {EDIT: "strokes", tumor_bed.KIND: "tumor bed", estimates.KIND: "estimate"}
_FOLDER = "rescued"
_ACCEPTED = frozenset({tumor_bed.KIND, estimates.KIND, CONFIRMED})
"""Kinds of records, besides edits, that a window may leave in a rescue file."""

_LOGGER = logging.getLogger(__name__)


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
        If the folder cannot be written or is not the user's; it names the folder.
    """
    header = {"fingerprint": fingerprint, "store": str(store), "time": now()}
    lines = [json.dumps(header), *(json.dumps(_line_of(entry)) for entry in entries)]
    data = "".join(f"{line}\n" for line in lines).encode()
    name = f"{_stem(fingerprint)}{uuid.uuid4().hex[:8]}{SUFFIX}"
    folder = _folder()
    try:
        return _write_private(folder / name, data)
    except StoreError as error:
        reason = getattr(error.__cause__, "strerror", None) or error.message
        raise StoreError(
            f"{describe_entries(entries)} of {store} could not be written to {folder}, either: "
            f"{reason}.",
            hint="Free some space, or make the folder yours, before you close the window.",
        ) from error


def find_rescues(fingerprint: str) -> list[Path]:
    """Return the rescue files of a slide, oldest first."""
    found: list[Path] = []
    for folder in (_folder(), _folder_of_earlier_versions()):
        here = list(folder.glob(f"{_stem(fingerprint)}*{SUFFIX}"))
        # Earlier versions made their folder with the rights that are usual for folders.
        if here and not is_private_folder(folder, mend=folder == _folder()):
            _LOGGER.warning("%s is ignored: others own it or may write to it", folder)
        else:
            found += here
    return sorted(found, key=lambda path: path.lstat().st_mtime)


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
        If the file is damaged, others may have written it, or its edits are of another grid.
    """
    data = read_private(path, "rescued work", error=StoreError)
    try:
        return list(_entries(data, path, shape))
    except StoreError as error:
        raise StoreError(
            f"the rescued work in {path} cannot be read: {error.message}",
            hint="It is kept; open the analysis that it was made on, or report it.",
        ) from error


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


def _entries(data: bytes, path: Path, shape: tuple[int, int]) -> Iterator[Entry]:
    header, *lines = data.split(b"\n")
    fingerprint = field(_object(header), "fingerprint", str, "the first line")
    if not path.name.startswith(_stem(fingerprint)) or not lines or lines.pop():
        raise StoreError("it is not whole, or of another slide than its name says.")
    for line in lines:
        value = _object(line)
        kind = field(value, "kind", str, "a line")
        if kind == EDIT:
            yield Edit.from_record(field(value, EDIT, dict, "a line"), shape)
            continue
        if kind not in _ACCEPTED:
            raise StoreError(f"it holds a record of the kind {kind!r}, which nobody can rescue.")
        record = LogRecord(
            kind, field(value, "fields", dict, "a line"), field(value, "made", str, "a line")
        )
        check_record({**record.fields, "kind": kind, "time": record.made})
        if kind == CONFIRMED:
            Edit.from_record(record.fields[EDIT], shape)
        yield record


def _object(line: bytes) -> dict[str, Any]:
    return as_object(parse_json(line, "a line"), "a line")


def _folder() -> Path:
    return workspace_folder().with_name(_FOLDER)


def _folder_of_earlier_versions() -> Path:
    """Return where earlier versions wrote if the user's own folder could not be written."""
    return Path(tempfile.gettempdir()) / "napari-fddm"


def _stem(fingerprint: str) -> str:
    # Hashed, since a fingerprint may be long or hold characters that no file name can.
    return f"{hashlib.sha256(fingerprint.encode()).hexdigest()[:20]}-"


def _write_private(path: Path, data: bytes) -> Path:
    folder = path.parent
    with storage_errors("create", folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not is_private_folder(folder, mend=True):
        raise StoreError(f"{folder} is not a folder of yours alone.")
    with whole_file(path) as part:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
    return path
