"""A short summary of a store, without opening its maps: date, coverage, number of edits."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from napari_fddm.core.errors import StoreError
from napari_fddm.core.necrosis import beside
from napari_fddm.core.outside.checked_json import read_checked
from napari_fddm.core.outside.json_files import as_object, read_json
from napari_fddm.core.outside.text import visible_line
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
    renamed : bool
        Whether it was found by the slide's pixels, under another name than the slide's.
    """

    path: Path
    when: datetime | None
    coverage: float | None
    complete: bool
    edits: int
    renamed: bool = False

    @property
    def text(self) -> str:
        """The summary as a sentence for the user."""
        facts = [f"{self.when:%Y-%m-%d %H:%M}"] if self.when is not None else []
        if self.coverage is not None:
            share = beside(self.coverage, 1.0, digits=0, per=100)
            facts.append(f"{share}% of the tissue")
        elif not self.complete:
            facts.append("not complete")
        if self.edits:
            facts.append("1 edit" if self.edits == 1 else f"{self.edits} edits")
        else:
            facts.append("no edits")
        name = f" under another name, {visible_line(self.path.name)}" if self.renamed else ""
        return f"This slide has an analysis{name} ({', '.join(facts)})."


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
    about = read_checked(path / layout.OURS / layout.PROVENANCE, required=False)
    run = read_checked(path / layout.OURS / layout.RUN, required=False)
    coverage = as_object(about.get("run", {}), path).get("coverage")
    edits = sum(1 for _ in EventLog(path / layout.OURS / layout.EVENTS).records(EDIT))
    return StoreSummary(
        path,
        _local(about.get("updated", about.get("created"))),
        float(coverage) if isinstance(coverage, int | float) else None,
        bool(run.get("complete", False)),
        edits,
    )


def summarize_renamed(slide_path: Path, fingerprint: str) -> StoreSummary | None:
    """Summarize the analysis beside a slide that was made of the same pixels under another name.

    Of each analysis in the folder only one small file is read.

    Parameters
    ----------
    slide_path : Path
        The slide's file or folder.
    fingerprint : str
        `Slide.fingerprint`.

    Returns
    -------
    StoreSummary or None
        Of the one that was written last; None if there is none.
    """
    own = f"{slide_path.name}{layout.SUFFIX}"
    summaries = []
    for path in _stores_in(slide_path.parent):
        if path.name == own or _fingerprint(path) != fingerprint:
            continue
        with suppress(StoreError):
            summary = summarize_store(path)
            summaries += [replace(summary, renamed=True)] if summary is not None else []
    return max(summaries, key=lambda s: s.when.timestamp() if s.when else 0.0, default=None)


def _stores_in(folder: Path) -> list[Path]:
    try:
        return list(folder.glob(f"*{layout.SUFFIX}"))
    except OSError:
        return []


def _fingerprint(store: Path) -> object:
    try:
        about = read_json(store / layout.OURS / layout.PROVENANCE)
        return as_object(about.get("slide"), store).get("fingerprint")
    except StoreError:
        return None


def _local(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)).astimezone()
    except ValueError:
        return None
