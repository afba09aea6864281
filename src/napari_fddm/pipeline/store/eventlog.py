"""The append-only event log of an analysis: every edit and record, from which maps are derived.

One JSON object per line, numbered without gaps, each on the disk (fsync) before
`EventLog.append` returns. A crash can only leave an incomplete last line, of a record
that was never confirmed; reading skips it and the next append removes it. Any other line
that cannot be parsed is damage: it is reported with its number, and the log is refused.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from napari_fddm.core.edits import Edit
from napari_fddm.core.errors import StoreError
from napari_fddm.core.files import storage_errors, sync_folder
from napari_fddm.pipeline.store.lock_holders import describe_holder, note_holder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

EDIT = "edit"
"""Kind of the records that change the corrected labels; the other kinds do not."""

_LOGGER = logging.getLogger(__name__)
_RESERVED = ("seq", "time", "kind")


class StoreBusyError(StoreError):
    """Another program is writing."""


def now() -> str:
    """Return the time as event logs write it: ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class EventLog:
    """Events of one analysis, oldest first.

    Reading needs no lock. The first append takes the log's lock and keeps it
    until `close`, so that two programs cannot write at the same time.

    Parameters
    ----------
    path : Path
        The log file; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = threading.RLock()
        self._lock: Any = None
        self._pending: list[dict[str, Any]] = []
        self._last_seq = 0
        self._size = 0
        self._newest: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        """Return the log itself; leaving the block closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the log."""
        self.close()

    @property
    def pending(self) -> int:
        """Number of records that could not be written yet and are kept in memory."""
        return len(self._pending)

    @property
    def writing(self) -> bool:
        """Whether this log holds the lock."""
        return self._lock is not None

    @property
    def last_seq(self) -> int:
        """Number of the newest record, 0 if there is none.

        Raises
        ------
        StoreError
            If the log is damaged.
        """
        return max((int(record["seq"]) for record in self.records()), default=0)

    def acquire(self) -> None:
        """Take the lock; does nothing if this log holds it already.

        Raises
        ------
        StoreBusyError
            If another program is writing.
        StoreError
            If the folder cannot be written or the log is damaged.
        """
        with self._mutex:
            if self._lock is None:
                lock = acquire_lock(self.path.with_name(f"{self.path.name}.lock"), self.path)
                try:
                    self._last_seq, self._size = self._survey()
                except BaseException:
                    lock.release()
                    raise
                self._lock = lock

    def append(self, kind: str, /, **fields: Any) -> dict[str, Any]:
        """Write one record durably and return it.

        Parameters
        ----------
        kind : str
            "edit", "run", "note" …
        **fields
            JSON values; "seq", "time" and "kind" are set by the log.

        Raises
        ------
        StoreError
            If it cannot be written. The record is then kept (see `pending`)
            and tried again by the next append, `flush` or `close`, unless it
            has no JSON form.
        """
        with self._mutex:
            record = self.defer(kind, **fields)
            self.flush()
            return record

    def extend(self, events: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
        """Write several records with one fsync, or none of them.

        Unlike `append`, it keeps nothing in memory if that fails.

        Parameters
        ----------
        events : sequence of (kind, fields)
            As `append` takes them.

        Raises
        ------
        StoreError
            If they, or what was pending before, cannot be written.
        """
        with self._mutex:
            kept = len(self._pending)
            try:
                records = [self.defer(kind, **fields) for kind, fields in events]
                self.flush()
            except BaseException:
                del self._pending[kept:]
                raise
            return records

    def defer(self, kind: str, /, **fields: Any) -> dict[str, Any]:
        """Keep one record in memory until the next append, `flush` or `close`.

        Raises
        ------
        StoreError
            If it has no JSON form or a field that the log sets.
        """
        taken = [name for name in _RESERVED if name in fields]
        if taken:
            raise StoreError(f"an event cannot have a field {taken[0]!r}: the log sets it.")
        record = {"seq": 0, "time": now(), "kind": kind, **fields}
        _line_of(record)
        with self._mutex:
            self._pending.append(record)
        return record

    def flush(self) -> None:
        """Write what is pending.

        Raises
        ------
        StoreError
            If that fails; the records stay in memory.
        """
        with self._mutex:
            if not self._pending:
                return
            self.acquire()
            for number, record in enumerate(self._pending, self._last_seq + 1):
                record["seq"] = number
            data = b"".join(_line_of(record) for record in self._pending)
            with storage_errors("write the event log", self.path):
                _write_at(self.path, self._size, data)
            self._size += len(data)
            self._last_seq += len(self._pending)
            self._newest |= {r["kind"]: r for r in self._pending if r["kind"] != EDIT}
            self._pending.clear()

    def records(self, kind: str | None = None) -> Iterator[dict[str, Any]]:
        """Iterate over the records, oldest first; pending ones come last.

        Parameters
        ----------
        kind : str, optional
            Only records of this kind.

        Raises
        ------
        StoreError
            If a line other than the last is damaged; the message names it.
        """
        seq = 0
        for record, _ in self._stored():
            seq = int(record["seq"])
            if kind is None or record["kind"] == kind:
                yield record
        for number, record in enumerate(tuple(self._pending), seq + 1):
            if kind is None or record["kind"] == kind:
                yield record | {"seq": number}

    def newest(self, *kinds: str) -> dict[str, Any] | None:
        """Return the last stored record of these kinds (not "edit"); None without one.

        The file is read only if this log does not hold the lock.

        Raises
        ------
        StoreError
            If the log is damaged.
        """
        with self._mutex:
            if not self.writing:
                self._survey()
            found = [self._newest[kind] for kind in kinds if kind in self._newest]
        return max(found, key=lambda record: int(record["seq"]), default=None)

    def edits(self, layer: str) -> Iterator[Edit]:
        """Iterate over the edits of a label layer, oldest first.

        Raises
        ------
        StoreError
            If the log or an edit in it is damaged.
        """
        for record in self.records(EDIT):
            if record.get("layer") != layer:
                continue
            try:
                yield Edit.from_record(record["edit"])
            except (StoreError, KeyError, TypeError) as error:
                raise StoreError(
                    f"{self.path}, record {record['seq']}: {error}",
                    hint="Restore the event log from a backup.",
                ) from error

    def close(self) -> None:
        """Write what is pending and release the lock.

        Raises
        ------
        StoreError
            If pending records could not be written; the lock is released
            all the same.
        """
        with self._mutex:
            try:
                self.flush()
            finally:
                if self._lock is not None:
                    self._lock.release()
                    self._lock = None

    def _survey(self) -> tuple[int, int]:
        """Return the last record's number and the size of the file up to the last whole line."""
        seq, size = 0, 0
        self._newest.clear()
        for record, end in self._stored():
            seq, size = int(record["seq"]), end
            if record["kind"] != EDIT:
                self._newest[record["kind"]] = record
        return seq, size

    def _stored(self) -> Iterator[tuple[dict[str, Any], int]]:
        """Iterate over the complete lines: record, and the offset of the next line."""
        if not self.path.exists():
            return
        with storage_errors("read the event log", self.path), self.path.open("rb") as file:
            offset, number, line = 0, 1, file.readline()
            while line:
                following = file.readline()
                record = _parsed(line, number)
                if record is None and not following:
                    _LOGGER.warning("%s: skipped an unfinished last line", self.path)
                    return
                if record is None:
                    raise StoreError(
                        f"{self.path}, line {number}: the event log is damaged.",
                        hint="Restore it from a backup; the lines before are intact.",
                    )
                offset += len(line)
                yield record, offset
                number, line = number + 1, following


def acquire_lock(lock_path: Path, what: Path) -> Any:
    """Take a file lock, which the system releases when the process ends.

    Parameters
    ----------
    lock_path : Path
        File to lock; it is not removed afterwards.
    what : Path
        What the lock protects, for the message.

    Returns
    -------
    FileLock
        Held; call ``release()``.

    Raises
    ------
    StoreBusyError
        If another program holds it.
    StoreError
        If the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(lock_path, timeout=0, thread_local=False)
    with storage_errors("lock", what):
        try:
            lock.acquire()
        except Timeout as error:
            holder = describe_holder(lock_path)
            raise StoreBusyError(
                f"{what} is being written by another program{f' ({holder})' if holder else ''}.",
                hint="Close the other napari window or wait for the other run to end.",
            ) from error
    note_holder(lock_path)
    return lock


def _line_of(record: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return f"{text}\n".encode()
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"an event of kind {record['kind']!r} has no JSON form: {error}.",
            hint="Give plain numbers, text, lists and mappings.",
        ) from error


def _parsed(line: bytes, number: int) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    whole = isinstance(record, dict) and record.get("seq") == number and "kind" in record
    return record if whole else None


def _write_at(path: Path, size: int, data: bytes) -> None:
    """Write after the first ``size`` bytes of a file; an incomplete line there is dropped."""
    new = not path.exists()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
    try:
        os.ftruncate(handle, size)
        os.lseek(handle, size, os.SEEK_SET)
        left = memoryview(data)
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    if new:
        sync_folder(path.parent)
