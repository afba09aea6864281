"""Shows whether strokes are saved, and why an analysis is read-only."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_fddm.pipeline.store.rescue import describe_entries
from napari_fddm.plugin.plumbing import plain_text
from napari_fddm.plugin.plumbing.notices import show_error, show_info

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qtpy.QtWidgets import QWidget

    from napari_fddm.core.events import AnalysisOpened
    from napari_fddm.pipeline.store.rescue import Entry
    from napari_fddm.plugin.document import Analysis, Session
    from napari_fddm.plugin.document.store_writer import SaveState
    from napari_fddm.plugin.panels.rate import RatePanel

SAVED = "all strokes are saved"
NOT_SAVED = "NOT SAVED: {}, retrying…"

log = logging.getLogger(__name__)


class SavingController(QObject):
    """Passes the state of the stores to the rate panel and the layers.

    Parameters
    ----------
    session : Session
        Its analyses are saved by their writers.
    panel : RatePanel
        Shows whether strokes are saved.
    parent : QObject
        The owner.
    """

    def __init__(self, session: Session, panel: RatePanel, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._panel = session, panel
        self._before: dict[Analysis, SaveState] = {}
        self._links: dict[Analysis, _Link] = {}
        session.on_close(self.close)
        session.connections.add(session.added, self._on_session_added)
        session.connections.add(session.removed, self._on_session_removed)
        session.connections.add(session.current_changed, self._on_session_current_changed)
        session.unsaved.connect(self._on_session_unsaved)  # needed even after the window has closed

    def _on_session_added(self, analysis: Analysis) -> None:
        self._links[analysis] = _Link(self, analysis)
        self._before[analysis] = analysis.writer.state
        analysis.writer.begin()

    def _on_session_removed(self, analysis: Analysis) -> None:
        self._before.pop(analysis, None)
        self._links.pop(analysis, None)

    def close(self) -> None:
        """Drop every analysis."""
        self._before.clear()
        self._links.clear()

    def _on_session_current_changed(self, _analysis: Analysis | None) -> None:
        self._show()

    def show_state(self, analysis: Analysis, state: SaveState) -> None:
        """Show whether an analysis is saved; announce a problem, and its end, only once."""
        before = self._before.get(analysis)
        if before is None:
            return
        self._before[analysis] = state
        if state.problem and not before.problem:
            show_error(f"Not saved: {state.problem} Your strokes stay in memory.")
        elif before.problem and not state.problem and not state.locked:
            show_info("Saved again: all strokes are on the disk.")
        if state.locked != before.locked:
            analysis.update_lock()
            self._session.locked.emit(analysis)
            show_info(
                f"Read-only: {state.locked}." if state.locked else "The analysis can be edited now."
            )
        self._show()

    def show_stored(self, analysis: Analysis, opened: AnalysisOpened) -> None:
        """Show an analysis as another program has changed it."""
        analysis.take_stored(opened)
        self._session.outlined.emit(analysis)
        self._session.locked.emit(analysis)
        self._session.report_wanted.emit()

    def restore(self, analysis: Analysis, entries: Sequence[Entry], place: Path) -> None:
        """Restore edits that an earlier window could not save."""
        kinds = describe_entries(entries).capitalize()
        if analysis.take_rescued(entries, place):
            self._session.outlined.emit(analysis)
            self._session.report_wanted.emit()
            show_info(f"{kinds} that an earlier window could not save: restored.")
        else:
            show_info(
                f"{kinds} of an earlier window cannot be restored yet and stay in {place}: "
                f"{analysis.locked}."
            )

    def show_failure(self, analysis: Analysis, error: Exception) -> None:
        """Show an error, and unlock a layer that waited for the outcome."""
        show_error(str(error))
        analysis.update_lock()

    def _show(self) -> None:
        analysis = self._session.current
        if analysis is None:
            self._panel.set_saved("", "")
            return
        state = analysis.writer.state
        if state.locked:
            self._panel.set_saved(f"Read-only: {state.locked}", state.problem, warning=True)
        elif state.problem:
            self._panel.set_saved(_not_saved(state.waiting), state.problem, warning=True)
        else:
            self._panel.set_saved(SAVED, f"In {analysis.store_path}")

    def _on_session_unsaved(self, message: str) -> None:
        log.error("%s", message)
        warn(self._panel.window(), message)


def _not_saved(waiting: int) -> str:
    if not waiting:
        return NOT_SAVED.format("strokes cannot be saved")
    counted = "1 stroke" if waiting == 1 else f"{waiting} strokes"
    return NOT_SAVED.format(f"{counted} in memory")


def warn(window: QWidget | None, text: str) -> None:
    """Show a warning about lost work; a closing window waits until it is confirmed."""
    plain_text.warn(window, "Not saved", text)


class _Link(QObject):
    """Passes the signals of one writer on, with the analysis they belong to."""

    def __init__(self, saving: SavingController, analysis: Analysis) -> None:
        super().__init__()
        self._saving, self._analysis = saving, analysis
        writer = analysis.writer
        writer.changed.connect(self._on_writer_changed)
        writer.failed.connect(self._on_writer_failed)
        writer.reread.connect(self._on_writer_reread)
        writer.rescued.connect(self._on_writer_rescued)

    def _on_writer_changed(self, state: SaveState) -> None:
        self._saving.show_state(self._analysis, state)

    def _on_writer_failed(self, error: Exception) -> None:
        self._saving.show_failure(self._analysis, error)

    def _on_writer_reread(self, opened: AnalysisOpened) -> None:
        self._saving.show_stored(self._analysis, opened)

    def _on_writer_rescued(self, entries: Sequence[Entry], place: Path) -> None:
        self._saving.restore(self._analysis, entries, place)
