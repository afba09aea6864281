"""Keeps tool, action and brush size the same in the tools panel, the layer and napari."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_fddm.plugin.layers.viewport import hide_ring_box, is_active
from napari_fddm.plugin.plumbing import Connections
from napari_fddm.plugin.plumbing.timers import single_shot
from napari_fddm.plugin.state.tools import Action, Tool

if TYPE_CHECKING:
    from napari_fddm.plugin.document import Analysis, Session
    from napari_fddm.plugin.layers import CorrectedLabels
    from napari_fddm.plugin.panels.tools import ToolsPanel

SLIDER_CELLS = 500
"""Maximum of napari's brush slider, cells: 2 mm with cells of 4 µm.

napari's slider ends at 40 cells unless the brush was once larger.
"""
AUDIT_MS = 500
"""Delay after the last edit until changes are searched for that other code made silently."""


class ToolsController(QObject):
    """Passes tool, action and brush size between panel and layer.

    Parameters
    ----------
    session : Session
        Its current analysis is edited.
    panel : ToolsPanel
        Requests changes and shows the result.
    parent : QObject
        The owner.
    """

    def __init__(self, session: Session, panel: ToolsPanel, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._panel = session, panel
        self._layer_connections = Connections()
        self._screen_px: float | None = None
        self._following_zoom = False
        self._timer = single_shot(self, AUDIT_MS)
        session.on_close(self.close)
        link = session.connections.add
        link(self._timer.timeout, self._on_timer_timeout)
        link(panel.tool_clicked, self._on_panel_tool_clicked)
        link(panel.action_clicked, self._on_panel_action_clicked)
        link(panel.undo_clicked, self._on_panel_undo_clicked)
        link(panel.redo_clicked, self._on_panel_redo_clicked)
        link(panel.reset_clicked, self._on_panel_reset_clicked)
        link(panel.size_typed, self._on_panel_size_typed)
        link(panel.following_toggled, self._on_panel_following_toggled)
        link(panel.source_chosen, self._on_panel_source_chosen)
        link(session.viewer.scene.camera.events.zoom, self._on_camera_zoom)
        link(session.viewer.layers.selection.events.active, self._on_layer_changed)
        link(session.added, self._on_session_added)
        hide_ring_box(session.viewer)
        link(session.current_changed, self._on_session_current_changed)

    def close(self) -> None:
        """Disconnect from the current layer."""
        self._timer.stop()
        self._layer_connections.close()

    @property
    def _layer(self) -> CorrectedLabels | None:
        return self._session.current.layer if self._session.current is not None else None

    def _on_session_added(self, analysis: Analysis) -> None:
        size = analysis.layer.brush_size
        for cells in (SLIDER_CELLS, size):  # the slider's maximum grows with the brush
            analysis.layer.brush_size = cells

    def _on_session_current_changed(self, analysis: Analysis | None) -> None:
        self._layer_connections.close()
        self._panel.set_enabled(analysis is not None)
        if analysis is None:
            return
        layer = analysis.layer
        self._layer_connections.add(layer.events.mode, self._on_layer_changed)
        self._layer_connections.add(layer.action_changed, self._on_layer_changed)
        self._layer_connections.add(layer.source_changed, self._on_layer_changed)
        self._layer_connections.add(layer.events.brush_size, self._on_layer_brush_size)
        self._layer_connections.add(analysis.tracker.edited, self._on_analysis_edited)
        self._on_layer_changed()
        self._on_layer_brush_size()

    def _on_layer_changed(self, _event: Any = None) -> None:
        layer = self._layer
        if layer is None:
            return
        active = is_active(self._session.viewer, layer)
        self._panel.set_tool(layer.tool if active else None)
        self._panel.set_action(layer.action if active else None)
        self._panel.set_source(layer.relabel_source)

    def _on_layer_brush_size(self, _event: Any = None) -> None:
        layer = self._layer
        if layer is None:
            return
        cell = _cell_um(layer)
        self._panel.set_size(layer.brush_size * cell, 2 * cell)
        if self._screen_px is not None and not self._following_zoom:
            self._screen_px = layer.brush_size * cell * self._zoom

    @property
    def _zoom(self) -> float:
        return float(self._session.viewer.scene.camera.zoom)

    def _on_camera_zoom(self, _event: Any = None) -> None:
        layer = self._layer
        if layer is None or self._screen_px is None:
            return
        self._following_zoom = True
        try:
            layer.brush_size = _cells(layer, self._screen_px / self._zoom)
        finally:
            self._following_zoom = False

    def _on_panel_following_toggled(self, wanted: bool) -> None:
        layer = self._layer
        self._screen_px = None
        if wanted and layer is not None:
            self._screen_px = layer.brush_size * _cell_um(layer) * self._zoom

    def _on_panel_size_typed(self, um: float) -> None:
        layer = self._layer
        if layer is not None:
            layer.brush_size = _cells(layer, um)

    def _on_panel_tool_clicked(self, name: str) -> None:
        self._activate(tool=Tool(name))

    def _on_panel_action_clicked(self, name: str) -> None:
        layer, action = self._layer, Action(name)
        if layer is not None and action is Action.RELABEL and layer.action is not action:
            layer.toggle(action)  # changes the tool if necessary
        self._activate(action=action)

    def _activate(self, tool: Tool | None = None, action: Action | None = None) -> None:
        layer = self._layer
        if layer is not None:
            layer.activate(tool=tool, action=action)
            self._session.viewer.layers.selection.active = layer
        self._on_layer_changed()  # a click on the selected button changes nothing

    def _on_panel_source_chosen(self, value: int) -> None:
        if self._layer is not None:
            self._layer.relabel_source = value

    def _on_panel_undo_clicked(self) -> None:
        if self._layer is not None:
            self._layer.undo()

    def _on_panel_redo_clicked(self) -> None:
        if self._layer is not None:
            self._layer.redo()

    def _on_panel_reset_clicked(self) -> None:
        if self._layer is not None:
            self._layer.reset()

    def _on_analysis_edited(self, _edit: Any) -> None:
        self._timer.start()

    def _on_timer_timeout(self) -> None:
        if self._session.current is not None:
            self._session.current.tracker.audit()


def _cell_um(layer: CorrectedLabels) -> float:
    return float(min(abs(layer.scale)))


def _cells(layer: CorrectedLabels, um: float) -> int:
    """Return the brush size in cells nearest to a diameter in µm; at least 1."""
    return max(1, round(um / _cell_um(layer)))
