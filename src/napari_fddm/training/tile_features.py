"""The features of the tiles that learning needs: from the cache, or from the slide."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.events import StageDone, StageStarted
from napari_fddm.core.resample import WHITE
from napari_fddm.core.tiling import TILE_PX
from napari_fddm.models.memory import HalvingBatches
from napari_fddm.pipeline.read import iter_tile_batches
from napari_fddm.training.adapt_events import STAGE_FEATURES, Progressed
from napari_fddm.training.feature_cache import TileFeatures

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_fddm.core.protocols import Slide
    from napari_fddm.core.tiling import TileGrid
    from napari_fddm.models.bundle import LoadedModel
    from napari_fddm.training.adapt_events import AdaptEvent
    from napari_fddm.training.feature_cache import FeatureCache


def feature_events(
    slide: Slide,
    grid: TileGrid,
    indices: Sequence[tuple[int, int]],
    model: LoadedModel,
    cache: FeatureCache,
    *,
    batch_size: int,
) -> Generator[AdaptEvent, None, dict[tuple[int, int], TileFeatures]]:
    """Return the features of tiles by (row, column); one event per batch that is read.

    What was computed is in the cache also when the generator is closed early. Tiles that
    cannot be decoded are left out.
    """
    started = time.monotonic()
    missing = [index for index in indices if index not in cache]
    done = len(indices) - len(missing)
    batches = HalvingBatches(batch_size, "tiles")
    yield StageStarted(STAGE_FEATURES, len(indices), "tiles", done)
    try:
        with closing(iter_tile_batches(slide, grid, missing, batch_size)) as reading:
            for batch in reading:
                good = [read for read in batch if read.pixels is not None]
                pixels = np.full((batch_size, TILE_PX, TILE_PX, 3), WHITE, np.uint8)
                for slot, read in zip(pixels, good, strict=False):
                    slot[...] = read.pixels
                pooled, cells = batches.run(
                    lambda a, b, pixels=pixels: model.embed(pixels[a:b]), batch_size
                )
                for read, p, c in zip(good, pooled, cells, strict=False):
                    cache.put((read.tile.row, read.tile.col), TileFeatures.of(p, c))
                done += len(batch)
                yield Progressed(STAGE_FEATURES, done, len(indices))
    finally:
        if done > len(indices) - len(missing):
            cache.write()
    note = (batches.note,) if batches.note else ()
    yield StageDone(STAGE_FEATURES, time.monotonic() - started, note, batches.size)
    return {index: cache[index] for index in indices if index in cache}
