"""Determines the region of a run (view, drawn region or whole slide) and its effort."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject

from napari_fddm.core.config import StageName, load_config
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import Region
from napari_fddm.core.tiling import ANALYSIS_MPP, TileGrid, tiles_needed
from napari_fddm.plugin.layers.outlines import drawn_polygons, find_drawing, new_drawing
from napari_fddm.plugin.layers.slides import viewport_of
from napari_fddm.plugin.plumbing.timers import single_shot
from napari_fddm.plugin.state.window_state import Scope, duration_text

if TYPE_CHECKING:
    from napari_fddm.plugin.document import Session
    from napari_fddm.plugin.panels import Panels
    from napari_fddm.plugin.state.window_state import ShownSlide

ROLE = "region to analyze"
COLOR = "#00b8ff"
ESTIMATE_MS = 300
"""Shortest time between two estimates of the effort."""


class ScopeController(QObject):
    """Converts the chosen scope to a region, and estimates how many tiles that is.

    Parameters
    ----------
    session : Session
        Its viewer has the view and the drawn region; its state has the slide and the speed
        of the last run.
    panels : Panels
        The run panel requests a drawing and shows the estimate.
    parent : QObject
        The owner.
    """

    def __init__(self, session: Session, panels: Panels, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._state, self._panels = session.viewer, session.state, panels
        self._timer = single_shot(self, ESTIMATE_MS)
        link = session.connections.add
        link(self._timer.timeout, self._on_timer_timeout)
        link(panels.run.draw_clicked, self._on_panel_draw_clicked)
        link(panels.run.scope_chosen, self._on_anything_changed)
        link(panels.slide.mpp_typed, self._on_anything_changed)
        link(self._state.model_changed, self._on_anything_changed)
        link(self._state.slide_changed, self._on_anything_changed)
        link(self._state.progress_changed, self._on_anything_changed)
        camera = self._viewer.scene.camera.events
        for event in (camera.center, camera.zoom):
            link(event, self._on_anything_changed)

    def region(self, slide: ShownSlide, scope: Scope) -> Region | None:
        """Return the region of a slide for a scope, level-0 px; None for the whole slide.

        Raises
        ------
        ConfigError
            If that region is not on the slide.
        """
        if scope is Scope.SLIDE:
            return None
        region = self._drawn(slide) if scope is Scope.DRAWN else None
        if scope is Scope.VIEWPORT:
            region = viewport_of(self._viewer, slide)
            if region is None or region.is_empty:
                raise ConfigError(
                    "The window does not show the slide.", hint="Move the slide into view."
                )
        if region is None or region.is_empty:
            raise ConfigError(
                "No region is drawn on the slide.",
                hint="Click Draw, then drag a rectangle over the tissue.",
            )
        return region

    def draw(self) -> None:
        """Activate the rectangle tool on the layer of drawn regions; adds the layer if needed."""
        slide = self._state.slide
        if slide is None:
            return
        layer = find_drawing(self._viewer.layers, ROLE, slide.fingerprint)
        if layer is None:
            layer = new_drawing(ROLE, slide, COLOR)
            layer.events.data.connect(self._on_anything_changed)
            self._viewer.add_layer(layer)
        layer.mode = "add_rectangle"
        self._viewer.layers.selection.active = layer

    def _drawn(self, slide: ShownSlide) -> Region | None:
        """Return the bounding box of the selected shapes, or of the last one, on the slide."""
        layer = find_drawing(self._viewer.layers, ROLE, slide.fingerprint)
        if layer is None or not layer.nshapes:
            return None
        polygons = drawn_polygons(layer, layer.selected_data or {layer.nshapes - 1})
        if not polygons:
            return None
        corners = np.concatenate(polygons)
        (y0, x0), (y1, x1) = corners.min(axis=0), corners.max(axis=0)
        box = Region(float(y0), float(x0), float(y1 - y0), float(x1 - x0))
        return box.intersection(Region(0, 0, *slide.shape))

    def estimate(self) -> str:
        """Return how many tiles a run would analyze, and how long that takes if known, as text."""
        slide = self._state.slide
        mpp = (slide.mpp or self._panels.slide.mpp) if slide is not None else None
        if slide is None or mpp is None or self._state.busy:
            return ""
        try:
            region = self.region(slide, self._panels.run.scope)
        except ConfigError as error:
            return str(error)
        card = self._state.card
        grid = TileGrid(slide.shape, mpp, card.analysis_mpp if card else ANALYSIS_MPP)
        window = grid.window_of(region if region is not None else Region(0, 0, *slide.shape))
        tiles = window.height * window.width
        config = load_config(**self._panels.run.config)
        if config.stage is StageName.REFINED:
            # Tiles around the region are classified, too: refinement depends on them.
            needed = tiles_needed(grid.shape, window, bridge=config.calls_refiner)
            tiles = int(needed.sum())
        text = f"{tiles} tiles at most" if tiles > 1 else "1 tile"
        if self._state.tiles_per_second:
            seconds = math.ceil(tiles / self._state.tiles_per_second)
            text += f", up to {duration_text(seconds)} at the last run's speed"
        return text

    def _on_anything_changed(self, _event: Any = None) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _on_timer_timeout(self) -> None:
        self._panels.run.set_estimate(self.estimate())

    def _on_panel_draw_clicked(self) -> None:
        self.draw()
