"""Which tiles a run is asked for, and in which order it classifies them.

Of these, the tiles that touch tissue are classified (`core.tissue`), and those around them
that the refiner reads (`core.tiling.tiles_needed`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import Region, Window

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.geometry import YX
    from napari_fddm.core.tiling import TileGrid


def wanted_tiles(grid: TileGrid, region: Region | None) -> tuple[Window, tuple[str, ...]]:
    """Return the tiles of a region, and notes for the user if the region was clipped.

    Parameters
    ----------
    grid : TileGrid
        Of the slide.
    region : Region or None
        Level-0 px; None for the whole slide.

    Raises
    ------
    ConfigError
        If the region is empty or lies outside the slide.
    """
    if region is None:
        return Window(0, 0, *grid.shape), ()
    tiles = grid.window_of(region)
    height, width = grid.slide_shape
    if tiles.is_empty:
        raise ConfigError(
            f"the region {_in_words(region)} is empty or outside the slide of "
            f"{width} × {height} px.",
            hint="Regions are y, x, height, width in level-0 pixels.",
        )
    inside = region.intersection(Region(0, 0, height, width))
    if inside == region:
        return tiles, ()
    note = (
        f"the region {_in_words(region)} reaches beyond the slide and was clipped to "
        f"{_in_words(inside)}"
    )
    return tiles, (note,)


def nearest_first(
    wanted: npt.NDArray[np.bool_], grid: TileGrid, tiles: Window, focus: YX | None
) -> list[tuple[int, int]]:
    """Return the tiles of a mask, nearest to the focus first.

    Parameters
    ----------
    wanted : array of bool, shape of the tile grid
        Which tiles.
    grid : TileGrid
        Of the slide.
    tiles : Window
        What the run is asked for: without a focus, distances count from its middle.
    focus : tuple of float or None
        (y, x), level-0 px, from where distances count.
    """
    center = np.array([tiles.y + tiles.height / 2, tiles.x + tiles.width / 2])
    if focus is not None:
        center = np.array(focus) / grid.geometry.cell
    places = np.argwhere(wanted)
    nearest = np.argsort(((places + 0.5 - center) ** 2).sum(axis=1), kind="stable")
    return [(int(row), int(col)) for row, col in places[nearest]]


def _in_words(region: Region) -> str:
    return f"{region.y:g} {region.x:g} {region.height:g} {region.width:g}"
