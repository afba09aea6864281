"""What every label layer of the window shares: how it is marked, where it lies, how it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Labels

from napari_fddm.plugin.layers.colors import class_colormap
from napari_fddm.plugin.state.placement import Placement

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from napari_fddm.core.classes import ClassTable
    from napari_fddm.core.geometry import MapGeometry

METADATA = "napari_fddm"
"""Key of our block in ``layer.metadata``; layers are never looked up by name."""
EXCLUDED_ROLE = "excluded"
"""Of the layer that hatches what a person excluded."""
OPACITY = 0.5
BRUSH_CELLS = 15
TOOL_MARKS = ("polygon", "brush_stroke")
"""napari's names of what it draws for tools."""


def placement(geometry: MapGeometry, place: Placement | None = None) -> dict[str, Any]:
    """Return the keyword arguments that lay a map over its slide.

    Parameters
    ----------
    geometry : MapGeometry
        The map.
    place : Placement, optional
        Where the slide lies; by default in µm, its first pixel at 0.
    """
    return (place or Placement.of_slide(geometry.mpp)).of_map(geometry)


def automatic_layer(
    labels: npt.NDArray[np.uint8],
    geometry: MapGeometry,
    table: ClassTable,
    name: str,
    place: Placement | None = None,
) -> Labels:
    """Return a layer of what the model says; the brush cannot change it."""
    layer = Labels(
        labels,
        name=name,
        colormap=class_colormap(table),
        opacity=OPACITY,
        metadata={METADATA: {"role": "automatic"}},
        **placement(geometry, place),
    )
    layer.editable = False
    hide_tool_marks(layer)
    return layer


def hide_tool_marks(layer: Labels) -> None:
    """Let napari not build the pictures of a layer's tools yet, or never.

    They take as long as the rest of the layer, and a run adds three layers at once.
    """
    for mark in TOOL_MARKS:
        layer._overlays[mark].visible = False
