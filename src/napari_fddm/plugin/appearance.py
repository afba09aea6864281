"""Carries what the class panel asks for to the layers: eyes, solo, colors, outlines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.plugin.colors import apply_display
from napari_fddm.plugin.display import ClassDisplay, Palette

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari.layers import Labels

    from napari_fddm.plugin.class_panel import ClassPanel
    from napari_fddm.plugin.connections import Connections
    from napari_fddm.plugin.state import PluginState


class Appearance:
    """Keeps panel, state and layers at the same `ClassDisplay`.

    Parameters
    ----------
    state : PluginState
        Holds the display.
    panel : ClassPanel
        Asks for changes and shows them.
    connections : Connections
        Undoes what is connected here.
    layers : callable
        Returns the label layers that are shown.
    """

    def __init__(
        self,
        state: PluginState,
        panel: ClassPanel,
        connections: Connections,
        layers: Callable[[], Iterable[Labels]],
    ) -> None:
        self._state, self._panel, self._layers = state, panel, layers
        connections.add(panel.eye_clicked, self._on_panel_eye_clicked)
        connections.add(panel.solo_clicked, self._on_panel_solo_clicked)
        connections.add(panel.palette_chosen, self._on_panel_palette_chosen)
        connections.add(panel.outline_toggled, self._on_panel_outline_toggled)
        connections.add(state.display_changed, self._on_state_display_changed)

    def dress(self, layers: Iterable[Labels]) -> None:
        """Draw layers as all others are."""
        if self._state.display != ClassDisplay():
            for layer in layers:
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
        for layer in self._layers():
            apply_display(layer, OSTEOSARCOMA, display)
