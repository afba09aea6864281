"""Exports the current analysis: a dialog asks for the destination, a thread writes the copy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_fddm.pipeline.store.layout import SUFFIX
from napari_fddm.plugin.dialogs.export import ExportDialog, ExportFormat
from napari_fddm.plugin.plumbing.notices import show_info

if TYPE_CHECKING:
    from napari_fddm.plugin.document import Analysis, Session
    from napari_fddm.plugin.panels.rate import RatePanel

FINGERPRINT_DIGITS = 12
"""Digits of the fingerprint in a file name: enough to tell the slides of a study apart."""


class ExportController(QObject):
    """Passes requests of the dialog to the writer of the analysis, and results back.

    Parameters
    ----------
    session : Session
        Its current analysis is exported.
    panel : RatePanel
        Has the button that opens the dialog.
    parent : QObject
        The owner.
    with_name : bool
        Whether the dialog proposes to keep the slide's name.
    """

    def __init__(
        self, session: Session, panel: RatePanel, parent: QObject, *, with_name: bool = False
    ) -> None:
        super().__init__(parent)
        self._session, self._panel, self._with_name = session, panel, with_name
        self.dialog: ExportDialog | None = None
        session.on_close(self.close)
        session.connections.add(panel.export_clicked, self._on_panel_export_clicked)
        session.connections.add(session.added, self._on_session_added)

    def start(
        self, destination: Path, form: ExportFormat = ExportFormat.V05, *, with_name: bool = False
    ) -> None:
        """Write a validated copy of the current analysis, in the background."""
        analysis = self._session.current
        if analysis is not None:
            analysis.writer.export(destination, version=form.version, with_name=with_name)

    def close(self) -> None:
        """Close and delete the dialog."""
        if self.dialog is not None:
            self.dialog.close()
            self.dialog.deleteLater()
            self.dialog = None

    def _on_session_added(self, analysis: Analysis) -> None:
        analysis.writer.exported.connect(self._on_writer_exported)
        analysis.writer.failed.connect(self._on_writer_failed)

    def _on_panel_export_clicked(self) -> None:
        analysis = self._session.current
        if analysis is None:
            return
        if self.dialog is None:
            self.dialog = ExportDialog(self._panel, with_name=self._with_name)
            self.dialog.export_wanted.connect(self._on_dialog_export_wanted)
        self.dialog.propose(
            Path.home(),
            plain=f"analysis-{analysis.fingerprint[:FINGERPRINT_DIGITS]}",
            named=analysis.store_path.name.removesuffix(SUFFIX),
        )
        self.dialog.show()
        self.dialog.raise_()

    def _on_dialog_export_wanted(self, destination: str, form: str, with_name: bool) -> None:
        if self.dialog is not None:
            self.dialog.set_busy(True)
        self.start(Path(destination).expanduser(), ExportFormat(form), with_name=with_name)

    def _on_writer_exported(self, path: str) -> None:
        show_info(f"Exported {path}")
        if self.dialog is not None:
            self.dialog.set_status(f"Done: {path}")

    def _on_writer_failed(self, error: Exception) -> None:
        if self.dialog is not None and self.dialog.progress.isVisible():
            self.dialog.set_status(str(error))
