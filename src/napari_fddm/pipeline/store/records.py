"""Records of the event log that are not edits: outlines, estimates, confirmations, sign-offs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_fddm.pipeline.store.eventlog import now
from napari_fddm.pipeline.store.signature import LOCKED_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_fddm.pipeline.store.access import Access
    from napari_fddm.pipeline.store.eventlog import EventLog


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record that is not yet in a log.

    It is plain data, so that it can be saved elsewhere when the log cannot be written.

    Attributes
    ----------
    kind : str
        As in the event log, e.g. "tumor_bed".
    fields : mapping
        JSON values.
    made : str
        When the person made it, ISO 8601, UTC.
    """

    kind: str
    fields: Mapping[str, Any]
    made: str = field(default_factory=now)


class Records:
    """The records of one store's event log that are not edits.

    Parameters
    ----------
    log : EventLog
        The store's log.
    access : Access
        What the store allows at present.
    """

    def __init__(self, log: EventLog, access: Access) -> None:
        self._log = log
        self._access = access

    def append(self, record: LogRecord) -> dict[str, Any]:
        """Write a record durably and return it as logged; if that fails, nothing is kept.

        Raises
        ------
        SignedOffError
            If the analysis is signed off and the record would change what was signed.
        StoreError
            If the store is closed or read-only, or the log cannot be written.
        """
        self._access.require_writing()
        self._log.acquire()
        if record.kind in LOCKED_KINDS:
            self._access.require_unsigned()
        return self._log.extend([(record.kind, record.fields)])[0]

    def of(self, kind: str, layer: str) -> Iterator[dict[str, Any]]:
        """Iterate over the records of one kind that belong to one label map, oldest first.

        Raises
        ------
        StoreError
            If the log is damaged.
        """
        return (record for record in self._log.records(kind) if record.get("layer") == layer)
