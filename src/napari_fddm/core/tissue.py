"""Tissue detection: which part of a slide is tissue, and so which tiles are classified.

The mask must keep pale necrosis and hemorrhage, which saturation thresholds lose
(``docs/faq.md#numbers``), so it looks for anything that differs from the
slide's own glass, in brightness or in color, and closes small gaps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.resample import area_average_edges

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry

MASK_UM = 16.0
"""Edge of a mask cell, µm: half a bridge cell, fine enough for slender tissue."""
GLASS_GRAY = 215
"""Glass is at least this bright in each channel: nothing darker is taken for it."""
TINTED_GLASS_GRAY = 225
GLASS_CHROMA = 8
"""The channels of glass differ by no more, unless all of them reach the gray value above:
pale tissue is pink or violet, so one of its channels is darker."""
MIN_GLASS_SHARE = 0.01
"""With less glass than this among the pixels, its color cannot be estimated."""
MIN_CONTRAST = 10.0
"""Least darkening against glass, gray values: below it JPEG noise on glass begins."""
MIN_SPECK_MM2 = 0.01
"""Smaller isolated pieces are taken for dirt."""
MAX_HOLE_MM2 = 0.05
"""Enclosed gaps up to this belong to the tissue: cysts and vessels, smaller than a tile."""
MIN_TILE_SHARE = 0.01
"""A tile is analyzed if at least this share of it is tissue."""
_BAND_ROWS = 256
_SMOOTHING_REACH = 4
"""Cells on either side that smoothing a cell reads."""


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
        "auto", "all" or "mask" (a user's own).
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

        Of an edge tile, only the part that the mask covers counts.
        """
        cells = self._sum_per_tile(np.ones_like(self.mask), tiles)
        return self._sum_per_tile(self.mask, tiles) / np.maximum(cells, 1)

    def _sum_per_tile(
        self, mask: npt.NDArray[np.bool_], tiles: MapGeometry
    ) -> npt.NDArray[np.float64]:
        rows, cols = (
            tiles.cells_at(axis, self.geometry.centers(axis, np.arange(count)))
            for axis, count in enumerate(self.geometry.shape)
        )
        index = rows[:, None] * tiles.shape[1] + cols[None, :]
        size = tiles.shape[0] * tiles.shape[1]
        sums = np.bincount(index.ravel(), weights=mask.ravel(), minlength=size)
        return np.asarray(sums, np.float64).reshape(tiles.shape)

    def tiles_to_analyze(self, tiles: MapGeometry) -> npt.NDArray[np.bool_]:
        """Return which tiles touch tissue, shape of the grid."""
        return self.share_per_tile(tiles) >= MIN_TILE_SHARE

    def mm2_per_tile(self, tiles: MapGeometry) -> npt.NDArray[np.float64]:
        """Return the area of tissue in each tile of a grid, mm², shape of the grid."""
        return self._sum_per_tile(self.mask, tiles) * self.geometry.cell_mm2


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
    from scipy import ndimage  # imported late: it is half the time that a window takes to open

    if thumbnail.shape[:2] != geometry.shape:
        raise ConfigError(f"a thumbnail of {thumbnail.shape} does not fit {geometry.shape}.")
    dark = _darker_than(_glass_color(thumbnail), thumbnail)
    mask = ndimage.binary_closing(np.pad(dark, 3), iterations=2)[3:-3, 3:-3]
    cell = geometry.cell_mm2
    mask = _without_parts(mask, lambda mm2: mm2 < MIN_SPECK_MM2, cell)
    mask = ~_without_parts(~mask, lambda mm2: mm2 <= MAX_HOLE_MM2, cell, keep_border=True)
    return TissueMask(mask, geometry, "auto")


def everything(geometry: MapGeometry) -> TissueMask:
    """Return a mask in which the whole slide is tissue."""
    return TissueMask(np.ones(geometry.shape, bool), geometry, "all")


def _darker_than(
    glass: npt.NDArray[np.float32], rgb: npt.NDArray[np.uint8]
) -> npt.NDArray[np.bool_]:
    """Return where the smoothed image is darker than glass in any channel.

    Tissue absorbs light; what is brighter than glass is white padding. Computed in bands
    of rows, each with the rows around it that the smoothing reads.
    """
    from scipy import ndimage

    dark = np.empty(rgb.shape[:2], bool)
    for start in range(0, len(rgb), _BAND_ROWS):
        first = max(0, start - _SMOOTHING_REACH)
        band = rgb[first : start + _BAND_ROWS + _SMOOTHING_REACH].astype(np.float32)
        smooth = ndimage.gaussian_filter(band, (1.0, 1.0, 0.0), truncate=_SMOOTHING_REACH)
        inner = smooth[start - first :][:_BAND_ROWS]
        dark[start : start + _BAND_ROWS] = (glass - inner).max(axis=2) > MIN_CONTRAST
    return dark


def tissue_of_image(
    image: npt.NDArray[np.bool_], extent: tuple[float, float], geometry: MapGeometry
) -> TissueMask:
    """Resample a user's mask to the mask grid; a cell is tissue if half of it is.

    Parameters
    ----------
    image : array of bool, shape (h, w)
        True on tissue.
    extent : tuple of float
        (height, width) that the image covers from level-0 (0, 0), level-0 px.
    geometry : MapGeometry
        The mask grid.
    """
    edges = []
    for axis in (0, 1):
        size = image.shape[axis]
        per_cell = geometry.cell * size / extent[axis]
        # The image's last pixel may be cut by the slide's edge, or its last cell by the image's.
        ends = np.minimum(np.arange(geometry.shape[axis] + 1) * per_cell, size)
        edges.append(np.maximum(ends, np.arange(len(ends)) * 1e-6))
    share = area_average_edges(image.astype(np.uint8)[..., None] * np.uint8(255), *edges, fill=0)
    return TissueMask(share[..., 0] >= 128, geometry, "mask")


def tissue_of_placed(
    image: npt.NDArray[np.bool_],
    place: MapGeometry,
    geometry: MapGeometry,
    slide_shape: tuple[int, int],
) -> TissueMask:
    """Resample a mask of a part of the slide; what lies outside of it is no tissue.

    Parameters
    ----------
    image : array of bool, shape (h, w)
        True on tissue.
    place : MapGeometry
        Where it lies; it may reach beyond the slide.
    geometry : MapGeometry
        The mask grid.
    slide_shape : tuple of int
        (height, width), level-0 px.
    """
    edges = [
        (np.minimum(np.arange(count + 1) * geometry.cell, size) - origin) / place.cell
        for count, size, origin in zip(geometry.shape, slide_shape, place.origin, strict=True)
    ]
    share = area_average_edges(image.astype(np.uint8)[..., None] * np.uint8(255), *edges, fill=0)
    return TissueMask(share[..., 0] >= 128, geometry, "mask")


def _glass_color(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Estimate the color of glass: the median of the bright pixels with hardly any color.

    Pure white is left out where possible: slide readers fill with it what was not
    scanned, and scanned glass is darker. Without any glass the answer is white, so that a
    slide full of tissue is not taken for empty.
    """
    darkest, brightest = rgb.min(axis=2), rgb.max(axis=2)
    neutral = (darkest >= GLASS_GRAY) & (brightest - darkest <= GLASS_CHROMA)
    glass = rgb[(neutral | (darkest >= TINTED_GLASS_GRAY)) & (darkest < 255)]
    if len(glass) < MIN_GLASS_SHARE * darkest.size:
        return np.full(3, 255.0, np.float32)
    return np.asarray(np.median(glass, axis=0), np.float32)


def _without_parts(
    mask: npt.NDArray[np.bool_],
    unwanted: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.bool_]],
    cell_mm2: float,
    *,
    keep_border: bool = False,
) -> npt.NDArray[np.bool_]:
    """Remove the connected parts whose area, mm², is unwanted."""
    from scipy import ndimage

    parts, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.asarray(np.bincount(parts.ravel()) * cell_mm2, np.float64)
    keep = ~unwanted(sizes)
    if keep_border:
        for edge in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
            keep[edge] = True
    keep[0] = False
    return np.asarray(keep[parts], dtype=bool)
