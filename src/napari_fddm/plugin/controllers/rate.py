"""Carries the numbers of the analysis in front to the panels, at once after a stroke."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, QTimer

from napari_fddm.core.cards import unseen_classes
from napari_fddm.core.definitions import find_definitions
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.necrosis import DEFINITIONS
from napari_fddm.pipeline.store.estimates import estimate_record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_fddm.core.necrosis import NecrosisDefinition
    from napari_fddm.plugin.document.analysis import Analysis
    from napari_fddm.plugin.document.session import Session
    from napari_fddm.plugin.panels.dock import Panels
    from napari_fddm.plugin.panels.rate import RatePanel

REFRESH_MS = 200
"""Layers and numbers are redrawn at most five times a second while a run goes on."""
SYNTHETIC_BADGE = (
    "The model behind this rate never saw real tissue: on a real slide its classes mean nothing."
)


def badge_of(model: Mapping[str, Any]) -> str:
    """Return the warning about a model that never saw real tissue, of all or some classes."""
    if not model.get("real_tissue"):
        return SYNTHETIC_BADGE
    lines = []
    if model.get("adapted_from"):
        lines.append(
            f"The model was adapted from {model['adapted_from']} to the strokes on one slide: "
            "look at its classes anew."
        )
    unseen = unseen_classes(model)
    if unseen:
        lines.append(f"The model behind this rate never saw real {', '.join(unseen)}.")
    return " ".join(lines)


class RateController(QObject):
    """Keeps rate, areas and badge the same as the labels.

    Parameters
    ----------
    session : Session
        Its analysis in front is reported.
    panels : Panels
        Class and necrosis panel show the numbers.
    hides : callable
        Whether computed numbers must not be seen yet.
    parent : QObject
        The owner.
    """

    def __init__(
        self, session: Session, panels: Panels, hides: Callable[[], bool], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._session, self._state, self._panels = session, session.state, panels
        self._hides = hides
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REFRESH_MS)
        session.on_close(self.stop)
        self._state.definitions = own_definitions()
        panels.rate.set_definitions((*DEFINITIONS.values(), *self._state.definitions))
        link = session.connections.add
        link(self._timer.timeout, self.refresh)
        link(panels.rate.definition_chosen, self._on_definition_chosen)
        link(self._state.report_changed, self._on_state_report_changed)
        link(self._state.progress_changed, self._on_state_progress_changed)
        link(session.added, self._on_session_added)
        link(session.current_changed, self._on_session_current_changed)
        link(session.report_wanted, self.update)

    def refresh(self) -> None:
        """Redraw what a run changed, and the numbers."""
        if self._session.current is not None:
            self._session.current.refresh()
            self.update()

    def update(self) -> None:
        """Compute the reports again."""
        current, state = self._session.current, self._state
        if current is not None:
            state.report = current.reports(state.definition, state.definitions)

    def stop(self) -> None:
        """Redraw nothing any more."""
        self._timer.stop()

    def _schedule(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _on_session_added(self, analysis: Analysis) -> None:
        analysis.tracker.edited.connect(self._on_analysis_edited)

    def _on_session_current_changed(self, current: Analysis | None) -> None:
        if current is None:
            self._state.report = (None, None)
        else:
            self._panels.rate.set_badge(badge_of(current.model))
            self._schedule()

    def _on_state_progress_changed(self, _progress: Any) -> None:
        if self._state.busy:
            self._schedule()

    def _on_analysis_edited(self, _edit: Any) -> None:
        self.update()

    def _on_definition_chosen(self, name: str) -> None:
        self._state.definition = name
        self.update()

    def _on_state_report_changed(self, reports: Any) -> None:
        current = self._session.current
        corrected, automatic = (None, None) if self._hides() else reports
        self._panels.rate.set_left_out(current.tissue_excluded_mm2 if current is not None else None)
        self._panels.rate.set_caution(self._caution(current))
        self._panels.rate.set_reports(corrected, automatic)
        if current is not None and corrected is not None:
            current.rate_seen |= corrected.main.rate is not None
        excluded = current.excluded_mm2 if current is not None else 0.0
        self._panels.classes.set_areas(corrected.areas if corrected else None, excluded)
        # Strokes alone have no rate: the model's labels are still to come.
        if corrected is None or automatic is None or automatic.areas.analyzed_mm2:
            return
        if self._state.busy or not corrected.areas.analyzed_mm2:
            started = current is not None and bool(current.patch.any())
            self._panels.rate.set_unrefined(started=started)

    def _caution(self, current: Analysis | None) -> str:
        """Say why the numbers are not yet those of a finished analysis."""
        if current is None:
            return ""
        lines = []
        if self._state.busy:
            lines.append("running: of what is finished so far")
        elif current.stopped:
            lines.append("the run was STOPPED: of what was finished")
        if current.shows_tiles:
            lines.append("of whole tiles: nothing is refined")
        if current.spread:
            lines.append("strokes were spread into the model's classes")
        return "\n".join(lines)


class EstimateController:
    """Asks for the reader's estimate and says whether the computed rate may be shown.

    Parameters
    ----------
    session : Session
        Its state holds whether estimates are wanted.
    panel : RatePanel
        Asks.
    """

    def __init__(self, session: Session, panel: RatePanel) -> None:
        self._session, self._state, self._panel = session, session.state, panel
        link = session.connections.add
        link(panel.estimate_first_toggled, self._on_panel_toggled)
        link(panel.estimate_entered, self._on_panel_entered)
        link(self._state.report_changed, self._on_state_report_changed)

    @property
    def hides(self) -> bool:
        """Whether the computed rate must not be seen yet."""
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
        known = analysis.estimate if analysis is not None else None
        self._panel.set_estimate(known, asking=self.hides)


def own_definitions() -> tuple[NecrosisDefinition, ...]:
    """Return the definitions of the user's file; says what is wrong with it and goes on."""
    try:
        return find_definitions(None)
    except ConfigError as error:
        show_error(str(error))
        return ()
