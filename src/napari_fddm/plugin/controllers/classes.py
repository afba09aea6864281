"""Carries between class panel and layers what the brush paints and what it must not touch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fddm.plugin.layers.actions import Action

if TYPE_CHECKING:
    from napari_fddm.plugin.document.analysis import Analysis
    from napari_fddm.plugin.document.session import Session
    from napari_fddm.plugin.panels.classes import ClassPanel


class Brush:
    """Keeps the class in the brush, excluding and locks the same in panel and layers.

    Parameters
    ----------
    session : Session
        Its analysis in front is painted; its state holds the locks.
    panel : ClassPanel
        Asks for changes and shows them.
    """

    def __init__(self, session: Session, panel: ClassPanel) -> None:
        self._session, self._state, self._panel = session, session.state, panel
        link = session.connections.add
        link(panel.class_clicked, self._on_panel_class_clicked)
        link(panel.exclude_clicked, self._on_panel_exclude_clicked)
        link(panel.lock_clicked, self._on_panel_lock_clicked)
        link(self._state.locked_changed, self._on_state_locked_changed)
        for icon_clicked in (panel.eye_clicked, panel.solo_clicked, panel.lock_clicked):
            link(icon_clicked, self._on_panel_icon_clicked)
        link(session.added, self._on_session_added)
        link(session.current_changed, self._on_layer_changed)

    def _on_session_added(self, analysis: Analysis) -> None:
        analysis.layer.protected = self._state.locked
        analysis.layer.events.selected_label.connect(self._on_layer_changed)
        analysis.layer.action_changed.connect(self._on_layer_changed)

    def show(self) -> None:
        """Mark in the panel what the brush of the analysis in front paints."""
        analysis = self._session.current
        if analysis is None:
            self._panel.set_selected(0)
        elif analysis.layer.action is Action.EXCLUDE:
            self._panel.set_excluding()
        else:
            self._panel.set_selected(int(analysis.layer.selected_label))

    def _on_layer_changed(self, _event: Any = None) -> None:
        self.show()

    def _on_panel_class_clicked(self, value: int) -> None:
        analysis = self._session.current
        if analysis is not None:
            analysis.layer.paint_class(value)
            self._take_up(analysis)

    def _on_panel_exclude_clicked(self) -> None:
        analysis = self._session.current
        if analysis is not None:
            analysis.layer.action = Action.EXCLUDE
            self._take_up(analysis)

    def _on_panel_icon_clicked(self, _value: int) -> None:
        self.show()  # the click has marked the row, but the brush stays as it was

    def _take_up(self, analysis: Analysis) -> None:
        analysis.layer.take_up()
        self._session.viewer.layers.selection.active = analysis.layer
        self.show()

    def _on_panel_lock_clicked(self, value: int) -> None:
        self._state.locked = self._state.locked ^ {value}

    def _on_state_locked_changed(self, locked: frozenset[int]) -> None:
        self._panel.set_locked(locked)
        for analysis in self._session.analyses.values():
            analysis.layer.protected = locked
