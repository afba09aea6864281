"""Write a slide as a pyramidal TIFF, tile by tile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_fddm.core.errors import MppError
from napari_fddm.core.geometry import LevelInfo, Region

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_fddm.core.protocols import Slide

_UM_PER_CM = 10_000.0


def write_pyramid(
    slide: Slide,
    path: str | Path,
    *,
    levels: Sequence[LevelInfo],
    pyramid: Literal["subifd", "pages"],
    tile: int,
    quality: int,
) -> None:
    """Write some levels of a slide as JPEG tiles with resolution tags.

    Parameters
    ----------
    slide : Slide
        Read once, tile by tile.
    path : str or Path
        File to write.
    levels : sequence of LevelInfo
        Finest first.
    pyramid : {"subifd", "pages"}
        Where the coarser levels go.
    tile : int
        Edge of a tile, px.
    quality : int
        JPEG quality, 1…100.

    Raises
    ------
    MppError
        If the slide's mpp is unknown.
    """
    import tifffile

    mpp = slide.mpp.value
    if mpp is None:
        raise MppError(f"{slide.name} has no pixel size to write.", hint="Set its mpp first.")
    nested = pyramid == "subifd"
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for level in levels:
            first = level is levels[0]
            pixels_per_cm = _UM_PER_CM / (mpp * level.downsample)
            options: dict[str, Any] = {}
            if first and nested:
                options["subifds"] = len(levels) - 1
            if not first:
                options["subfiletype"] = 1  # a reduced image, TIFF tag 254
            writer.write(
                _iter_tiles(slide, level, mpp, tile),
                shape=(*level.shape, 3),
                dtype=np.uint8,
                tile=(tile, tile),
                photometric="rgb",  # what is given; JPEG stores it as YCbCr
                subsampling=(1, 1),  # thin red and blue structures keep their color
                compression="jpeg",
                compressionargs={"level": quality},
                resolution=(pixels_per_cm, pixels_per_cm),
                resolutionunit="CENTIMETER",
                metadata=None,
                **options,
            )


def _iter_tiles(
    slide: Slide, level: LevelInfo, mpp: float, tile: int
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield whole tiles in reading order; beyond the edge they are white."""
    scale = level.downsample
    for y in range(0, level.shape[0], tile):
        for x in range(0, level.shape[1], tile):
            region = Region(y * scale, x * scale, tile * scale, tile * scale)
            yield slide.read_region(region, mpp * scale)
