"""The tissue mask of a run: detected on the slide, everything, or the user's own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.geometry import MapGeometry
from napari_fddm.core.resample import WHITE
from napari_fddm.core.tissue import MASK_UM, TissueMask, everything, find_tissue
from napari_fddm.pipeline.tissue.overview import iter_blocks
from napari_fddm.pipeline.tissue.stored import cells_not_stored
from napari_fddm.slides.base import PyramidSlide

if TYPE_CHECKING:
    from napari_fddm.core.protocols import Slide
    from napari_fddm.core.tiling import TileGrid
    from napari_fddm.pipeline.tissue.outline_mask import OutlineMask
    from napari_fddm.pipeline.tissue.user_mask import UserMask


def tissue_of_slide(
    slide: Slide, grid: TileGrid, method: str, mask: UserMask | OutlineMask | None
) -> TissueMask:
    """Return the tissue mask of a slide.

    Parameters
    ----------
    slide : Slide
        Read only if the tissue must be detected.
    grid : TileGrid
        Gives the slide's size and mpp.
    method : str
        "auto" or "all"; ignored if there is a mask.
    mask : UserMask, OutlineMask or None
        The user's own.
    """
    geometry = MapGeometry.covering(grid.slide_shape, MASK_UM / grid.mpp, grid.mpp)
    if mask is not None:
        return mask.on_grid(geometry, grid.slide_shape)
    return everything(geometry) if method == "all" else _find(slide, geometry)


def _find(slide: Slide, geometry: MapGeometry) -> TissueMask:
    """Detect tissue; what cannot be read counts as tissue, so that its tiles are tried.

    So does what was never stored: there may have been tissue. If scanners of this kind leave
    out empty glass, it is glass.
    """
    thumbnail = np.full((*geometry.shape, 3), WHITE, np.uint8)
    unknown = np.zeros(geometry.shape, bool)
    for window, rgb, _ in iter_blocks(slide, geometry):
        unknown[window.slices] = rgb is None
        if rgb is not None:
            thumbnail[window.slices] = rgb
    found = find_tissue(thumbnail, geometry)
    lost = cells_not_stored(slide, geometry)
    if lost is not None and isinstance(slide, PyramidSlide) and slide.leaves_out_glass:
        found = replace(found, mask=found.mask & ~lost)
    elif lost is not None:
        unknown |= lost
    return replace(found, mask=found.mask | unknown)
