"""Asks for the reader's own estimate before computed numbers are shown, and records it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fddm.pipeline.store.estimates import estimate_record

if TYPE_CHECKING:
    from napari_fddm.plugin.document import Session
    from napari_fddm.plugin.panels.rate import RatePanel


class EstimateController:
    """Asks for the reader's estimate, and decides whether computed numbers are hidden.

    Parameters
    ----------
    session : Session
        Its state holds whether an estimate is wanted; its current analysis keeps it.
    panel : RatePanel
        Has the fields to enter the estimate.
    """

    def __init__(self, session: Session, panel: RatePanel) -> None:
        self._session, self._state, self._panel = session, session.state, panel
        link = session.connections.add
        link(panel.estimate_first_toggled, self._on_panel_toggled)
        link(panel.estimate_entered, self._on_panel_entered)
        link(self._state.report_changed, self._on_state_report_changed)

    @property
    def hides(self) -> bool:
        """Whether computed numbers are hidden for now."""
        analysis = self._session.current
        return analysis is not None and self._state.hides_rate_of(analysis.estimate)

    def _on_panel_toggled(self, wanted: bool) -> None:
        self._state.estimate_first = wanted
        self._session.report_wanted.emit()

    def _on_panel_entered(self, rate: float) -> None:
        analysis = self._session.current
        if analysis is None or analysis.estimate is not None:
            return
        analysis.estimate = rate
        seen, definition = analysis.rate_seen, self._state.definition
        record = estimate_record(rate, definition=definition, rate_seen=seen)
        analysis.writer.record(record)
        self._session.report_wanted.emit()

    def _on_state_report_changed(self, _reports: Any) -> None:
        analysis = self._session.current
        estimate = analysis.estimate if analysis is not None else None
        self._panel.set_estimate(estimate, asking=self.hides)
