"""Which part of a slide is analyzed.

The mask must keep pale necrosis and hemorrhage, which saturation thresholds lose
(REQUIREMENTS section 3, no. 16), so it looks for anything that differs from the
slide's own glass, in brightness or in color, and closes small gaps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import MapGeometry

if TYPE_CHECKING:
    import numpy.typing as npt

MASK_UM = 16.0
"""Edge of a mask cell, µm: half a bridge cell, fine enough for slender tissue."""
GLASS_PERCENTILE = 95.0
MIN_CONTRAST = 10.0
"""Least difference from glass, gray values: below it JPEG noise on glass begins."""
MIN_SPECK_MM2 = 0.01
MIN_TILE_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class TissueMask:
    """Where tissue is.

    Attributes
    ----------
    mask : array of bool, shape (H, W)
        True on tissue.
    geometry : MapGeometry
        Where the mask lies.
    method : str
        "auto" or "all".
    """

    mask: npt.NDArray[np.bool_]
    geometry: MapGeometry
    method: str

    @property
    def tissue_mm2(self) -> float:
        """Area of the tissue, mm²."""
        return float(np.count_nonzero(self.mask)) * self.geometry.cell_mm2

    def share_per_tile(self, tiles: MapGeometry) -> npt.NDArray[np.float64]:
        """Return the share of tissue in each tile of a grid, shape of the grid.

        Mask cells are counted by where their centers lie.
        """
        rows = _bins(self.geometry, tiles, axis=0)
        cols = _bins(self.geometry, tiles, axis=1)
        index = rows[:, None] * tiles.shape[1] + cols[None, :]
        size = tiles.shape[0] * tiles.shape[1]
        tissue = np.bincount(index.ravel(), weights=self.mask.ravel(), minlength=size)
        cells = np.bincount(index.ravel(), minlength=size)
        return (tissue / np.maximum(cells, 1)).reshape(tiles.shape)

    def tiles_to_analyze(self, tiles: MapGeometry) -> npt.NDArray[np.bool_]:
        """Return which tiles touch tissue, shape of the grid."""
        return self.share_per_tile(tiles) >= MIN_TILE_SHARE


def _bins(mask: MapGeometry, tiles: MapGeometry, axis: int) -> npt.NDArray[np.int64]:
    centers = mask.origin[axis] + (np.arange(mask.shape[axis]) + 0.5) * mask.cell
    bins = ((centers - tiles.origin[axis]) / tiles.cell).astype(np.int64)
    return np.clip(bins, 0, tiles.shape[axis] - 1)


def find_tissue(thumbnail: npt.NDArray[np.uint8], geometry: MapGeometry) -> TissueMask:
    """Find everything on a thumbnail that is not glass.

    Parameters
    ----------
    thumbnail : array of uint8, shape (H, W, 3)
        The slide at the mask's resolution.
    geometry : MapGeometry
        Where the thumbnail lies; its shape must fit.

    Raises
    ------
    ConfigError
        If the shapes differ.
    """
    if thumbnail.shape[:2] != geometry.shape:
        raise ConfigError(f"a thumbnail of {thumbnail.shape} does not fit {geometry.shape}.")
    smooth = ndimage.gaussian_filter(thumbnail.astype(np.float32), (1.0, 1.0, 0.0))
    distance = np.abs(smooth - _glass_color(smooth)).max(axis=2)
    mask = ndimage.binary_closing(np.pad(distance > MIN_CONTRAST, 3), iterations=2)[3:-3, 3:-3]
    return TissueMask(_without_specks(mask, geometry.cell_mm2), geometry, "auto")


def everything(geometry: MapGeometry) -> TissueMask:
    """Return a mask that calls the whole slide tissue."""
    return TissueMask(np.ones(geometry.shape, bool), geometry, "all")


def _glass_color(rgb: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Estimate the color of glass: the mean of the brightest pixels, never below 215.

    The floor keeps a slide without any glass from being called empty.
    """
    brightness = rgb.min(axis=2)
    bright = rgb[brightness >= np.percentile(brightness, GLASS_PERCENTILE)]
    return np.maximum(np.median(bright, axis=0), 215.0)


def _without_specks(
    mask: npt.NDArray[np.bool_], cell_mm2: float
) -> npt.NDArray[np.bool_]:
    parts, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(parts.ravel()) * cell_mm2
    keep = sizes >= MIN_SPECK_MM2
    keep[0] = False
    return np.asarray(keep[parts], dtype=bool)
