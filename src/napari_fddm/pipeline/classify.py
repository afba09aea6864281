"""Stage 1 over a slide: read tiles, classify them in batches, say what happened."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_fddm.core.events import StageDone, StageStarted, TileBatch
from napari_fddm.core.tiling import TILE_PX
from napari_fddm.pipeline.cellmaps import cell_features
from napari_fddm.pipeline.read import iter_tile_batches

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy.typing as npt

    from napari_fddm.core.events import Event
    from napari_fddm.core.protocols import Slide
    from napari_fddm.core.tiling import TileGrid
    from napari_fddm.pipeline.cellmaps import CellMaps
    from napari_fddm.pipeline.read import ReadTile


class Classifies(Protocol):
    """What stage 1 needs of a model."""

    def classify(
        self, tiles_nhwc: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return probabilities (n, classes) and (n, classes, 8, 8) of uint8 tiles."""
        ...


@dataclass(slots=True)
class UnreadableTiles:
    """Tiles that could not be decoded; they are not analyzed and enter no sum."""

    places: list[tuple[int, int]] = field(default_factory=list)
    first_reason: str = ""

    def add(self, read: ReadTile) -> None:
        """Remember one."""
        self.places.append((read.tile.row, read.tile.col))
        self.first_reason = self.first_reason or read.error


def classify_events(
    slide: Slide,
    grid: TileGrid,
    indices: Sequence[tuple[int, int]],
    model: Classifies,
    maps: CellMaps,
    *,
    batch_size: int,
) -> Generator[Event, None, UnreadableTiles]:
    """Classify tiles into ``maps``, one event per batch.

    The last batch is padded to ``batch_size``, so every tile passes through the
    network in the same batch shape (DESIGN section 2).

    Parameters
    ----------
    slide, grid : Slide, TileGrid
        What is read and where its tiles lie.
    indices : sequence of (row, col)
        The tiles to classify, in this order.
    model : Classifies
        Stage 1.
    maps : CellMaps
        Filled in place.
    batch_size : int
        Tiles per forward pass.

    Returns
    -------
    UnreadableTiles
        What could not be read.
    """
    started = time.monotonic()
    unreadable = UnreadableTiles()
    done = 0
    yield StageStarted("patch", len(indices), "tiles")
    with closing(iter_tile_batches(slide, grid, indices, batch_size)) as batches:
        for batch in batches:
            good = [read for read in batch if read.pixels is not None]
            for read in batch:
                if read.pixels is None:
                    unreadable.add(read)
            done += len(batch)
            if good:
                yield _classify_batch(good, model, maps, batch_size, done, len(indices))
    yield StageDone("patch", time.monotonic() - started, _notes(unreadable))
    return unreadable


def _classify_batch(
    batch: list[ReadTile],
    model: Classifies,
    maps: CellMaps,
    batch_size: int,
    done: int,
    total: int,
) -> TileBatch:
    pixels = np.full((batch_size, TILE_PX, TILE_PX, 3), 255, np.uint8)
    for slot, read in zip(pixels, batch, strict=False):
        if read.pixels is not None:
            slot[...] = read.pixels
    tile_probs, cell_probs = model.classify(pixels)
    features = cell_features(pixels[: len(batch)])
    for i, read in enumerate(batch):
        maps.put(read.tile.row, read.tile.col, tile_probs[i], cell_probs[i], features[i])
    rows = np.array([read.tile.row for read in batch], np.int64)
    cols = np.array([read.tile.col for read in batch], np.int64)
    labels = (maps.tile_probs[:, rows, cols].argmax(axis=0) + 1).astype(np.uint8)
    return TileBatch(rows, cols, labels, done, total)


def _notes(unreadable: UnreadableTiles) -> tuple[str, ...]:
    if not unreadable.places:
        return ()
    return (f"{len(unreadable.places)} tiles could not be read: {unreadable.first_reason}",)
