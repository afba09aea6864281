"""Says whether strokes are on the disk, and exports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QFileDialog

from napari_fddm.pipeline.layout import SUFFIX

if TYPE_CHECKING:
    from napari_fddm.plugin.analysis import Analysis
    from napari_fddm.plugin.necrosis_panel import NecrosisPanel
    from napari_fddm.plugin.session import Session


class Saving:
    """Carries news of the stores to the necrosis panel, and its wish to export to them.

    Parameters
    ----------
    session : Session
        Its analyses are kept by their stores.
    panel : NecrosisPanel
        Shows the news.
    """

    def __init__(self, session: Session, panel: NecrosisPanel) -> None:
        self._session, self._panel = session, panel
        session.connections.add(panel.export_clicked, self._on_panel_export_clicked)
        session.connections.add(session.added, self._on_session_added)

    def _on_session_added(self, analysis: Analysis) -> None:
        analysis.keeper.failed.connect(self._on_keeper_failed)
        analysis.keeper.saved.connect(self._on_keeper_saved)
        analysis.keeper.exported.connect(self._on_keeper_exported)

    def export(self, destination: Path) -> None:
        """Write a validated OME-Zarr of the analysis in front, in the background."""
        analysis = self._session.current
        if analysis is not None:
            analysis.keeper.export(destination)

    def _on_keeper_failed(self, error: Exception) -> None:
        self._panel.set_saved("NOT SAVED: strokes are kept in memory only")
        show_error(str(error))

    def _on_keeper_saved(self, waiting: int) -> None:
        text = f"saving, {waiting} strokes waiting…" if waiting else "all strokes are on the disk"
        self._panel.set_saved(text)

    def _on_keeper_exported(self, path: str) -> None:
        show_info(f"Exported {path}")

    def _on_panel_export_clicked(self) -> None:
        analysis = self._session.current
        if analysis is None:
            return
        name = analysis.store_path.name.removesuffix(SUFFIX)
        chosen, _ = QFileDialog.getSaveFileName(
            self._panel, "Export OME-Zarr", f"{name}.ome.zarr", "OME-Zarr (*.ome.zarr)"
        )
        if chosen:
            self.export(Path(chosen))
