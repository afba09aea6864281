"""Connects minimap and magnification with the camera, and reads the overview of the slide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_fddm.plugin.layers.slides import layer_of, slide_of_layer
from napari_fddm.plugin.layers.viewport import (
    center_on,
    pixels_per_canvas_pixel,
    shown_region,
    zoom_to,
)
from napari_fddm.plugin.panels.navigator import NO_MPP
from napari_fddm.plugin.plumbing import Background
from napari_fddm.plugin.plumbing.timers import single_shot
from napari_fddm.slides import PyramidSlide, open_slide
from napari_fddm.slides.opening import dark_ground
from napari_fddm.slides.overview import read_overview

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_fddm.core.protocols import RgbImage, Slide
    from napari_fddm.plugin.controllers.foreign_images import ForeignImagesController
    from napari_fddm.plugin.document import Session
    from napari_fddm.plugin.panels import Panels
    from napari_fddm.plugin.state.window_state import ShownSlide

OBJECTIVE_UM = 10.0
"""µm per pixel at 1×: scanners have 0.25 µm at 40× and 0.5 µm at 20×."""
OVERVIEW_PX = 512
"""Longer side of the overview, px: enough for screens with a device pixel ratio of 2."""
FOLLOW_MS = 30
"""Shortest time between two updates of the frame."""


class NavigatorController(QObject):
    """Connects the navigator panel with the camera and the current slide.

    Parameters
    ----------
    session : Session
        Its viewer's camera is shown and moved.
    panels : Panels
        The navigator panel; the slide panel supplies a typed pixel size and shows warnings.
    images : ForeignImagesController
        Supplies the slides behind layers of other readers.
    parent : QObject
        The owner.
    """

    def __init__(
        self, session: Session, panels: Panels, images: ForeignImagesController, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._images = images
        self._viewer, self._state = session.viewer, session.state
        self._view, self._slide_panel = panels.navigator, panels.slide
        self._background = Background("overview", self)
        self._overviews: dict[str, tuple[RgbImage | None, str]] = {}
        self._timer = single_shot(self, FOLLOW_MS)
        session.on_close(self.close)
        link = session.connections.add
        link(self._timer.timeout, self.follow)
        link(self._view.moved, self._on_view_moved)
        link(self._view.magnification_clicked, self._on_view_magnification_clicked)
        link(panels.slide.mpp_typed, self._on_anything_changed)
        link(self._state.slide_changed, self._on_state_slide_changed)
        camera = self._viewer.scene.camera.events
        for event in (camera.center, camera.zoom, self._viewer.canvas.events.size):
            link(event, self._on_anything_changed)
        link(self._viewer.dims.events.ndisplay, self._on_anything_changed)

    def follow(self) -> None:
        """Show the region and the magnification of the canvas."""
        slide, layer = self._state.slide, self._layer
        if slide is None or layer is None or self._viewer.dims.ndisplay != 2:
            self._view.map.set_view(None)
            self._view.set_magnification(None, "no slide is shown")
            return
        self._view.map.set_view(shown_region(self._viewer, layer))
        mpp = self._mpp(slide)
        if mpp is None:
            self._view.set_magnification(None, NO_MPP)
            return
        um = pixels_per_canvas_pixel(self._viewer, layer) * mpp / self._screen_pixels
        self._view.set_magnification(OBJECTIVE_UM / um)

    def close(self) -> None:
        """Stop reading overviews."""
        self._timer.stop()
        self._background.close()

    @property
    def _layer(self) -> Image | None:
        slide = self._state.slide
        return layer_of(self._viewer.layers, slide) if slide is not None else None

    @property
    def _screen_pixels(self) -> float:
        """Screen pixels per canvas pixel."""
        return float(self._view.devicePixelRatioF())

    def _mpp(self, slide: ShownSlide) -> float | None:
        return slide.mpp or self._slide_panel.mpp

    def _on_state_slide_changed(self, slide: ShownSlide | None) -> None:
        self._view.set_slide(slide.shape if slide is not None else None)
        self.follow()
        self._on_anything_changed()  # the camera may not have moved yet
        if slide is None:
            return
        pixels = slide_of_layer(self._layer) or self._images.pixels_of(slide)
        if slide.fingerprint in self._overviews:
            self._show(slide.fingerprint)
        elif pixels is not None or slide.uri:
            self._background.do(
                lambda: self._read(pixels, slide.uri),
                lambda found: self._on_read(slide.fingerprint, found),
            )

    def _read(self, slide: Slide | None, uri: str) -> tuple[RgbImage | None, str]:
        """Read the overview and check its background; runs in the thread."""
        if slide is None:  # a layer of another reader: open its file for this
            with open_slide(uri) as opened:
                return self._read(opened, uri)
        overview = read_overview(slide, OVERVIEW_PX, lambda: self._background.closed)
        return overview, dark_ground(slide) if isinstance(slide, PyramidSlide) else ""

    def _on_read(self, fingerprint: str, found: tuple[RgbImage | None, str]) -> None:
        self._overviews[fingerprint] = found
        self._show(fingerprint)

    def _show(self, fingerprint: str) -> None:
        slide = self._state.slide
        if slide is None or slide.fingerprint != fingerprint:
            return  # too late: another slide is current
        overview, warning = self._overviews[fingerprint]
        if overview is not None:
            self._view.map.set_image(overview)
        self._slide_panel.add_warning(warning)

    def _on_view_moved(self, y: float, x: float) -> None:
        layer = self._layer
        if layer is not None:
            center_on(self._viewer, layer, y, x)

    def _on_view_magnification_clicked(self, power: int) -> None:
        slide, layer = self._state.slide, self._layer
        mpp = self._mpp(slide) if slide is not None else None
        if layer is not None and mpp is not None:
            um = OBJECTIVE_UM / power * self._screen_pixels  # per canvas pixel
            zoom_to(self._viewer, layer, um / mpp)
            self.follow()

    def _on_anything_changed(self, _event: Any = None) -> None:
        if not self._timer.isActive():
            self._timer.start()
