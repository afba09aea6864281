"""What waits for the event log, in the order in which a person made it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from napari_fddm.core.edits import Edit, combined
from napari_fddm.core.files import storage_errors
from napari_fddm.pipeline.store.records import LogRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from napari_fddm.pipeline.store.analysis_store import AnalysisStore
    from napari_fddm.pipeline.store.rescue import Entry

    Job = Callable[[AnalysisStore], object]


@dataclass(frozen=True, slots=True)
class Asked:
    """A job that needs the store as it is then, so it is done once or refused."""

    run: Job


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A rescue file that goes once everything before is in the log."""

    place: Path


Item = Edit | LogRecord | Asked | Forgotten


def joined_entries(items: Iterable[Item]) -> list[Entry]:
    """Return edits and records in their order, neighboring edits of one tool as one."""
    joined: list[Entry] = []
    edits: list[Edit] = []
    for item in items:
        if isinstance(item, Edit):
            edits.append(item)
        elif isinstance(item, LogRecord):
            joined += [*joined_edits(edits), item]
            edits = []
    return [*joined, *joined_edits(edits)]


def joined_edits(edits: Sequence[Edit]) -> list[Edit]:
    """Return one edit for each run of edits with the same tool."""
    groups = (combined(list(group)) for _, group in groupby(edits, key=lambda edit: edit.tool))
    return [edit for edit in groups if edit is not None]


def remove_rescue(place: Path) -> None:
    """Remove a rescue file.

    Raises
    ------
    StoreError
        If that is not allowed.
    """
    with storage_errors("remove", place):
        place.unlink(missing_ok=True)
