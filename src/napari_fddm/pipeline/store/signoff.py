"""Sign an analysis off and unlock it again, with records of its event log.

The newer of the last sign-off and the last unlocking counts. While an analysis is signed
off, its store refuses edits, outlines and runs, but the log accepts the record that
unlocks it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.signoff import SignOff
from napari_fddm.pipeline.store import layout
from napari_fddm.pipeline.store.eventlog import acquire_lock
from napari_fddm.pipeline.store.records import LogRecord
from napari_fddm.pipeline.store.signature import (
    SIGNED,
    UNLOCKED,
    refuse_signed,
    sign_off_of,
    signed_off,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.necrosis import NecrosisReport
    from napari_fddm.pipeline.store.analysis_store import AnalysisStore


def sign_off(store: AnalysisStore, reader: str, report: NecrosisReport) -> SignOff:
    """Sign the corrected labels of a store, durably.

    Parameters
    ----------
    store : AnalysisStore
        Open for writing.
    reader : str
        Name or initials.
    report : NecrosisReport
        Of the corrected labels, as it was shown to the reader.

    Raises
    ------
    ConfigError
        If the name is empty.
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
    run_lock = acquire_lock(store.path / layout.OURS / layout.RUN_LOCK, store.path)
    try:
        signed = {
            "definition": report.main.definition.name,
            "rates": {result.definition.name: result.rate for result in report.results},
            "coverage": report.coverage,
            "labels_sha256": labels_sha256(store.labels(layout.CORRECTED)),
        }
        record = store.records.append(LogRecord(SIGNED, {"reader": name, **signed}))
    finally:
        run_lock.release()
    return sign_off_of(record)


def unlock(store: AnalysisStore, reader: str) -> None:
    """Allow changes again, and log who unlocked the analysis.

    Raises
    ------
    ConfigError
        If the name is empty.
    StoreError
        If the log cannot be written.
    """
    name = " ".join(reader.split())
    if not name:
        raise ConfigError("unlocking needs the reader's name or initials.")
    store.records.append(LogRecord(UNLOCKED, {"reader": name}))


def read_sign_off(store: AnalysisStore) -> SignOff | None:
    """Return the sign-off in force, with whether labels are still as signed; None if none."""
    signed = signed_off(store.log)
    if signed is None:
        return None
    intact = labels_sha256(store.labels(layout.CORRECTED)) == signed.labels_sha256
    return SignOff(**{**signed.to_json(), "intact": intact})


def labels_sha256(labels: npt.NDArray[np.uint8]) -> str:
    """Return the checksum of a label map, shape (H, W), that a sign-off stores."""
    digest = hashlib.sha256(f"{labels.shape[0]} {labels.shape[1]}\n".encode())
    digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()
