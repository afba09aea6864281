"""Read a whole slide at a coarse resolution, around damaged parts; write the overview."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fddm.core.errors import SlideError
from napari_fddm.core.geometry import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_fddm.core.geometry import MapGeometry
    from napari_fddm.core.protocols import RgbImage, Slide
    from napari_fddm.pipeline.store import AnalysisStore

BLOCK = 1024
"""Edge of the blocks that are read at once, cells."""
SMALLEST_BLOCK = 32
"""A block that cannot be read is halved down to this, so that gaps stay small."""


def iter_blocks(
    slide: Slide, geometry: MapGeometry, window: Window | None = None, block: int = BLOCK
) -> Iterator[tuple[Window, RgbImage | None, str]]:
    """Read a slide onto a map, block by block.

    Parameters
    ----------
    slide : Slide
        Its mpp is that of the map.
    geometry : MapGeometry
        The map.
    window : Window, optional
        Cells to read, the whole map by default.
    block : int
        Edge of the blocks to read at once, cells.

    Yields
    ------
    window : Window
        Cells of the map.
    rgb : array of uint8, shape (h, w, 3), or None
        Pixels, or None where they cannot be decoded.
    reason : str
        Why they cannot be decoded; else empty.
    """
    whole = window or Window(0, 0, *geometry.shape)
    for y in range(whole.y, whole.y_end, block):
        for x in range(whole.x, whole.x_end, block):
            part = Window(y, x, block, block).intersection(whole)
            try:
                rgb = slide.read_region(geometry.region_of(part), geometry.cell_um)
            except SlideError as error:
                if block > SMALLEST_BLOCK:
                    yield from iter_blocks(slide, geometry, part, block // 2)
                else:
                    yield part, None, error.message
                continue
            yield part, rgb[: part.height, : part.width], ""


def write_overview(slide: Slide, store: AnalysisStore, geometry: MapGeometry) -> list[str]:
    """Write a store's overview; return a note on its gaps, or nothing if it has none."""
    gaps = []
    for window, rgb, reason in iter_blocks(slide, geometry):
        if rgb is None:
            gaps.append(reason)
        else:
            store.maps.write_overview(window, rgb)
    return [f"the overview has {len(gaps)} gaps: {gaps[0]}"] if gaps else []
