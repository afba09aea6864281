"""Stage 1 over a slide: read tiles, classify them in batches, yield events."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_fddm.core.classes import BACKGROUND_CHANNEL
from napari_fddm.core.events import StageDone, StageStarted, TileBatch
from napari_fddm.core.resample import WHITE
from napari_fddm.core.tiling import TILE_PX
from napari_fddm.models.memory import HalvingBatches
from napari_fddm.pipeline.stage1.blank_filter import blank_tiles
from napari_fddm.pipeline.stage1.cell_maps import cell_features
from napari_fddm.pipeline.stage1.overlap import ShiftedTiles, blended
from napari_fddm.pipeline.stage1.tile_reader import ReadTile, iter_tile_batches

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    import numpy.typing as npt

    from napari_fddm.core.events import Event
    from napari_fddm.core.protocols import Slide
    from napari_fddm.core.tiling import TileGrid
    from napari_fddm.pipeline.stage1.cell_maps import CellMaps
    from napari_fddm.pipeline.stage1.overlap import Index, Probs, ShiftedProbs


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
        """Add a tile and the reason."""
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
    overlap: int = 0,
    blank_filter: bool = False,
) -> Generator[Event, None, UnreadableTiles]:
    """Classify tiles into ``maps``, one event per batch.

    The last batch is padded to ``batch_size``, so every tile passes through the
    network in the same batch shape
    (``docs/architecture.md#equal-to-the-last-bit``). Where memory does not suffice
    for it, the batch is halved and a note says so.

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
    overlap : int
        px by which the tiles that the network sees overlap; see `pipeline.stage1.overlap`.
    blank_filter : bool
        Take tiles without edges for background; see `pipeline.stage1.blank_filter`.

    Returns
    -------
    UnreadableTiles
        What could not be read.

    Raises
    ------
    EngineError
        If memory does not even suffice for one tile.
    """
    started = time.monotonic()
    unreadable = UnreadableTiles()
    network = _Network(model, batch_size, blank_filter=blank_filter)
    classified = _overlapping if overlap else _side_by_side
    done = 0
    yield StageStarted("patch", len(indices), "tiles")
    with closing(classified(slide, grid, indices, network, overlap)) as batches:
        for batch in batches:
            done += len(batch)
            good = [tile for tile in batch if tile.probs is not None]
            for tile in batch:
                if tile.probs is None:
                    unreadable.add(tile.read)
            if good:
                yield _put(good, maps, done, len(indices))
    notes = network.notes(grid, overlap)
    yield StageDone("patch", time.monotonic() - started, notes, network.batches.size)
    return unreadable


class _Network:
    """The classifier with padding and halving of batches, and the blank filter."""

    def __init__(self, model: Classifies, batch_size: int, *, blank_filter: bool) -> None:
        self.model = model
        self.batches = HalvingBatches(batch_size, "tiles")
        self.blank_filter = blank_filter
        self.blank = 0

    def probs(self, batch: Sequence[ReadTile]) -> list[Probs | None]:
        """Return probabilities (c,) and (c, 8, 8) of each tile; None if it could not be read."""
        good = [read.pixels for read in batch if read.pixels is not None]
        classified = iter(self._classify(good) if good else ())
        return [None if read.pixels is None else next(classified) for read in batch]

    def _classify(self, tiles: list[npt.NDArray[np.uint8]]) -> Iterator[Probs]:
        size = self.batches.batch_size
        pixels = np.full((size, TILE_PX, TILE_PX, 3), WHITE, np.uint8)
        for slot, tile in zip(pixels, tiles, strict=False):
            slot[...] = tile
        probs, cells = self.batches.run(lambda a, b: self.model.classify(pixels[a:b]), size)
        if self.blank_filter:
            blank = np.flatnonzero(blank_tiles(pixels[: len(tiles)]))
            self.blank += len(blank)
            for part in (probs, cells):
                part[blank] = 0.0
                part[blank, BACKGROUND_CHANNEL] = 1.0
        return zip(probs[: len(tiles)], cells[: len(tiles)], strict=True)

    def notes(self, grid: TileGrid, overlap: int) -> tuple[str, ...]:
        """Return notes for the user on halved batches and on the blank filter."""
        found = [self.batches.note] if self.batches.note else []
        if self.blank:
            side_mm = (TILE_PX - overlap) * grid.analysis_mpp / 1000
            found.append(
                f"the blank filter took {self.blank} tiles for background: "
                f"{self.blank * side_mm**2:.3g} mm²"
            )
        return tuple(found)


@dataclass(frozen=True, slots=True)
class _Classified:
    """A tile of the map with its probabilities, None if it could not be read."""

    read: ReadTile
    probs: Probs | None


def _side_by_side(
    slide: Slide, grid: TileGrid, indices: Sequence[Index], network: _Network, overlap: int
) -> Generator[list[_Classified]]:
    """Classify the tiles of the map themselves."""
    with closing(iter_tile_batches(slide, grid, indices, network.batches.batch_size)) as batches:
        for batch in batches:
            yield [_Classified(*pair) for pair in zip(batch, network.probs(batch), strict=True)]


def _overlapping(
    slide: Slide, grid: TileGrid, indices: Sequence[Index], network: _Network, overlap: int
) -> Generator[list[_Classified]]:
    """Classify shifted tiles, just as many as each batch of the map's tiles needs.

    The map's own tiles are read as well: to know which of them can be read, and for
    their tissue features.
    """
    shifted = ShiftedTiles.over(grid, overlap)
    last_use = {t: n for n, index in enumerate(indices) for t in shifted.touching(*index)}
    wanted = list(last_use)  # in the order of their first use
    size = network.batches.batch_size
    known: dict[Index, Probs | None] = {}
    done = 0
    with (
        closing(iter_tile_batches(slide, grid, indices, size)) as batches,
        closing(iter_tile_batches(slide, shifted, wanted, size)) as shifted_batches,
    ):
        for batch in batches:
            places = [(read.tile.row, read.tile.col) for read in batch]
            while any(t not in known for place in places for t in shifted.touching(*place)):
                ahead = next(shifted_batches)
                found = network.probs(ahead)
                known |= {(r.tile.row, r.tile.col): p for r, p in zip(ahead, found, strict=True)}
            yield [_blend(shifted, read, known) for read in batch]
            done += len(batch)
            for t in [t for t in known if last_use[t] < done]:
                del known[t]


def _blend(shifted: ShiftedTiles, read: ReadTile, known: ShiftedProbs) -> _Classified:
    """Return a tile of the map with the mean of the shifted tiles that touch it."""
    if read.pixels is None:
        return _Classified(read, None)
    probs = blended(shifted, read.tile.row, read.tile.col, known)
    if probs is None:
        reason = read.error or "the tiles that overlap it cannot be decoded"
        return _Classified(ReadTile(read.tile, None, reason), None)
    return _Classified(read, probs)


def _put(batch: list[_Classified], maps: CellMaps, done: int, total: int) -> TileBatch:
    """Store tiles that could be read into the maps, and return their event."""
    pixels = np.stack([tile.read.pixels for tile in batch if tile.read.pixels is not None])
    tiles = [classified.read.tile for classified in batch]
    for tile, classified, features in zip(tiles, batch, cell_features(pixels), strict=True):
        if classified.probs is not None:
            maps.put(tile.row, tile.col, *classified.probs, features)
    rows = np.array([tile.row for tile in tiles], np.int64)
    cols = np.array([tile.col for tile in tiles], np.int64)
    labels = (maps.tile_probs[:, rows, cols].argmax(axis=0) + 1).astype(np.uint8)
    return TileBatch(rows, cols, labels, done, total)
