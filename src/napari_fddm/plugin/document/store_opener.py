"""Reads a stored analysis in a thread, so that the window does not wait for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_fddm.core.errors import FddmError
from napari_fddm.plugin.document.prepared_analysis import PreparedAnalysis

if TYPE_CHECKING:
    from pathlib import Path


class StoreOpener(QObject):
    """Reads stores, each in a thread of its own.

    Signals
    -------
    opened : object
        A `PreparedAnalysis`.
    failed : object
        The `FddmError` that says why a store cannot be read.
    """

    opened = Signal(object)
    failed = Signal(object)

    def open(self, path: Path) -> None:
        """Read a store; the result arrives as a signal on the main thread."""
        threading.Thread(target=self._read, args=(path,), name="fddm-opener", daemon=True).start()

    def _read(self, path: Path) -> None:
        from napari_fddm.pipeline.outputs import opened_event
        from napari_fddm.pipeline.store import AnalysisStore

        try:
            with AnalysisStore.open(path) as store:
                self.opened.emit(PreparedAnalysis.of(opened_event(store)))
        except FddmError as error:
            self.failed.emit(error)
