"""Connects the class table with the layers: class to paint, protected classes, and display."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.plugin.dialogs.class_guide import ClassGuide
from napari_fddm.plugin.layers.napari_colormap import apply_display
from napari_fddm.plugin.state.display import ClassDisplay, Palette
from napari_fddm.plugin.state.tools import Action

if TYPE_CHECKING:
    from napari_fddm.plugin.document import Analysis, Session
    from napari_fddm.plugin.panels.classes import ClassesPanel


class ClassBrushController:
    """Keeps the class to paint and the protected classes the same in panel and layers.

    Parameters
    ----------
    session : Session
        Its current analysis is painted; its state holds the protected classes.
    panel : ClassesPanel
        Requests changes and shows the result.
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
        """Show in the panel what the brush of the current analysis paints."""
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
            self._activate(analysis)

    def _on_panel_exclude_clicked(self) -> None:
        analysis = self._session.current
        if analysis is not None:
            analysis.layer.action = Action.EXCLUDE
            self._activate(analysis)

    def _on_panel_icon_clicked(self, _value: int) -> None:
        self.show()  # the click selected the row, but does not change the brush

    def _activate(self, analysis: Analysis) -> None:
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
    """Keeps the `ClassDisplay` the same in panel, state and layers.

    Parameters
    ----------
    session : Session
        Its state holds the display; its label layers are drawn accordingly.
    panel : ClassesPanel
        Requests changes and shows the result.
    """

    def __init__(self, session: Session, panel: ClassesPanel) -> None:
        self._session, self._state, self._panel = session, session.state, panel
        self._guide: ClassGuide | None = None
        link = session.connections.add
        link(panel.guide_clicked, self._on_panel_guide_clicked)
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

    def _on_panel_guide_clicked(self) -> None:
        if self._guide is None:
            self._guide = ClassGuide(OSTEOSARCOMA, self._panel)
        self._guide.show()
        self._guide.raise_()

    def _on_state_display_changed(self, display: ClassDisplay) -> None:
        self._panel.set_display(display)
        for layer in self._session.label_layers:
            apply_display(layer, OSTEOSARCOMA, display)
