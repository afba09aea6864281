"""Converts between the camera and level-0 pixels: what the canvas shows, and moving it.

napari's camera uses world units per canvas pixel; slides use level-0 pixels. Canvas pixels
are logical ones: on a screen with a device pixel ratio of 2 each has 2 × 2 screen pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fddm.core.geometry import Region

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.components import ViewerModel
    from napari.layers import Image, Layer
    from napari.viewer import Viewer

_HALF_PIXEL = 0.5
"""The first pixel's center is at 0 in napari; its edge is at 0 in ours."""


def bare(thing: Any) -> Any:
    """Return a layer or viewer without the wrapper that napari makes for plugins at each access."""
    return getattr(thing, "__wrapped__", thing)


def is_active(viewer: ViewerModel, layer: Layer) -> bool:
    """Return whether a layer is the active one."""
    return bare(viewer.layers.selection.active) is bare(layer)


def world_per_pixel(viewer: ViewerModel, layer: Image) -> float:
    """Return the length of a level-0 pixel in world units.

    World units are the layer's own, unless another layer made napari choose finer ones.
    """
    size = abs(float(layer.scale[-1]))
    units = viewer.layers.extent.units
    if units is None or units[-1] == layer.units[-1]:
        return size
    ratio = (1.0 * layer.units[-1]).to(units[-1]).magnitude
    return size * float(ratio)


def pixels_per_canvas_pixel(viewer: ViewerModel, layer: Image) -> float:
    """Return the width of a canvas pixel in level-0 pixels."""
    return 1.0 / (float(viewer.scene.camera.zoom) * world_per_pixel(viewer, layer))


def shown_region(viewer: ViewerModel, layer: Image) -> Region:
    """Return what the canvas shows, level-0 px; it may extend beyond the slide."""
    scale = pixels_per_canvas_pixel(viewer, layer)
    height, width = (float(n) * scale for n in viewer.canvas.viewbox_size(viewer.layers))
    size = world_per_pixel(viewer, layer)
    y, x = (
        (float(center) - float(start) * size / abs(float(step))) / size + _HALF_PIXEL
        for center, start, step in zip(
            viewer.scene.camera.center[-2:], layer.translate[-2:], layer.scale[-2:], strict=True
        )
    )
    return Region(y - height / 2, x - width / 2, height, width)


def center_on(viewer: ViewerModel, layer: Image, y: float, x: float) -> None:
    """Center the canvas on a point, level-0 px (edge coordinates)."""
    size = world_per_pixel(viewer, layer)
    place = [
        (n - _HALF_PIXEL) * size + float(start) * size / abs(float(step))
        for n, start, step in zip((y, x), layer.translate[-2:], layer.scale[-2:], strict=True)
    ]
    camera = viewer.scene.camera
    camera.center = (float(camera.center[0]), *place)


def zoom_to(viewer: ViewerModel, layer: Image, pixels: float) -> None:
    """Zoom until a canvas pixel is ``pixels`` level-0 pixels wide; the center stays."""
    viewer.scene.camera.zoom = 1.0 / (pixels * world_per_pixel(viewer, layer))


def remove_layers(viewer: Viewer, layers: Iterable[Layer]) -> None:
    """Remove those layers that are in the viewer, and draw the canvas after each."""
    for layer in layers:
        if layer in viewer.layers:
            viewer.layers.remove(layer)
            draw_now(viewer)


def draw_now(viewer: Viewer | ViewerModel) -> None:
    """Draw the canvas now.

    Mesa's software OpenGL crashes if several layers with textures are removed, or some
    removed and others added, between two drawings (napari 0.9.2, Mesa 22.3; also without
    this plugin).
    """
    # `bare`, because the wrapper warns about private names.
    window = getattr(bare(viewer), "window", None)
    if window is not None:
        window._qt_viewer.canvas.native.repaint()


def hide_ring_box(viewer: Viewer | ViewerModel) -> None:
    """Keep napari from drawing the box behind its brush circle.

    In napari 0.9.2 it stays on the canvas as a black square after the first stroke, and
    Mesa's software OpenGL crashes when it is drawn after the layers were removed.
    """
    ring = getattr(bare(viewer).canvas.overlays, "_brush_circle", None)
    if ring is not None:
        ring.box = False
