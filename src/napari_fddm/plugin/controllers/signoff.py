"""Signs the current analysis off and unlocks it; both are recorded in its event log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QSettings, Signal

from napari_fddm.pipeline.outputs.report import CHANGED_SINCE, compute_store_report
from napari_fddm.pipeline.store.signoff import sign_off, unlock
from napari_fddm.plugin.plumbing.notices import show_info, show_warning

if TYPE_CHECKING:
    from napari_fddm.core.signoff import SignOff
    from napari_fddm.pipeline.store import AnalysisStore
    from napari_fddm.plugin.document import Analysis, Session
    from napari_fddm.plugin.panels.signoff import SignOffPanel

_READER = "reader"


class SignOffController(QObject):
    """Keeps the sign-off panel and the lock of the analysis consistent with its event log.

    Parameters
    ----------
    session : Session
        Its current analysis is signed.
    panel : SignOffPanel
        Requests sign-offs and shows them.
    parent : QObject
        The owner.

    Signals
    -------
    logged : object, object
        An analysis and its `SignOff`, or None if it was unlocked; emitted from the thread
        that wrote the record.
    """

    logged = Signal(object, object)

    def __init__(self, session: Session, panel: SignOffPanel, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._state, self._panel = session, session.state, panel
        self._settings = QSettings("napari-fddm", "napari-fddm")
        panel.set_reader(str(self._settings.value(_READER, "") or ""))
        link = session.connections.add
        link(panel.sign_confirmed, self._on_panel_sign_confirmed)
        link(panel.unlock_confirmed, self._on_panel_unlock_confirmed)
        link(session.added, self._on_session_added)
        link(session.locked, self._on_session_locked)
        link(session.current_changed, self._on_session_current_changed)
        link(self.logged, self._on_logged)

    def _on_session_added(self, analysis: Analysis) -> None:
        analysis.layer.refused.connect(self._on_layer_refused)
        if analysis.sign_off is not None and not analysis.sign_off.intact:
            show_warning(f"{analysis.sign_off.title}: {CHANGED_SINCE}.")

    def _on_session_locked(self, _analysis: Analysis) -> None:
        self._show()

    def _on_session_current_changed(self, _analysis: Analysis | None) -> None:
        self._show()

    def _on_layer_refused(self, reason: str) -> None:
        show_info(f"Locked: {reason}.")

    def _on_panel_sign_confirmed(self, reader: str) -> None:
        analysis = self._session.current
        if analysis is None:
            return
        if self._state.hides_rate_of(analysis.estimate):
            show_info("Enter your own estimate first: a hidden rate cannot be signed off.")
            return
        self._session.settling.emit()
        self._settings.setValue(_READER, reader)
        analysis.update_lock("it is being signed off")
        definition, definitions = self._state.definition, self._state.definitions

        def job(store: AnalysisStore) -> None:
            report = compute_store_report(store, definition=definition, definitions=definitions)
            self.logged.emit(analysis, sign_off(store, reader, report))

        analysis.writer.run_when_logged(job)

    def _on_panel_unlock_confirmed(self, reader: str) -> None:
        analysis = self._session.current
        if analysis is None:
            return
        self._settings.setValue(_READER, reader)

        def job(store: AnalysisStore) -> None:
            unlock(store, reader)
            self.logged.emit(analysis, None)

        analysis.writer.run_when_logged(job)

    def _on_logged(self, analysis: Analysis, signed: SignOff | None) -> None:
        analysis.sign_off = signed
        analysis.update_lock()
        self._session.locked.emit(analysis)
        show_info("Signed off and locked." if signed else "Unlocked: it can be edited again.")

    def _show(self) -> None:
        analysis = self._session.current
        self._panel.set_sign_off(analysis.sign_off if analysis is not None else None)
        self._panel.set_enabled(analysis is not None and not analysis.writer.state.locked)
