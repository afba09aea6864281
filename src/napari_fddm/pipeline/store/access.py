"""The checks that an open store makes before it is read or written: closed, read-only, signed off.

The store and its parts (`AutomaticMaps`, `Corrections`, `Records`) share one `Access`, so
that all of them refuse the same things from the same moment on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from napari_fddm.core.errors import StoreError
from napari_fddm.pipeline.store.signature import refuse_signed

if TYPE_CHECKING:
    from pathlib import Path

    from napari_fddm.pipeline.store.eventlog import EventLog

Mode = Literal["r", "r+"]


class Access:
    """What may be done with one open store at present.

    Parameters
    ----------
    path : Path
        The store's folder, for messages.
    mode : str
        "r" for reading, "r+" for writing.
    log : EventLog
        Where a sign-off is recorded.

    Attributes
    ----------
    closed : bool
        Whether the store was closed; set by the store.
    """

    def __init__(self, path: Path, mode: Mode, log: EventLog) -> None:
        self.closed = False
        self._mode = mode
        self._path = path
        self._log = log

    def require_open(self) -> None:
        """Raise a StoreError if the store is closed."""
        if self.closed:
            raise StoreError(f"{self._path} is closed.", hint="Open the analysis again.")

    def require_writing(self) -> None:
        """Raise a StoreError if the store is closed or open for reading only."""
        self.require_open()
        if self._mode != "r+":
            raise StoreError(f"{self._path} is open for reading only.", hint='Use mode="r+".')

    def require_unsigned(self) -> None:
        """Raise a SignedOffError if the analysis is signed off."""
        refuse_signed(self._log)
