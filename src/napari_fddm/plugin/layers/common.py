"""What the label layers share: their metadata, their place over the slide, their looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Labels

from napari_fddm.plugin.layers.napari_colormap import class_colormap
from napari_fddm.plugin.state.placement import Placement

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from napari_fddm.core.classes import ClassTable
    from napari_fddm.core.geometry import MapGeometry

METADATA = "napari_fddm"
"""Key of the plugin's dict in ``layer.metadata``; layers are never looked up by name."""
EXCLUDED_ROLE = "excluded"
"""Role, in the metadata, of the layer that hatches excluded cells."""
OPACITY = 0.5
BRUSH_CELLS = 15
"""Diameter of the brush on a new layer, cells of the map."""
TOOL_MARKS = ("polygon", "brush_stroke")
"""napari's names of the overlays that its tools draw."""


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
    """Return a layer of the model's labels, which tools cannot change."""
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
    """Keep napari from building the overlays of a layer's tools before a tool is used.

    They take as long as the rest of the layer, and an analysis has three layers.
    """
    for mark in TOOL_MARKS:
        layer._overlays[mark].visible = False
