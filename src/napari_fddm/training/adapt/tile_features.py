"""Computes the features of the tiles that learning needs, unless they are in the cache."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.events import Progressed, StageDone, StageStarted
from napari_fddm.core.resample import WHITE
from napari_fddm.core.tiling import TILE_PX
from napari_fddm.models.memory import HalvingBatches
from napari_fddm.pipeline.stage1 import iter_tile_batches
from napari_fddm.training.adapt.events import STAGE_FEATURES
from napari_fddm.training.adapt.tile_cache import HeadInputs

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy.typing as npt

    from napari_fddm.core.protocols import Slide
    from napari_fddm.core.tiling import TileGrid
    from napari_fddm.models import LoadedModel
    from napari_fddm.training.adapt.events import AdaptEvent
    from napari_fddm.training.adapt.tile_cache import TileCache


def feature_events(
    slide: Slide,
    grid: TileGrid,
    indices: Sequence[tuple[int, int]],
    model: LoadedModel,
    cache: TileCache,
    *,
    batch_size: int,
) -> Generator[AdaptEvent, None, dict[tuple[int, int], HeadInputs]]:
    """Return the features of tiles by (row, column).

    If the generator is closed early, what was computed until then is in the cache. Tiles that
    cannot be decoded are left out.

    Yields
    ------
    AdaptEvent
        Of the stage "features": one for each batch that is read.
    """
    started = time.monotonic()
    missing = [index for index in indices if index not in cache]
    done = len(indices) - len(missing)
    batches = HalvingBatches(batch_size, "tiles")
    yield StageStarted(STAGE_FEATURES, len(indices), "tiles", done)
    try:
        with closing(iter_tile_batches(slide, grid, missing, batch_size)) as reading:
            for batch in reading:
                good = [(r.tile, r.pixels) for r in batch if r.pixels is not None]
                found = _embed(model, [tile for _, tile in good], batches)
                for (tile, _), p, c in zip(good, *found, strict=False):
                    cache.put((tile.row, tile.col), HeadInputs.of(p, c))
                done += len(batch)
                yield Progressed(STAGE_FEATURES, done, len(indices))
    finally:
        if done > len(indices) - len(missing):
            cache.write()
    note = (batches.note,) if batches.note else ()
    yield StageDone(STAGE_FEATURES, time.monotonic() - started, note, batches.size)
    return {index: cache[index] for index in indices if index in cache}


def _embed(
    model: LoadedModel, tiles: Sequence[npt.NDArray[np.uint8]], batches: HalvingBatches
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the features of tiles, padded with glass to a batch of the full size."""
    size = batches.batch_size
    pixels = np.full((size, TILE_PX, TILE_PX, 3), WHITE, np.uint8)
    for slot, tile in zip(pixels, tiles, strict=False):
        slot[...] = tile

    def call(a: int, b: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        return model.embed(pixels[a:b])

    return batches.run(call, size)
