"""Threads that read the tiles of a slide, in order, a few batches ahead of the network."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import SlideError
from napari_fddm.core.tiling import TILE_PX

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy.typing as npt

    from napari_fddm.core.protocols import Slide
    from napari_fddm.core.tiling import Tile, TileGrid

READER_THREADS = 2
PREFETCH_BATCHES = 3


@dataclass(frozen=True, slots=True)
class ReadTile:
    """A tile with its pixels, or the reason why it could not be read.

    Attributes
    ----------
    tile : Tile
        Which tile.
    pixels : array of uint8, shape (256, 256, 3), or None
        None when the tile cannot be decoded: it is then not analyzed.
    error : str
        The reason, for the report.
    """

    tile: Tile
    pixels: npt.NDArray[np.uint8] | None
    error: str = ""


def iter_tile_batches(
    slide: Slide,
    grid: TileGrid,
    indices: Sequence[tuple[int, int]],
    batch_size: int,
) -> Generator[list[ReadTile]]:
    """Read tiles in threads and yield them in order, batch by batch.

    Closing the iterator stops the readers.

    Parameters
    ----------
    slide : Slide
        Must allow reading from several threads.
    grid : TileGrid
        Gives each tile its place.
    indices : sequence of (row, col)
        Which tiles, in this order.
    batch_size : int
        Tiles per batch; the last may be shorter.
    """
    batches = [indices[i : i + batch_size] for i in range(0, len(indices), batch_size)]
    waiting: deque[list[Future[ReadTile]]] = deque()
    pool = ThreadPoolExecutor(READER_THREADS, thread_name_prefix="fddm-reader")
    try:
        for batch in batches:
            waiting.append([pool.submit(_read, slide, grid, row, col) for row, col in batch])
            if len(waiting) > PREFETCH_BATCHES:
                yield [future.result() for future in waiting.popleft()]
        while waiting:
            yield [future.result() for future in waiting.popleft()]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _read(slide: Slide, grid: TileGrid, row: int, col: int) -> ReadTile:
    tile = grid.tile(row, col)
    try:
        pixels = slide.read_region(tile.region, grid.analysis_mpp)
    except SlideError as error:
        return ReadTile(tile, None, error.message)
    return ReadTile(tile, np.ascontiguousarray(pixels[:TILE_PX, :TILE_PX]))
