"""Lets the pathologist outline the tumor bed, shows the rate inside, and records the outline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject

from napari_fddm.pipeline.store.tumor_bed import DECIMALS, tumor_bed_record
from napari_fddm.plugin.layers.outlines import (
    drawn_polygons,
    find_drawing,
    new_drawing,
    show_outline,
)
from napari_fddm.plugin.layers.viewport import is_active
from napari_fddm.plugin.plumbing.timers import single_shot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Shapes

    from napari_fddm.core.outlines import Polygon
    from napari_fddm.plugin.document import Analysis, Session
    from napari_fddm.plugin.panels.rate import RatePanel
    from napari_fddm.plugin.state.window_state import ShownSlide

ROLE = "tumor bed"
COLOR = "#ff3df0"
SETTLED_MS = 300
"""Delay after the last change until an outline is counted and recorded."""


class TumorBedController(QObject):
    """Keeps drawn outlines, analyses and the panel consistent.

    Parameters
    ----------
    session : Session
        Its analyses have the outlines.
    panel : RatePanel
        Requests an outline and shows the rate inside it.
    parent : QObject
        The owner.
    """

    def __init__(self, session: Session, panel: RatePanel, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._state, self._panel = session, session.state, panel
        self._viewer = session.viewer
        self._timer = single_shot(self, SETTLED_MS)
        session.on_close(self.settle)
        link = session.connections.add
        link(self._timer.timeout, self._on_timer_timeout)
        link(panel.outline_clicked, self._on_panel_outline_clicked)
        link(panel.outline_removed, self._on_panel_outline_removed)
        link(self._viewer.layers.selection.events.active, self._show_mode)
        link(self._state.report_changed, self._on_state_report_changed)
        link(self._viewer.layers.events.removed, self._on_viewer_layers_removed)
        link(session.added, self._on_session_added)
        link(session.locked, self._on_session_locked)
        link(session.outlined, self._on_session_outlined)
        link(session.settling, self.settle)

    def _on_session_added(self, analysis: Analysis) -> None:
        slide = self._slide_of(analysis)
        layer, layers = self._drawing(analysis), self._viewer.layers
        if analysis.tumor_bed and slide is not None and layer is None:
            self._add(new_drawing(ROLE, slide, COLOR, analysis.tumor_bed))
        elif layer is not None and layers.index(layer) < len(layers) - 1:
            layers.move(layers.index(layer), len(layers))  # the classes must not hide it
        self._on_session_locked(analysis)

    def _on_session_locked(self, analysis: Analysis) -> None:
        layer = self._drawing(analysis)
        if layer is not None:
            layer.editable = not analysis.locked

    def _on_session_outlined(self, analysis: Analysis) -> None:
        # Otherwise the older outline of the layer would count as a newer edit.
        layer, slide = self._drawing(analysis), self._slide_of(analysis)
        if layer is not None:
            show_outline(layer, analysis.tumor_bed)
        elif analysis.tumor_bed and slide is not None:
            self._add(new_drawing(ROLE, slide, COLOR, analysis.tumor_bed))

    def settle(self) -> None:
        """Count and record what was drawn right away, e.g. before closing."""
        if self._timer.isActive():
            self._timer.stop()
            self._on_timer_timeout()

    def _slide_of(self, analysis: Analysis) -> ShownSlide | None:
        slide = self._state.slide
        return slide if slide and slide.fingerprint == analysis.fingerprint else None

    def _drawing(self, analysis: Analysis) -> Shapes | None:
        return find_drawing(self._viewer.layers, ROLE, analysis.fingerprint)

    def _add(self, layer: Shapes) -> None:
        layer.events.data.connect(self._on_layer_data)
        layer.events.mode.connect(self._show_mode)
        self._viewer.add_layer(layer)

    def _on_panel_outline_clicked(self) -> None:
        analysis = self._session.current
        slide = self._slide_of(analysis) if analysis is not None else None
        self._show_mode()  # the click checked the button; show the actual state
        if analysis is None or slide is None:
            return
        if analysis.locked:
            analysis.layer.refused.emit(analysis.locked)
            return
        layer = self._drawing(analysis)
        if layer is not None and self._is_drawn_on(layer):
            layer.mode = "pan_zoom"
            self._viewer.layers.selection.active = analysis.layer
            return
        if layer is None:
            layer = new_drawing(ROLE, slide, COLOR)
            self._add(layer)
        layer.mode = "add_polygon_lasso"
        self._viewer.layers.selection.active = layer

    def _on_panel_outline_removed(self) -> None:
        analysis = self._session.current
        if analysis is None:
            return
        if analysis.locked:
            analysis.layer.refused.emit(analysis.locked)
            return
        layer = self._drawing(analysis)
        if layer is not None:
            layer.data = []
            self._viewer.layers.selection.active = analysis.layer

    def _is_drawn_on(self, layer: Shapes) -> bool:
        return is_active(self._viewer, layer) and str(layer.mode).startswith("add_")

    def _show_mode(self, _event: Any = None) -> None:
        analysis = self._session.current
        layer = self._drawing(analysis) if analysis is not None else None
        self._panel.set_outlining(layer is not None and self._is_drawn_on(layer))

    def _on_layer_data(self, _event: Any = None) -> None:
        self._timer.start()

    def _on_viewer_layers_removed(self, _event: Any = None) -> None:
        self._timer.start()

    def _on_timer_timeout(self) -> None:
        for analysis in self._session.analyses.values():
            if analysis.locked:
                continue
            layer = self._drawing(analysis)
            drawn = tuple(drawn_polygons(layer)) if layer is not None else ()
            if not _same(drawn, analysis.tumor_bed):
                analysis.set_tumor_bed(drawn)
                analysis.writer.record(tumor_bed_record(drawn))
        self._show()

    def _on_state_report_changed(self, _reports: Any) -> None:
        self._show()

    def _show(self) -> None:
        analysis = self._session.current
        report = None
        if analysis is not None and not self._state.hides_rate_of(analysis.estimate):
            report = analysis.bed_report(self._state.definition, self._state.definitions)
        self._panel.set_bed_report(report)


def _same(one: Sequence[Polygon], other: Sequence[Polygon]) -> bool:
    return len(one) == len(other) and all(
        a.shape == b.shape and np.allclose(a, b, atol=10**-DECIMALS)
        for a, b in zip(one, other, strict=True)
    )
