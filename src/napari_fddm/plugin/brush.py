"""Carries between class panel and layers what the brush paints and what it must not touch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari.viewer import Viewer

    from napari_fddm.plugin.analysis import Analysis
    from napari_fddm.plugin.class_panel import ClassPanel
    from napari_fddm.plugin.connections import Connections
    from napari_fddm.plugin.state import PluginState


class Brush:
    """Keeps the class in the brush, excluding and locks the same in panel and layers.

    Parameters
    ----------
    viewer : Viewer
        Whose active layer is painted.
    state : PluginState
        Holds the locks.
    panel : ClassPanel
        Asks for changes and shows them.
    connections : Connections
        Undoes what is connected here.
    analyses : callable
        Returns the analyses that are shown.
    current : callable
        Returns the one in front, or None.
    """

    def __init__(
        self,
        viewer: Viewer,
        state: PluginState,
        panel: ClassPanel,
        connections: Connections,
        *,
        analyses: Callable[[], Iterable[Analysis]],
        current: Callable[[], Analysis | None],
    ) -> None:
        self._viewer, self._state, self._panel = viewer, state, panel
        self._analyses, self._current = analyses, current
        connections.add(panel.class_clicked, self._on_panel_class_clicked)
        connections.add(panel.exclude_clicked, self._on_panel_exclude_clicked)
        connections.add(panel.lock_clicked, self._on_panel_lock_clicked)
        connections.add(state.locked_changed, self._on_state_locked_changed)
        for icon_clicked in (panel.eye_clicked, panel.solo_clicked, panel.lock_clicked):
            connections.add(icon_clicked, self._on_panel_icon_clicked)

    def attach(self, analysis: Analysis) -> None:
        """Follow the layer of a new analysis."""
        analysis.layer.protected = self._state.locked
        analysis.layer.events.selected_label.connect(self._on_layer_changed)
        analysis.layer.excluding_changed.connect(self._on_layer_changed)

    def show(self) -> None:
        """Mark in the panel what the brush of the analysis in front paints."""
        analysis = self._current()
        if analysis is None:
            self._panel.set_selected(0)
        elif analysis.layer.excluding:
            self._panel.set_excluding()
        else:
            self._panel.set_selected(int(analysis.layer.selected_label))

    def _on_layer_changed(self, _event: Any = None) -> None:
        self.show()

    def _on_panel_class_clicked(self, value: int) -> None:
        analysis = self._current()
        if analysis is not None:
            analysis.layer.selected_label = value
            analysis.layer.excluding = False
            self._take_up(analysis)

    def _on_panel_exclude_clicked(self) -> None:
        analysis = self._current()
        if analysis is not None:
            analysis.layer.excluding = True
            self._take_up(analysis)

    def _on_panel_icon_clicked(self, _value: int) -> None:
        self.show()  # the click has marked the row, but the brush stays as it was

    def _take_up(self, analysis: Analysis) -> None:
        if analysis.layer.mode not in ("paint", "fill", "polygon"):
            analysis.layer.mode = "paint"
        self._viewer.layers.selection.active = analysis.layer
        self.show()

    def _on_panel_lock_clicked(self, value: int) -> None:
        self._state.locked = self._state.locked ^ {value}

    def _on_state_locked_changed(self, locked: frozenset[int]) -> None:
        self._panel.set_locked(locked)
        for analysis in self._analyses():
            analysis.layer.protected = locked
