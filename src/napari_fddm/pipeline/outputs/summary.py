"""A short summary of a store, without opening its maps: date, coverage, number of edits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from napari_fddm.core.outside.json_files import read_json
from napari_fddm.pipeline.store import layout
from napari_fddm.pipeline.store.eventlog import EDIT, EventLog
from napari_fddm.pipeline.store.replacing import recover

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class StoreSummary:
    """What is known about a store without reading its maps.

    Attributes
    ----------
    path : Path
        The store.
    when : datetime or None
        When a run last wrote into it, local time; None if that is not recorded.
    coverage : float or None
        Share of the slide's tissue that was analyzed, 0–1.
    complete : bool
        Whether the last run came to its end.
    edits : int
        Corrections in its log, undone ones included.
    """

    path: Path
    when: datetime | None
    coverage: float | None
    complete: bool
    edits: int

    @property
    def text(self) -> str:
        """The summary as a sentence for the user."""
        facts = [f"{self.when:%Y-%m-%d %H:%M}"] if self.when is not None else []
        if self.coverage is not None:
            facts.append(f"{self.coverage:.0%} of the tissue")
        elif not self.complete:
            facts.append("not complete")
        if self.edits:
            facts.append("1 edit" if self.edits == 1 else f"{self.edits} edits")
        else:
            facts.append("no edits")
        return f"This slide has an analysis ({', '.join(facts)})."


def summarize_store(path: Path) -> StoreSummary | None:
    """Summarize a store from its small files; no map is read.

    An old store that a killed run had renamed, but not replaced, is put back first.

    Parameters
    ----------
    path : Path
        Where a store may be.

    Returns
    -------
    StoreSummary or None
        None if there is no store.

    Raises
    ------
    StoreError
        If it is damaged.
    """
    recover(path)
    if not layout.is_our_store(path):
        return None
    about = read_json(path / layout.OURS / layout.PROVENANCE)
    run = read_json(path / layout.OURS / layout.RUN)
    coverage = about.get("run", {}).get("coverage")
    edits = sum(1 for _ in EventLog(path / layout.OURS / layout.EVENTS).records(EDIT))
    return StoreSummary(
        path,
        _local(about.get("updated", about.get("created"))),
        float(coverage) if isinstance(coverage, int | float) else None,
        bool(run.get("complete", False)),
        edits,
    )


def _local(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)).astimezone()
    except ValueError:
        return None
