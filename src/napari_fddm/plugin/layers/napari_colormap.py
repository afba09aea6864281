"""The classes' colors as napari draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from napari_fddm.core.classes import NOT_ANALYZED, Role
from napari_fddm.plugin.state.display import ClassDisplay

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_fddm.core.classes import ClassTable, TissueClass

GLASS_ALPHA = 0.25
"""Opacity of the background class, which should hide nothing."""
OUTLINE_CELLS = 1
"""Width of outlines, cells of the map; the tissue inside them stays visible."""


def class_colormap(table: ClassTable, display: ClassDisplay | None = None) -> DirectLabelColormap:
    """Return the colors by label value; 0, unknown and hidden values are transparent.

    Parameters
    ----------
    table : ClassTable
        The classes.
    display : ClassDisplay, optional
        How classes are drawn; by default all of them, in color-blind safe colors.
    """
    display = display or ClassDisplay()
    clear = np.zeros(4, np.float32)
    colors: dict[int | None, Any] = {None: clear, NOT_ANALYZED: clear}
    for tissue in table:
        alpha = GLASS_ALPHA if is_glass(tissue) else 1.0
        color = np.array([*(c / 255 for c in display.rgb(tissue)), alpha], np.float32)
        colors[tissue.value] = color if display.shows(tissue.value) else clear
    return DirectLabelColormap(color_dict=colors)


def is_glass(tissue: TissueClass) -> bool:
    """Return whether a class is the empty background of the slide."""
    return tissue.short == "BG" and tissue.role is Role.OUTSIDE


def apply_display(layer: Labels, table: ClassTable, display: ClassDisplay) -> None:
    """Set how a layer is drawn; its data are not changed."""
    layer.colormap = class_colormap(table, display)
    layer.contour = OUTLINE_CELLS if display.outline else 0
