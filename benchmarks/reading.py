"""Tiles of 256 px from one JPEG pyramid: our reader against its parts and its peers."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import openslide
import tifffile

from benchmarks.paired import Outcome, compare, rate_of
from napari_fddm.core.tiling import TILE_PX, TileGrid
from napari_fddm.pipeline.stage1 import iter_tile_batches
from napari_fddm.slides.synthetic import SyntheticSlide
from napari_fddm.slides.tiff import TiffSlide

if TYPE_CHECKING:
    from pathlib import Path

SIDE_PX = 8192
ROUNDS = 7
BATCH = 8

REFERENCE = "tifffile, raw segment decode, one thread"
OURS = "our reader, as a run uses it"


def write_slide(folder: Path, side: int = SIDE_PX, mpp: float = 1.0) -> Path:
    """Write a synthetic slide as a JPEG pyramid that every reader opens."""
    path = folder / f"slide-{side}-{mpp}.tif"
    if not path.exists():
        SyntheticSlide(side, side, mpp=mpp, seed=1).write_tiff(path, pyramid="pages")
    return path


def measure(folder: Path) -> list[Outcome]:
    """Read every tile of level 0 with each reader; files are opened anew each time."""
    path = write_slide(folder)
    grid = TileGrid((SIDE_PX, SIDE_PX), 1.0, 1.0)
    places = [(r, c) for r in range(grid.shape[0]) for c in range(grid.shape[1])]

    def raw() -> int:
        with tifffile.TiffFile(path) as file:
            page, handle = file.pages[0], file.filehandle
            decode, tables = page.decode, page.jpegtables  # these move the file's position
            for i, (offset, count) in enumerate(
                zip(page.dataoffsets, page.databytecounts, strict=True)
            ):
                handle.seek(offset)
                decode(handle.read(count), i, jpegtables=tables)
            return len(page.dataoffsets)

    def ours() -> int:
        with (
            TiffSlide(path, mpp=1.0) as slide,
            closing(iter_tile_batches(slide, grid, places, BATCH)) as batches,
        ):
            return sum(sum(read.pixels is not None for read in batch) for batch in batches)

    def ours_one_thread() -> int:
        with TiffSlide(path, mpp=1.0) as slide:
            for row, col in places:
                slide.read_region(grid.tile(row, col).region, 1.0)
        return len(places)

    def through_openslide() -> int:
        with openslide.OpenSlide(path) as slide:
            for row, col in places:
                corner_xy = (col * TILE_PX, row * TILE_PX)
                np.asarray(slide.read_region(corner_xy, 0, (TILE_PX, TILE_PX)))[..., :3]
        return len(places)

    def through_dask() -> int:
        with TiffSlide(path, mpp=1.0) as slide:
            level = slide.as_dask()[0]
            for row, col in places:
                y, x = row * TILE_PX, col * TILE_PX
                level[y : y + TILE_PX, x : x + TILE_PX].compute()
        return len(places)

    work = {
        REFERENCE: raw,
        OURS: ours,
        "our reader, one thread": ours_one_thread,
        "OpenSlide, one thread": through_openslide,
        "our levels through dask": through_dask,
    }
    return compare(
        {name: lambda read=read: rate_of(read) for name, read in work.items()}, rounds=ROUNDS
    )
