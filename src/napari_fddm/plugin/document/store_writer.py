"""Keeps what a person did to an analysis: in order, on the disk, within two seconds.

Two threads share the open store. One writes the event log and waits for nothing else,
so that neither a label map that is derived again nor an export holds a stroke back;
the other does all that takes long. What cannot be written stays in memory, is tried
again every few seconds and, when the window closes before it worked, goes into a file
of its own (`pipeline.store.rescue`).
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
from napari_fddm.pipeline.store.eventlog import StoreBusyError
from napari_fddm.pipeline.store.records import LogRecord
from napari_fddm.plugin.document.pending_writes import (
    Asked,
    Forgotten,
    joined_edits,
    joined_entries,
    remove_rescue,
)
from napari_fddm.plugin.plumbing.worker_thread import WorkerThread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_fddm.pipeline.store.analysis_store import AnalysisStore
    from napari_fddm.plugin.document.pending_writes import Item, Job


log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
"""What failed is tried again this often: free space is noticed within two seconds."""
FLUSH_SECONDS = 5.0
"""A closing window waits this long for the event log, then writes a rescue file."""
STORE_SECONDS = 60.0
"""And this long for label maps and exports; the maps follow from the log in any case."""
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)

BUSY = "another window or program is editing this analysis; it can be edited here when that closes"
READ_ONLY = (
    "this analysis lies in a folder that cannot be written, so corrections cannot be kept: "
    "export it to a folder of yours and open the copy"
)


@dataclass(frozen=True, slots=True)
class SaveState:
    """How well an analysis is kept.

    Attributes
    ----------
    waiting : int
        Edits and records that are in memory only.
    problem : str
        Why they cannot be written; empty while they can.
    locked : str
        Why nothing may be changed here; empty if it may.
    """

    waiting: int = 0
    problem: str = ""
    locked: str = ""


class StoreWriter(QObject):
    """Writes strokes, records and exports of one store.

    Parameters
    ----------
    path : Path
        The store.
    fingerprint : str
        Of the slide; edits that were rescued for it are found. Empty looks for none.
    seq : int or None
        Number of the newest record of the log that the caller knows of. If there are
        others when editing begins, `reread` tells.

    Signals
    -------
    changed : object
        A new `SaveState`.
    failed : object
        The error of an export or of a job that is not tried again.
    reread : object
        An `AnalysisOpened`: another program had changed the store.
    rescued : object, object
        Edits and records of an earlier window, and their file, to `forget`.
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
        self._unread: list[Edit] | None = None
        self._mutex = threading.Lock()
        self._state = SaveState()
        self._begun = self._applying = False
        self._log_lane = WorkerThread("fddm-log", self._tick, RETRY_SECONDS)
        self._lane = WorkerThread("fddm-store")

    @property
    def state(self) -> SaveState:
        """How well the analysis is kept now."""
        return self._state

    def take_unread(self) -> list[Edit]:
        """Hand over, once, the edits that the answer of `reread` does not hold.

        They were made before it arrived, and are logged or wait for it.
        """
        with self._mutex:
            edits, self._unread = self._unread or [], None
        return edits

    def begin(self) -> None:
        """Take the editor's lock, or find out why not."""
        self._log_lane.submit(self._work)

    def append(self, edit: Edit) -> None:
        """Log an edit, and write it into the corrected map a little later."""
        self._put(edit)

    def record(self, record: LogRecord) -> None:
        """Log something else, e.g. an outline; tried until the disk takes it."""
        self._put(record)

    def ask(self, job: Job) -> None:
        """Let a job log something once everything before is logged; `failed` if not."""
        self._put(Asked(job))

    def forget(self, place: Path) -> None:
        """Remove a rescue file once everything before is logged."""
        self._put(Forgotten(place))

    def sync(self) -> None:
        """Bring the stored corrected map onto the labels of a run that has ended."""
        if not self._state.locked:  # else the program that edits it does so
            self._submit(lambda: self._open().corrections.sync())

    def export(self, destination: Path, *, version: str = "0.5", with_name: bool = False) -> None:
        """Write a validated copy, with the edits that the store itself could not take yet."""

        def work() -> None:
            from napari_fddm.pipeline.outputs.export import export_version
            from napari_fddm.pipeline.store.analysis_store import AnalysisStore

            with self._mutex:
                unsaved = joined_entries(self._items)

            def add(copy: AnalysisStore) -> None:
                for entry in unsaved:
                    if isinstance(entry, Edit):
                        copy.corrections.log_edits([entry])
                    else:
                        copy.records.append(entry)
                copy.corrections.apply_logged()

            # Opened for reading: that works in a folder that cannot be written, too.
            with AnalysisStore.open(self.path) as store:
                export_version(
                    store,
                    destination,
                    version=version,
                    with_name=with_name,
                    change=add if unsaved else None,
                )
            self.exported.emit(str(destination))

        self._log_lane.submit(lambda: self._submit(work))

    def flush(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Wait until everything so far is in log and map; False if it is not by then."""
        self._log_lane.submit(self._work)
        if not self._log_lane.flush(timeout) or self._items:
            return False
        return self._lane.flush(timeout)

    def close(self, timeout: float = FLUSH_SECONDS) -> str:
        """Write what waits, close the store, end the threads.

        Returns
        -------
        str
            What is not in the store, and where it is instead; empty if all is.
        """
        self._log_lane.submit(self._work)
        in_time = self._log_lane.flush(timeout)
        with self._mutex:
            left = list(self._items)
        said = self._rescue(left) if left else ""
        if in_time:
            self._log_lane.close()
            self._lane.submit(self._close_store)
        else:  # the disk hangs: do not hang with it
            self._log_lane.close(0.0)
        self._lane.close(STORE_SECONDS if in_time else 0.0)
        return said

    # In the thread of the log ---------------------------------------------------

    def _tick(self) -> None:
        if self._items or self._state != SaveState():
            self._work()

    def _work(self) -> None:
        try:
            store = self._open()
            store.log.acquire()
            store.log.flush()
            self._meet(store)  # first: our own strokes are no news of others
            self._write_items(store)
        except FddmError as error:
            self._drop_asked(error)
            self._say_failed(error)
        else:
            self._say(SaveState())

    def _write_items(self, store: AnalysisStore) -> None:
        while True:
            with self._mutex:
                items = list(self._items)
            if not items:
                return
            first = items[0]
            if not isinstance(first, Edit):
                self._do(first, store)
                continue
            edits = [
                e for e in takewhile(lambda i: isinstance(i, Edit), items) if isinstance(e, Edit)
            ]
            joined = joined_edits(edits)
            try:
                store.corrections.log_edits(joined)
            except FddmError:
                self._replace_first(len(edits), joined)  # one of each tool, to save memory
                raise
            self._replace_first(len(edits), ())
            self._apply_logged(store)
            self._say(replace(self._state, waiting=len(self._items)))

    def _do(self, item: LogRecord | Asked | Forgotten, store: AnalysisStore) -> None:
        try:
            if isinstance(item, LogRecord):
                store.records.append(item)
            elif isinstance(item, Asked):
                item.run(store)
            else:
                remove_rescue(item.place)
        except FddmError as error:
            if isinstance(item, LogRecord) and isinstance(error.__cause__, OSError):
                raise
            self._replace_first(1, ())
            self.failed.emit(error)
        else:
            self._replace_first(1, ())

    def _meet(self, store: AnalysisStore) -> None:
        """Once: look for what others did to the store, and for rescued edits."""
        if self._begun:
            return
        from napari_fddm.pipeline.outputs.report import opened_event
        from napari_fddm.pipeline.store.rescue import find_rescues, read_rescue, without_outdated

        if self._state.locked or self._seq not in (None, store.log.last_seq):
            opened = opened_event(store)
            with self._mutex:
                self._unread = [item for item in self._items if isinstance(item, Edit)]
            self.reread.emit(opened)
        self._begun = True
        for path in find_rescues(self._fingerprint) if self._fingerprint else ():
            try:
                entries = read_rescue(path, store.geometries.label.shape)
                self.rescued.emit(without_outdated(entries, store.log), path)
            except StoreError as error:
                self.failed.emit(error)

    def _say_failed(self, error: FddmError) -> None:
        locked = ""
        if not self._begun and isinstance(error, StoreBusyError):
            locked = BUSY
        elif not self._begun and getattr(error.__cause__, "errno", None) in _FORBIDDEN:
            locked = READ_ONLY
        waiting = len(self._items)
        problem = str(error) if waiting or not locked else ""
        if problem != self._state.problem:
            log.warning("%s", error)
        self._say(SaveState(waiting, problem, locked))

    def _say(self, state: SaveState) -> None:
        if state != self._state:
            self._state = state
            self.changed.emit(state)

    def _drop_asked(self, error: FddmError) -> None:
        with self._mutex:
            asked = [i for i in self._items if isinstance(i, Asked)]
            self._items = [i for i in self._items if i not in asked]
        for _ in asked:
            self.failed.emit(error)

    def _replace_first(self, count: int, others: Sequence[Edit]) -> None:
        with self._mutex:
            self._items[:count] = others

    # In the thread of the store -------------------------------------------------

    def _submit(self, work: Callable[[], object], *, quiet: bool = False) -> None:
        def guarded() -> None:
            try:
                work()
            except FddmError as error:
                log.warning("%s", error)
                if not quiet:  # else the log has it, and the map is derived again later
                    self.failed.emit(error)

        self._lane.submit(guarded)

    def _apply_logged(self, store: AnalysisStore) -> None:
        """Let the maps follow the log; what waits for that already takes newer edits along."""

        def apply() -> None:
            self._applying = False  # first: what is logged from now on needs a turn of its own
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
        except FddmError as error:  # the log has everything; the map is derived again
            log.warning("%s", error)

    # In any thread --------------------------------------------------------------

    def _put(self, item: Item) -> None:
        with self._mutex:
            self._items.append(item)
            if self._unread is not None and isinstance(item, Edit):
                self._unread.append(item)
        self._log_lane.submit(self._work)

    def _open(self) -> AnalysisStore:
        from napari_fddm.pipeline.store.analysis_store import AnalysisStore

        with self._mutex:
            if self._store is None:
                self._store = AnalysisStore.open(self.path, "r+")
            return self._store

    def _rescue(self, left: Sequence[Item]) -> str:
        from napari_fddm.pipeline.store.rescue import describe_entries, write_rescue

        entries = joined_entries(left)
        asked = sum(isinstance(item, Asked) for item in left)
        said = [f"NOT SAVED in {self.path}: {self._state.problem or 'the disk does not answer.'}"]
        try:
            if entries:
                place = write_rescue(entries, self._fingerprint, self.path)
                said.append(
                    f"Kept in {place}: {describe_entries(entries)}. "
                    "They come back when the slide is opened again."
                )
            for item in left:
                if isinstance(item, Forgotten):  # what came from it is in the new file
                    remove_rescue(item.place)
        except StoreError as error:
            said.append(str(error))
        if asked:
            said.append("It is not signed off and not unlocked: that was asked for too late.")
        return " ".join(said)
