"""Carries what the class panel asks for to the layers: eyes, solo, colors, outlines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.plugin.layers.colors import apply_display
from napari_fddm.plugin.state.display import ClassDisplay, Palette

if TYPE_CHECKING:
    from napari_fddm.plugin.document.analysis import Analysis
    from napari_fddm.plugin.document.session import Session
    from napari_fddm.plugin.panels.classes import ClassPanel


class Appearance:
    """Keeps panel, state and layers at the same `ClassDisplay`.

    Parameters
    ----------
    session : Session
        Its state holds the display; its label layers are drawn so.
    panel : ClassPanel
        Asks for changes and shows them.
    """

    def __init__(self, session: Session, panel: ClassPanel) -> None:
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
