"""What waits to be written to the store, in the order in which a person made it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from napari_fddm.core.edits import Edit, combined
from napari_fddm.core.files import storage_errors
from napari_fddm.pipeline.store import LogRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from napari_fddm.pipeline.store import AnalysisStore
    from napari_fddm.pipeline.store.rescue import Entry

    Job = Callable[[AnalysisStore], object]


@dataclass(frozen=True, slots=True)
class StoreJob:
    """A function that writes to the store itself; it is called once, and not again if it fails."""

    run: Job


@dataclass(frozen=True, slots=True)
class RescueRemoval:
    """A rescue file that is removed once everything before is in the log."""

    path: Path


Item = Edit | LogRecord | StoreJob | RescueRemoval


def joined_entries(items: Iterable[Item]) -> list[Entry]:
    """Return edits and records in their order; successive edits of one tool become one."""
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
    """Return one edit for each group of successive edits with the same tool."""
    groups = (combined(list(group)) for _, group in groupby(edits, key=lambda edit: edit.tool))
    return [edit for edit in groups if edit is not None]


def remove_rescue(path: Path) -> None:
    """Remove a rescue file.

    Raises
    ------
    StoreError
        If that is not allowed.
    """
    with storage_errors("remove", path):
        path.unlink(missing_ok=True)
