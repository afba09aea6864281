"""Asks what to do when the event log of an analysis is lost or damaged, and does it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_fddm.plugin.dialogs.lost_log import LostLogDialog
from napari_fddm.plugin.plumbing import Background
from napari_fddm.plugin.plumbing.notices import show_error, show_info

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_fddm.core.errors import FddmError
    from napari_fddm.pipeline.store.log_lines import LogMismatchError
    from napari_fddm.plugin.controllers.run import RunController
    from napari_fddm.plugin.document import Session
    from napari_fddm.plugin.panels import Panels


class LostLogController(QObject):
    """Shows the dialog, begins a new log as the user chose, and opens the analysis.

    Parameters
    ----------
    session : Session
        Ends it.
    panels : Panels
        The sign-off panel knows the reader's name.
    run : RunController
        Finds such a log, and opens the analysis afterwards.
    parent : QObject
        The owner.
    """

    def __init__(
        self, session: Session, panels: Panels, run: RunController, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._panels, self._run = panels, run
        self._background = Background("repair", self)
        self.dialog: LostLogDialog | None = None
        session.on_close(self.close)
        session.connections.add(run.log_refused, self._on_run_log_refused)
        session.connections.add(self._background.failed, self._on_background_failed)

    def close(self) -> None:
        """Close the dialog if it is open, and wait for what was chosen."""
        if self.dialog is not None:
            self.dialog.reject()
        self._background.close()

    def _on_run_log_refused(self, error: LogMismatchError) -> None:
        if self.dialog is not None:
            return
        reader = self._panels.signoff.reader_edit.text()
        dialog = LostLogDialog(error.message, reader, self._panels.run)
        dialog.from_map_clicked.connect(partial(self._begin, "begin_from_map", error.store))
        dialog.without_clicked.connect(partial(self._begin, "give_up_corrections", error.store))
        dialog.finished.connect(self._forget)
        self.dialog = dialog
        dialog.open()

    def _begin(self, way: str, store: Path, reader: str) -> None:
        def job() -> Path:
            from napari_fddm.pipeline.store import repair  # late: a window opens faster

            begin: Callable[[Path, str], Path] = getattr(repair, way)
            return begin(store, reader)

        def then(kept: Path) -> None:
            show_info(f"A new event log was begun. The old files are in {kept}.")
            self._run.open_store(store)

        self._background.do(job, then)

    def _on_background_failed(self, error: FddmError) -> None:
        show_error(str(error))

    def _forget(self) -> None:
        self.dialog = None
