"""Read from the event log whether an analysis is signed off, and refuse changes if it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import StoreError
from napari_fddm.core.signoff import SignOff
from napari_fddm.pipeline.store.eventlog import EDIT

if TYPE_CHECKING:
    from napari_fddm.pipeline.store.eventlog import EventLog

SIGNED, UNLOCKED = "sign_off", "unlock"
LOCKED_KINDS = frozenset({EDIT, "tumor_bed"})
"""Records that change what was signed."""


class SignedOffError(StoreError):
    """The analysis is signed off, so it cannot be changed."""


def signed_off(log: EventLog) -> SignOff | None:
    """Return the sign-off in force, without comparing the labels; None if there is none.

    Raises
    ------
    StoreError
        If the log is damaged.
    """
    record = log.newest(SIGNED, UNLOCKED)
    if record is None or record["kind"] == UNLOCKED:
        return None
    return sign_off_of(record)


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


def sign_off_of(record: dict[str, Any]) -> SignOff:
    """Return the sign-off in a record of a log; whether labels changed since is not checked."""
    return SignOff(
        record["reader"],
        record["time"],
        record["definition"],
        dict(record["rates"]),
        record["coverage"],
        record["labels_sha256"],
    )
