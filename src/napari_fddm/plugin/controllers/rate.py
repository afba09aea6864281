"""Computes rate and areas of the current analysis and shows them, after every stroke.

The definitions of the user's own file are read here, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_fddm.core.cards import unseen_classes
from napari_fddm.core.definitions import find_definitions
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.necrosis import DEFINITIONS
from napari_fddm.plugin.plumbing.notices import show_error
from napari_fddm.plugin.plumbing.timers import single_shot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_fddm.core.necrosis import NecrosisDefinition
    from napari_fddm.plugin.document import Analysis, Session
    from napari_fddm.plugin.panels import Panels

REFRESH_MS = 200
"""Shortest time between two updates of layers and numbers during a run."""
SYNTHETIC_BADGE = (
    "The model behind this rate never saw real tissue: on a real slide its classes mean nothing."
)


def badge_of(model: Mapping[str, Any]) -> str:
    """Return the warning about what a model was trained on; empty if there is none.

    It warns of a model that never saw real tissue of some or all classes, and of a model that
    was adapted to one slide.
    """
    if not model.get("real_tissue"):
        return SYNTHETIC_BADGE
    lines = []
    if model.get("adapted_from"):
        lines.append(
            f"The model was adapted from {model['adapted_from']} to corrections on one slide: "
            "check its classes again."
        )
    unseen = unseen_classes(model)
    if unseen:
        lines.append(f"The model behind this rate never saw real {', '.join(unseen)}.")
    return " ".join(lines)


class RateController(QObject):
    """Keeps rate, areas and model warning up to date with the labels.

    Parameters
    ----------
    session : Session
        Its current analysis is reported.
    panels : Panels
        The classes panel and the rate panel show the numbers.
    hides : callable
        Returns whether computed numbers are hidden for now.
    parent : QObject
        The owner.
    """

    def __init__(
        self, session: Session, panels: Panels, hides: Callable[[], bool], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._session, self._state, self._panels = session, session.state, panels
        self._hides = hides
        self._timer = single_shot(self, REFRESH_MS)
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
        """Redraw the labels that a run changed, and update the numbers."""
        if self._session.current is not None:
            self._session.current.refresh()
            self.update()

    def update(self) -> None:
        """Compute the reports again, and show them."""
        current, state = self._session.current, self._state
        if current is not None:
            state.report = current.reports(state.definition, state.definitions)

    def stop(self) -> None:
        """Stop the delayed updates."""
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
        # Without any label of the model, strokes alone have no rate.
        if corrected is None or automatic is None or automatic.areas.analyzed_mm2:
            return
        if self._state.busy or not corrected.areas.analyzed_mm2:
            started = current is not None and bool(current.patch.any())
            self._panels.rate.set_unrefined(started=started)

    def _caution(self, current: Analysis | None) -> str:
        """Return why the numbers are not those of a finished analysis; empty if they are."""
        if current is None:
            return ""
        lines = []
        if self._state.busy:
            lines.append("running: of what is finished so far")
        elif current.stopped:
            lines.append("the run was STOPPED: only of what was finished")
        if current.shows_tiles:
            lines.append("of whole tiles: nothing is refined")
        if current.spread:
            lines.append("strokes were spread to similar tissue")
        return "\n".join(lines)


def own_definitions() -> tuple[NecrosisDefinition, ...]:
    """Return the definitions of the user's own file; none, with a message, if it is invalid."""
    try:
        return find_definitions(None)
    except ConfigError as error:
        show_error(str(error))
        return ()
