"""Shapes layers for outlines over a slide; reads and writes their polygons in level-0 pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Shapes

from napari_fddm.plugin.layers.common import METADATA
from napari_fddm.plugin.plumbing.napari_text import unmarked
from napari_fddm.plugin.state.placement import Placement

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari.layers import Layer

    from napari_fddm.core.outlines import Polygon
    from napari_fddm.plugin.state.window_state import ShownSlide

LINE_SHARE = 1 / 700
"""Width of the lines, as a share of the slide's longer side."""
ELLIPSE_CORNERS = 64
"""An ellipse becomes a polygon with this many corners."""
_HALF_PIXEL = 0.5
"""The first pixel's center is at 0 in napari; its edge is at 0 in ours."""


def find_drawing(layers: Iterable[Layer], role: str, fingerprint: str) -> Shapes | None:
    """Return the outline layer of a role for a slide, or None."""
    for layer in layers:
        block = layer.metadata.get(METADATA, {})
        if isinstance(layer, Shapes) and (block.get("role"), block.get("of")) == (
            role,
            fingerprint,
        ):
            return layer
    return None


def new_drawing(
    role: str, slide: ShownSlide, color: str, polygons: Sequence[Polygon] = ()
) -> Shapes:
    """Return a layer for outlines that lies over a slide.

    Parameters
    ----------
    role : str
        What the outlines are, e.g. "tumor bed"; also part of the layer's name.
    slide : ShownSlide
        The slide, which says where the layer lies.
    color : str
        Color of the lines.
    polygons : sequence of array of float, shape (corners, 2)
        Outlines that are there already, (y, x) in level-0 px, edge coordinates.
    """
    width = max(slide.shape) * LINE_SHARE
    layer = Shapes(
        [polygon - _HALF_PIXEL for polygon in polygons] or None,
        ndim=2,
        shape_type="polygon",
        name=unmarked(f"{role} — {slide.name}"),
        edge_color=color,
        edge_width=width,
        face_color="transparent",
        metadata={METADATA: {"role": role, "of": slide.fingerprint}},
        **_placement(slide),
    )
    layer.current_edge_width = width
    layer.current_edge_color = color
    layer.current_face_color = "transparent"
    return layer


def show_outline(layer: Shapes, polygons: Sequence[Polygon]) -> None:
    """Replace what is drawn by other outlines, (y, x) in level-0 px, edge coordinates."""
    layer.data = []
    if polygons:
        layer.add_polygons([polygon - _HALF_PIXEL for polygon in polygons])


def drawn_polygons(layer: Shapes, only: Iterable[int] | None = None) -> list[Polygon]:
    """Return the closed shapes of a layer, (y, x) in level-0 px, edge coordinates.

    Parameters
    ----------
    layer : Shapes
        Its rectangles, polygons and ellipses are returned; lines and paths are not closed.
    only : iterable of int, optional
        Indices of shapes; all by default.
    """
    wanted = range(layer.nshapes) if only is None else sorted(only)
    found = (_polygon(layer.data[i], layer.shape_type[i]) for i in wanted)
    return [polygon for polygon in found if polygon is not None]


def _polygon(data: Any, kind: str) -> Polygon | None:
    corners = np.asarray(data, np.float64) + _HALF_PIXEL
    if kind not in ("rectangle", "polygon", "ellipse") or len(corners) < 3:
        return None
    if kind != "ellipse":
        return corners
    center = corners.mean(axis=0)  # of the bounding box
    half_a, half_b = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    turn = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)[:, None]
    return np.asarray(center + np.cos(turn) * half_a + np.sin(turn) * half_b)


def _placement(slide: ShownSlide) -> dict[str, Any]:
    return (slide.placement or Placement.of_slide(slide.mpp)).options
