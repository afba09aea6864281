"""Begin a new event log where the old one is lost or damaged, as a person decided.

The old files are kept in ``fddm/set_aside/<date>``. The first record of the new log says what
was done, and by whom. A crash in between leaves a log that is still refused.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from napari_fddm.core.edits import difference
from napari_fddm.core.errors import ConfigError, StoreError
from napari_fddm.core.files import storage_errors, sync_folder, whole_file
from napari_fddm.core.geometry import Window
from napari_fddm.core.outside.text import visible, visible_line
from napari_fddm.pipeline.store import layout
from napari_fddm.pipeline.store.analysis_store import AnalysisStore
from napari_fddm.pipeline.store.eventlog import EDIT, EventLog, acquire_lock, now
from napari_fddm.pipeline.store.log_lines import LogEnd, LogMismatchError
from napari_fddm.pipeline.store.signoff import labels_sha256
from napari_fddm.pipeline.store.strokes import stroke_fields
from napari_fddm.pipeline.store.synced import Synced, read_synced, write_synced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from napari_fddm.pipeline.store.synced import Basis

    Records = Sequence[tuple[str, Mapping[str, Any]]]

BEGUN_FROM_MAP, GIVEN_UP = "begun_from_map", "corrections_given_up"
"""Kinds of the record that begins the new log; the tool of the edits that hold the map."""
SET_ASIDE = "set_aside"
_DATE = "%Y-%m-%d-%H%M%S-%f"


def log_fault(path: Path) -> LogMismatchError | None:
    """Return why the event log of a store is refused; None if it is not.

    Raises
    ------
    StoreError
        If the store cannot be read for another reason.
    """
    try:
        with AnalysisStore.open(path) as store:
            for layer in store.corrections.layers:
                store.labels(layer)
                store.corrections.held_cells(layer)
    except LogMismatchError as fault:
        return fault
    return None


def begin_from_map(path: Path, reader: str) -> Path:
    """Make the stored corrected maps the beginning of a new event log.

    Cells that differ from the model's labels count as corrected by a person from then on.
    Outlines, estimates and sign-offs of the old log are not taken over.

    Parameters
    ----------
    path : Path
        A store whose event log is refused.
    reader : str
        Name or initials of the person who decides so.

    Returns
    -------
    Path
        Folder with the old files.

    Raises
    ------
    ConfigError
        If the name is empty.
    StoreError
        If the log is all right, the store is in use, or a stored map is damaged or was made
        from older labels of the model, so that it does not tell what a person corrected.
    """
    return _begin(path, reader, _records_of_maps)


def give_up_corrections(path: Path, reader: str) -> Path:
    """Begin an empty event log: the labels are the model's again.

    Parameters, errors and what is returned are those of `begin_from_map`, but stored maps need
    not be readable.
    """
    return _begin(path, reader, lambda _, name: [(GIVEN_UP, {"reader": name})])


def beginning(log: EventLog) -> str:
    """Return in words that a log was begun anew, by whom and when; empty if it was not.

    Raises
    ------
    StoreError
        If the log is damaged.
    """
    record = log.newest(BEGUN_FROM_MAP, GIVEN_UP)
    if record is None:
        return ""
    when = datetime.fromisoformat(record["time"]).astimezone()
    by = f"by {visible_line(record['reader'])} on {when:%Y-%m-%d %H:%M}"
    if record["kind"] == GIVEN_UP:
        return f"earlier corrections, outlines and estimates were given up {by}"
    return (
        f"the event log was begun anew from the stored map {by}; "
        "earlier outlines and estimates were not taken over"
    )


def rewrite_log(
    path: Path,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    renamed: Callable[[str], str],
) -> None:
    """Change the texts of a log and the names of its label maps, in a copy of a store.

    Parameters
    ----------
    path : Path
        The log; nobody else may be writing it.
    change : callable
        Returns the new record for an old one. Number and edit must stay as they are.
    renamed : callable
        Returns the new name for that of a label map.

    Raises
    ------
    StoreError
        If the log is refused or cannot be written.
    """
    log = EventLog(path)
    if not log.last_seq:
        return
    synced = read_synced(path.parent)
    maps = synced.maps if synced is not None else {}
    _write(
        path,
        (change(record) for record in log.records()),
        {renamed(layer): basis for layer, basis in maps.items()},
    )


def _begin(path: Path, reader: str, records: Callable[[AnalysisStore, str], Records]) -> Path:
    name = " ".join(reader.split())
    if not name:
        raise ConfigError("the record needs the reader's name or initials.", hint="Use --reader.")
    ours = path / layout.OURS
    with _locked(path):
        if log_fault(path) is None:
            raise StoreError(
                f"the event log of {visible(path)} is in order, so nothing is repaired.",
                hint="Go on as usual.",
            )
        with AnalysisStore.open(path) as store:
            new = records(store, name)
        kept = _copy_aside(ours)
        _write(
            ours / layout.EVENTS,
            ({"seq": 0, "time": now(), "kind": kind, **fields} for kind, fields in new),
            {},
        )
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.sync()
    return kept


def _records_of_maps(store: AnalysisStore, reader: str) -> Records:
    synced = read_synced(store.path / layout.OURS)
    maps = {layer: store.corrections.stored(layer) for layer in store.corrections.layers}
    automatic, revision = store.maps.current_labels(), store.maps.revision
    for layer in maps:
        if not store.maps.holds_all(layer):
            raise StoreError(
                f"{visible(store.path)}: parts of labels/{layer} are lost or damaged.",
                hint="Put the event log back from a backup, or give the corrections up.",
            )
        basis = synced.maps.get(layer) if synced is not None else None
        if basis is not None and basis["automatic"] != revision:
            raise StoreError(
                f"{visible(store.path)}: labels/{layer} was made from older labels of the model, "
                "so it does not tell what a person corrected.",
                hint="Put the event log back from a backup, or give the corrections up.",
            )
    sums = {layer: labels_sha256(labels) for layer, labels in maps.items()}
    begun = (BEGUN_FROM_MAP, {"reader": reader, "maps": sums})
    return [begun, *_edits_of_maps(maps, automatic, reader, len(store.table))]


def _edits_of_maps(
    maps: Mapping[str, npt.NDArray[np.uint8]],
    automatic: npt.NDArray[np.uint8],
    reader: str,
    classes: int,
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for layer, labels in maps.items():
        if int(labels.max()) > classes:
            raise StoreError(
                f"labels/{layer} has the label {labels.max()} of {classes} classes.",
                hint="Put the event log back from a backup, or give the corrections up.",
            )
        edit = difference(automatic, labels, Window(0, 0, *automatic.shape), BEGUN_FROM_MAP)
        if edit is not None:
            yield EDIT, stroke_fields(edit, layer, reader)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep runs and editors out."""
    run = acquire_lock(path / layout.OURS / layout.RUN_LOCK, path)
    try:
        editor = acquire_lock(path / layout.OURS / f"{layout.EVENTS}.lock", path)
        try:
            yield
        finally:
            editor.release()
    finally:
        run.release()


def _copy_aside(ours: Path) -> Path:
    kept = ours / SET_ASIDE / datetime.now().astimezone().strftime(_DATE)
    with storage_errors("keep the old event log in", kept):
        kept.mkdir(parents=True)
        for name in (layout.EVENTS, layout.SYNCED):
            if (ours / name).exists():
                shutil.copyfile(ours / name, kept / name)
        for folder in (kept, kept.parent, ours):
            sync_folder(folder)
    return kept


def _write(path: Path, records: Iterator[dict[str, Any]], maps: dict[str, Basis]) -> None:
    """Replace a log, then say which maps follow from it."""
    end = LogEnd()
    with whole_file(path) as part, part.open("wb") as file:
        for record in records:
            line, end = end.extended(record)
            file.write(line)
    write_synced(path.parent, Synced(maps, end.seq, end.chain))
