"""Writes strokes and records of one analysis to its store: where a stroke becomes a log record.

Every stroke is on disk, in order, within two seconds. Two threads share the open store.
One writes the event log and does nothing else, so that neither deriving the label map
again nor an export delays a stroke; the other does everything that takes long. What
cannot be written stays in memory and is tried again every few seconds. If it still is
not written when the window closes, it goes into a rescue file (`pipeline.store.rescue`).
"""

from __future__ import annotations

import errno
import logging
import threading
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_fddm.core.edits import Edit
from napari_fddm.core.errors import FddmError, StoreError
from napari_fddm.pipeline.store import LogRecord
from napari_fddm.pipeline.store.eventlog import StoreBusyError
from napari_fddm.plugin.document.pending_writes import (
    RescueRemoval,
    StoreJob,
    joined_edits,
    joined_entries,
    remove_rescue,
)
from napari_fddm.plugin.plumbing.worker_thread import WorkerThread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_fddm.pipeline.store import AnalysisStore
    from napari_fddm.plugin.document.pending_writes import Item, Job


log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
"""Time between two attempts to write: free disk space is noticed within two seconds."""
FLUSH_SECONDS = 5.0
"""A closing window waits this long for the event log, then writes a rescue file."""
STORE_SECONDS = 60.0
"""A closing window waits this long for label maps and exports. Maps that are not written by
then are derived from the log when the store is opened again."""
_NO_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)

BUSY = "another window or program is editing this analysis; it can be edited here when that closes"
READ_ONLY = (
    "this analysis lies in a folder that cannot be written, so corrections cannot be kept: "
    "export it to a folder of yours and open the copy"
)


@dataclass(frozen=True, slots=True)
class SaveState:
    """Whether everything a person did to an analysis is on disk.

    Attributes
    ----------
    waiting : int
        Number of edits and records that are in memory only.
    problem : str
        Why they cannot be written; empty while they can.
    locked : str
        Why the analysis may not be changed in this window; empty if it may.
    """

    waiting: int = 0
    problem: str = ""
    locked: str = ""


class StoreWriter(QObject):
    """Writes strokes, records and exports of one store, in threads of its own.

    Parameters
    ----------
    path : Path
        The store.
    fingerprint : str
        Of the slide; rescue files of this slide are looked for. Empty looks for none.
    seq : int or None
        Number of the newest log record that the caller has read. If the log has newer ones
        when editing begins, `reread` is emitted.

    Signals
    -------
    changed : object
        A new `SaveState`.
    failed : object
        The error of an export or of a job that is not tried again.
    reread : object
        An `AnalysisOpened`, because another program has changed the store.
    rescued : object, object
        Edits and records of an earlier window that are in a rescue file, and that file, to
        be given to `remove_rescue`.
    exported : str
        Where a copy was written.
    """

    changed = Signal(object)
    failed = Signal(object)
    reread = Signal(object)
    rescued = Signal(object, object)
    exported = Signal(str)

    def __init__(
        self,
        path: Path,
        parent: QObject | None = None,
        *,
        fingerprint: str = "",
        seq: int | None = None,
    ) -> None:
        super().__init__(parent)
        self.path = path
        self._fingerprint, self._seq = fingerprint, seq
        self._store: AnalysisStore | None = None
        self._items: list[Item] = []
        self._since_reread: list[Edit] | None = None
        self._mutex = threading.Lock()
        self._state = SaveState()
        self._caught_up = self._applying = False
        self._log_thread = WorkerThread("fddm-log", self._retry, RETRY_SECONDS)
        self._store_thread = WorkerThread("fddm-store")

    @property
    def state(self) -> SaveState:
        """Whether everything is on disk now, and whether the analysis may be changed."""
        return self._state

    def take_edits_since_reread(self) -> list[Edit]:
        """Hand over, once, the edits that the `AnalysisOpened` of `reread` does not contain.

        They were made before it arrived, and are logged or waiting to be logged.
        """
        with self._mutex:
            edits, self._since_reread = self._since_reread or [], None
        return edits

    def begin(self) -> None:
        """Acquire the editor's lock, or report in `state` why that is not possible."""
        self._log_thread.submit(self._write_pending)

    def append(self, edit: Edit) -> None:
        """Log an edit, and write it into the corrected map a little later."""
        self._put(edit)

    def record(self, record: LogRecord) -> None:
        """Log something else, e.g. an outline; tried until it is on disk."""
        self._put(record)

    def run_when_logged(self, job: Job) -> None:
        """Run a job that logs something, once everything before is logged; `failed` if not."""
        self._put(StoreJob(job))

    def remove_rescue(self, path: Path) -> None:
        """Remove a rescue file once everything before is logged."""
        self._put(RescueRemoval(path))

    def sync(self) -> None:
        """Update the stored corrected map with the labels of a run that has ended."""
        if not self._state.locked:  # the program that holds the lock updates it otherwise
            self._submit(lambda: self._open().corrections.sync())

    def export(self, destination: Path, *, version: str = "0.5", with_name: bool = False) -> None:
        """Write a validated copy, with the edits that could not be written to the store yet."""

        def work() -> None:
            from napari_fddm.pipeline.outputs import export_version
            from napari_fddm.pipeline.store import AnalysisStore

            with self._mutex:
                unsaved = joined_entries(self._items)

            def add(copy: AnalysisStore) -> None:
                for entry in unsaved:
                    if isinstance(entry, Edit):
                        copy.corrections.log_edits([entry])
                    else:
                        copy.records.append(entry)
                copy.corrections.apply_logged()

            # Opened for reading, which works in a read-only folder, too.
            with AnalysisStore.open(self.path) as store:
                export_version(
                    store,
                    destination,
                    version=version,
                    with_name=with_name,
                    change=add if unsaved else None,
                )
            self.exported.emit(str(destination))

        self._log_thread.submit(lambda: self._submit(work))

    def flush(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Wait until everything so far is in log and map; False if it is not in time."""
        self._log_thread.submit(self._write_pending)
        if not self._log_thread.flush(timeout) or self._items:
            return False
        return self._store_thread.flush(timeout)

    def close(self, timeout: float = FLUSH_SECONDS) -> str:
        """Write what is pending, close the store, end the threads.

        Returns
        -------
        str
            What is not in the store, and where it is instead; empty if everything is.
        """
        self._log_thread.submit(self._write_pending)
        in_time = self._log_thread.flush(timeout)
        with self._mutex:
            unwritten = list(self._items)
        message = self._rescue(unwritten) if unwritten else ""
        if in_time:
            self._log_thread.close()
            self._store_thread.submit(self._close_store)
        else:  # the disk hangs, and the window must close all the same
            self._log_thread.close(0.0)
        self._store_thread.close(STORE_SECONDS if in_time else 0.0)
        return message

    # In the log thread ----------------------------------------------------------

    def _retry(self) -> None:
        if self._items or self._state != SaveState():
            self._write_pending()

    def _write_pending(self) -> None:
        try:
            store = self._open()
            store.log.acquire()
            store.log.flush()
            self._catch_up(store)  # first, or our own strokes would count as changes by others
            self._write_items(store)
        except FddmError as error:
            self._drop_jobs(error)
            self._set_failed(error)
        else:
            self._set_state(SaveState())

    def _write_items(self, store: AnalysisStore) -> None:
        while True:
            with self._mutex:
                items = list(self._items)
            if not items:
                return
            first = items[0]
            if not isinstance(first, Edit):
                self._write_one(first, store)
                continue
            edits = [
                e for e in takewhile(lambda i: isinstance(i, Edit), items) if isinstance(e, Edit)
            ]
            joined = joined_edits(edits)
            try:
                store.corrections.log_edits(joined)
            except FddmError:
                self._replace_first(len(edits), joined)  # joined by tool, to save memory
                raise
            self._replace_first(len(edits), ())
            self._apply_logged(store)
            self._set_state(replace(self._state, waiting=len(self._items)))

    def _write_one(self, item: LogRecord | StoreJob | RescueRemoval, store: AnalysisStore) -> None:
        try:
            if isinstance(item, LogRecord):
                store.records.append(item)
            elif isinstance(item, StoreJob):
                item.run(store)
            else:
                remove_rescue(item.path)
        except FddmError as error:
            if isinstance(item, LogRecord) and isinstance(error.__cause__, OSError):
                raise
            self._replace_first(1, ())
            self.failed.emit(error)
        else:
            self._replace_first(1, ())

    def _catch_up(self, store: AnalysisStore) -> None:
        """Look, the first time only, for changes by other programs and for rescue files."""
        if self._caught_up:
            return
        from napari_fddm.pipeline.outputs import opened_event
        from napari_fddm.pipeline.store.rescue import find_rescues, read_rescue, without_outdated

        if self._state.locked or self._seq not in (None, store.log.last_seq):
            opened = opened_event(store)
            with self._mutex:
                self._since_reread = [item for item in self._items if isinstance(item, Edit)]
            self.reread.emit(opened)
        self._caught_up = True
        for path in find_rescues(self._fingerprint) if self._fingerprint else ():
            try:
                entries = read_rescue(path, store.geometries.label.shape)
                self.rescued.emit(without_outdated(entries, store.log), path)
            except StoreError as error:
                self.failed.emit(error)

    def _set_failed(self, error: FddmError) -> None:
        locked = ""
        if not self._caught_up and isinstance(error, StoreBusyError):
            locked = BUSY
        elif not self._caught_up and getattr(error.__cause__, "errno", None) in _NO_PERMISSION:
            locked = READ_ONLY
        waiting = len(self._items)
        problem = str(error) if waiting or not locked else ""
        if problem != self._state.problem:
            log.warning("%s", error)
        self._set_state(SaveState(waiting, problem, locked))

    def _set_state(self, state: SaveState) -> None:
        if state != self._state:
            self._state = state
            self.changed.emit(state)

    def _drop_jobs(self, error: FddmError) -> None:
        with self._mutex:
            jobs = [i for i in self._items if isinstance(i, StoreJob)]
            self._items = [i for i in self._items if i not in jobs]
        for _ in jobs:
            self.failed.emit(error)

    def _replace_first(self, count: int, edits: Sequence[Edit]) -> None:
        with self._mutex:
            self._items[:count] = edits

    # In the store thread --------------------------------------------------------

    def _submit(self, work: Callable[[], object], *, quiet: bool = False) -> None:
        def guarded() -> None:
            try:
                work()
            except FddmError as error:
                log.warning("%s", error)
                if not quiet:
                    self.failed.emit(error)

        self._store_thread.submit(guarded)

    def _apply_logged(self, store: AnalysisStore) -> None:
        """Write logged edits into the maps; one job that is queued covers all edits until it runs.

        An error is only logged: the log has the edits, and the maps are derived from it again.
        """

        def apply() -> None:
            self._applying = False  # first: edits that are logged from now on need another job
            store.corrections.apply_logged()

        if not self._applying:
            self._applying = True
            self._submit(apply, quiet=True)

    def _close_store(self) -> None:
        if self._store is None:
            return
        store, self._store = self._store, None
        try:
            store.close()
        except FddmError as error:  # the log has everything; the map is derived from it again
            log.warning("%s", error)

    # In any thread --------------------------------------------------------------

    def _put(self, item: Item) -> None:
        with self._mutex:
            self._items.append(item)
            if self._since_reread is not None and isinstance(item, Edit):
                self._since_reread.append(item)
        self._log_thread.submit(self._write_pending)

    def _open(self) -> AnalysisStore:
        from napari_fddm.pipeline.store import AnalysisStore

        with self._mutex:
            if self._store is None:
                self._store = AnalysisStore.open(self.path, "r+")
            return self._store

    def _rescue(self, unwritten: Sequence[Item]) -> str:
        """Write what is pending into a rescue file; return what was lost and kept, in words."""
        from napari_fddm.pipeline.store.rescue import describe_entries, write_rescue

        entries = joined_entries(unwritten)
        lines = [f"NOT SAVED in {self.path}: {self._state.problem or 'the disk does not answer.'}"]
        try:
            if entries:
                place = write_rescue(entries, self._fingerprint, self.path)
                lines.append(
                    f"Kept in {place}: {describe_entries(entries)}. "
                    "They come back when the slide is opened again."
                )
            for item in unwritten:
                if isinstance(item, RescueRemoval):  # its contents are in the new file
                    remove_rescue(item.path)
        except StoreError as error:
            lines.append(str(error))
        if any(isinstance(item, StoreJob) for item in unwritten):
            lines.append("It is not signed off and not unlocked: that was asked for too late.")
        return " ".join(lines)
