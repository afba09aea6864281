"""Carries between class panel and layers what the brush paints and what it must not touch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.plugin.layers.colors import apply_display
from napari_fddm.plugin.state.display import ClassDisplay, Palette
from napari_fddm.plugin.state.tools import Action

if TYPE_CHECKING:
    from napari_fddm.plugin.document.analysis import Analysis
    from napari_fddm.plugin.document.session import Session
    from napari_fddm.plugin.panels.classes import ClassesPanel


class ClassBrushController:
    """Keeps the class in the brush, excluding and locks the same in panel and layers.

    Parameters
    ----------
    session : Session
        Its analysis in front is painted; its state holds the locks.
    panel : ClassesPanel
        Asks for changes and shows them.
    """

    def __init__(self, session: Session, panel: ClassesPanel) -> None:
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
        analysis.layer.activate()
        self._session.viewer.layers.selection.active = analysis.layer
        self.show()

    def _on_panel_lock_clicked(self, value: int) -> None:
        self._state.locked = self._state.locked ^ {value}

    def _on_state_locked_changed(self, locked: frozenset[int]) -> None:
        self._panel.set_locked(locked)
        for analysis in self._session.analyses.values():
            analysis.layer.protected = locked


class ClassDisplayController:
    """Keeps panel, state and layers at the same `ClassDisplay`.

    Parameters
    ----------
    session : Session
        Its state holds the display; its label layers are drawn so.
    panel : ClassesPanel
        Asks for changes and shows them.
    """

    def __init__(self, session: Session, panel: ClassesPanel) -> None:
        self._session, self._state, self._panel = session, session.state, panel
        link = session.connections.add
        link(panel.eye_clicked, self._on_panel_eye_clicked)
        link(panel.solo_clicked, self._on_panel_solo_clicked)
        link(panel.palette_chosen, self._on_panel_palette_chosen)
        link(panel.outline_toggled, self._on_panel_outline_toggled)
        link(self._state.display_changed, self._on_state_display_changed)
        link(session.added, self._on_session_added)

    def _on_session_added(self, analysis: Analysis) -> None:
        if self._state.display != ClassDisplay():
            for layer in analysis.layers:
                apply_display(layer, OSTEOSARCOMA, self._state.display)

    def _on_panel_eye_clicked(self, value: int) -> None:
        self._state.display = self._state.display.with_eye_toggled(value)

    def _on_panel_solo_clicked(self, value: int) -> None:
        self._state.display = self._state.display.with_solo_toggled(value)

    def _on_panel_palette_chosen(self, name: str) -> None:
        self._state.display = replace(self._state.display, palette=Palette(name))

    def _on_panel_outline_toggled(self, wanted: bool) -> None:
        self._state.display = replace(self._state.display, outline=wanted)

    def _on_state_display_changed(self, display: ClassDisplay) -> None:
        self._panel.set_display(display)
        for layer in self._session.label_layers:
            apply_display(layer, OSTEOSARCOMA, display)
