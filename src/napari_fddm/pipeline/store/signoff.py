"""Signing an analysis off, as records of its event log, and what that forbids.

The newest of the two kinds of records counts. While an analysis is signed, its
store refuses edits, outlines and runs; the log stays open for the record that
unlocks it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import ConfigError, StoreError
from napari_fddm.core.signoff import SignOff
from napari_fddm.pipeline.store import layout
from napari_fddm.pipeline.store.eventlog import claim

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.necrosis import NecrosisReport
    from napari_fddm.pipeline.store.analysis_store import AnalysisStore
    from napari_fddm.pipeline.store.eventlog import EventLog

SIGNED, UNLOCKED = "sign_off", "unlock"
LOCKED_KINDS = frozenset({"edit", "tumor_bed"})
"""Records that change what was signed."""


class SignedOffError(StoreError):
    """The analysis is signed off, so it cannot be changed."""


def sign_off(store: AnalysisStore, reader: str, report: NecrosisReport) -> SignOff:
    """Sign the corrected labels of a store, durably.

    Parameters
    ----------
    store : AnalysisStore
        Open for writing.
    reader : str
        Name or initials.
    report : NecrosisReport
        Of the corrected labels, as the reader saw it.

    Raises
    ------
    ConfigError
        Without a name.
    SignedOffError
        If it is signed already.
    StoreBusyError
        If a run is writing, or another program is editing.
    StoreError
        If the log cannot be written.
    """
    name = " ".join(reader.split())
    if not name:
        raise ConfigError("a sign-off needs the reader's name or initials.")
    store.log.acquire()
    refuse_signed(store.log)
    run_lock = claim(store.path / layout.OURS / layout.RUN_LOCK, store.path)
    try:
        signed = {
            "definition": report.main.definition.name,
            "rates": {result.definition.name: result.rate for result in report.results},
            "coverage": report.coverage,
            "labels_sha256": labels_sha256(store.labels(layout.CORRECTED)),
        }
        record = store.append_record(SIGNED, reader=name, **signed)
    finally:
        run_lock.release()
    return _sign_off_of(record, store.log)


def unlock(store: AnalysisStore, reader: str) -> None:
    """Allow changes again; who did it is logged.

    Raises
    ------
    ConfigError
        Without a name.
    StoreError
        If the log cannot be written.
    """
    name = " ".join(reader.split())
    if not name:
        raise ConfigError("unlocking needs the reader's name or initials.")
    store.append_record(UNLOCKED, reader=name)


def signed_off(log: EventLog) -> SignOff | None:
    """Return the sign-off in force, without looking at the labels; None if there is none.

    Raises
    ------
    StoreError
        If the record is damaged.
    """
    record = log.newest(SIGNED, UNLOCKED)
    if record is None or record["kind"] == UNLOCKED:
        return None
    return _sign_off_of(record, log)


def read_sign_off(store: AnalysisStore) -> SignOff | None:
    """Return the sign-off in force and whether the labels are still those that were signed."""
    signed = signed_off(store.log)
    if signed is None:
        return None
    intact = labels_sha256(store.labels(layout.CORRECTED)) == signed.labels_sha256
    return SignOff(**{**signed.to_json(), "intact": intact})


def refuse_signed(log: EventLog) -> None:
    """Raise if an analysis is signed off.

    Raises
    ------
    SignedOffError
        Naming the reader and the time.
    """
    signed = signed_off(log)
    if signed is not None:
        raise SignedOffError(
            f"{log.path.parent.parent} is {signed.title} and locked.",
            hint="Unlock it in the window, choose another store with -o, or start over with "
            "--fresh: the signed one is kept under another name.",
        )


def labels_sha256(labels: npt.NDArray[np.uint8]) -> str:
    """Return what a sign-off remembers of a label map, shape (H, W): shape and values."""
    digest = hashlib.sha256(f"{labels.shape[0]} {labels.shape[1]}\n".encode())
    digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()


def _sign_off_of(record: dict[str, Any], log: EventLog) -> SignOff:
    try:
        return SignOff(
            str(record["reader"]),
            str(record["time"]),
            str(record["definition"]),
            dict(record["rates"]),
            record["coverage"],
            str(record["labels_sha256"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{log.path}, record {record.get('seq')}: the sign-off is damaged: {error!r}.",
            hint="Restore the event log from a backup.",
        ) from error
