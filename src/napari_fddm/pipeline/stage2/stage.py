"""Stage 2 over a slide: refine overlapping regions, merge them, store the rows that are final.

Regions come row by row, so the upper rows of the map are final long before the last region.
They are stored at once: a run that is stopped or killed keeps them.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.events import RegionRefined, StageDone, StageStarted
from napari_fddm.core.geometry import MapGeometry, Window
from napari_fddm.core.merging import CellAccumulator, labels_from_cells
from napari_fddm.core.tiling import CELLS_PER_TILE, RegionGrid, regions_for
from napari_fddm.pipeline.stage2.refiner import REGION_BATCH

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    import numpy.typing as npt

    from napari_fddm.core.events import Event
    from napari_fddm.pipeline.stage1 import CellMaps
    from napari_fddm.pipeline.stage2.clamping import CellClamp
    from napari_fddm.pipeline.stage2.refiner import Refiner
    from napari_fddm.pipeline.stage2.spreading import Spreading
    from napari_fddm.pipeline.store import AnalysisStore


class RefinedMap:
    """The refined map of a window of tiles, as far as its regions are refined.

    Parameters
    ----------
    maps : CellMaps
        Stage-1 results; every tile of `tiles_needed` that has tissue is analyzed.
    tiles : Window
        Tiles whose labels are wanted.
    label_geometry : MapGeometry
        Grid of the labels.

    Attributes
    ----------
    maps, tiles, label_geometry
        As given.
    accumulator : CellAccumulator
        Weighted sums of the refined regions on the cell grid.
    settled_rows : int
        Cells in the rows before this one have their final probabilities and labels:
        no region that is still to come changes them.
    """

    def __init__(self, maps: CellMaps, tiles: Window, label_geometry: MapGeometry) -> None:
        self.maps, self.tiles, self.label_geometry = maps, tiles, label_geometry
        self.accumulator = CellAccumulator((len(maps.cell_probs), *maps.cell_geometry.shape))
        self.settled_rows = 0

    def regions(self) -> list[Window]:
        """Return the tiles of each region to refine, row by row.

        Regions without any analyzed tile are left out: their labels are 0.
        """
        shape = self.maps.tile_geometry.shape
        grid = RegionGrid(shape)
        windows = [grid.tile_window(*region) for region in regions_for(shape, self.tiles)]
        return [w for w in windows if self.maps.analyzed[w.clipped(shape).slices].any()]

    def settle(self, to_come: Sequence[Window]) -> None:
        """Update `settled_rows`, given the regions that are not refined yet."""
        if not to_come:
            self.settled_rows = self.maps.cell_geometry.shape[0]
            return
        # Labels are interpolated from one row of cells further down.
        self.settled_rows = max(0, to_come[0].scaled(CELLS_PER_TILE).y - 1)

    def settled_since(self, row: int) -> Window:
        """Return the wanted cells from a row on that are final; empty if there are none."""
        wanted = self.tiles.scaled(CELLS_PER_TILE)
        return wanted.intersection(Window(row, wanted.x, self.settled_rows - row, wanted.width))

    def labels_touched_by(self, region: Window) -> Window:
        """Return the wanted label cells that a region can change.

        Parameters
        ----------
        region : Window
            Its tiles. One bridge cell more on each side counts, because labels are
            interpolated between cells.
        """
        geometry = self.maps.cell_geometry
        cells = region.scaled(CELLS_PER_TILE).dilated(1).clipped(geometry.shape)
        touched = self.label_geometry.window_of(geometry.region_of(cells))
        wanted = self.label_geometry.centers_in(self.maps.tile_geometry.region_of(self.tiles))
        return touched.intersection(wanted)

    def labels_in(self, cells: Window) -> Window:
        """Return the label cells whose centers lie in a window of bridge cells."""
        return self.label_geometry.centers_in(self.maps.cell_geometry.region_of(cells))

    def labels(self, window: Window) -> npt.NDArray[np.uint8]:
        """Return labels of a window of the label grid, 0 where not analyzed."""
        cells, labels = self.maps.cell_geometry, self.label_geometry
        around = cells.window_of(labels.region_of(window)).dilated(1).clipped(cells.shape)
        merged = self.accumulator.merged_window(around)
        part = MapGeometry(
            (around.height, around.width),
            cells.cell,
            cells.mpp,
            (around.y * cells.cell, around.x * cells.cell),
        )
        values = labels_from_cells(merged.probs, part, labels, window, merged.coverage)
        values[~self.maps.analyzed_at(labels, window)] = 0
        return values

    def probs(self, cells: Window) -> npt.NDArray[np.float32]:
        """Return probabilities of a window of bridge cells, shape (classes, h, w)."""
        return self.accumulator.merged_window(cells).probs


def refine_events(
    refiner: Refiner, refined: RefinedMap, clamp: CellClamp | None = None
) -> Generator[Event]:
    """Refine a map region by region, one event each.

    Regions are visited in the order of the grid, so that overlapping sums add up
    in the same order in a viewport and in a whole slide.

    Parameters
    ----------
    refiner : Refiner
        The bridge.
    refined : RefinedMap
        Filled in place.
    clamp : CellClamp, optional
        What a person painted: these cells keep their class. The refiner sees them in y
        and in every step, and may spread their class to where the tissue looks alike.
    """
    started = time.monotonic()
    regions = refined.regions()
    done = 0
    yield StageStarted("refined", len(regions), "regions")
    for start in range(0, len(regions), REGION_BATCH):
        batch = regions[start : start + REGION_BATCH]
        _refine_batch(refiner, refined, batch, clamp)
        if to_come := regions[start + REGION_BATCH :]:
            refined.settle(to_come)
        for region in batch:
            done += 1
            window = refined.labels_touched_by(region)
            if not window.is_empty:
                yield RegionRefined(window, refined.labels(window), done, len(regions))
    refined.settle(())
    note = refiner.batches.note
    yield StageDone(
        "refined", time.monotonic() - started, (note,) if note else (), refiner.batches.size
    )


def _refine_batch(
    refiner: Refiner, refined: RefinedMap, regions: list[Window], clamp: CellClamp | None
) -> None:
    """Refine some regions, given by their tiles, and add them to the map."""
    padded = regions + regions[-1:] * (REGION_BATCH - len(regions))
    inputs = [refined.maps.region_input(region) for region in padded]
    cells = [region.scaled(CELLS_PER_TILE) for region in padded]
    source, features = (np.stack(column) for column in zip(*inputs, strict=True))
    known = () if clamp is None else (np.stack([clamp.window(window) for window in cells]),)
    probs = refiner.refine(source, features, cells, *known)
    for window, region_probs in zip(cells[: len(regions)], probs, strict=False):
        refined.accumulator.add(region_probs, window.y, window.x)


def refine_stage(
    refiner: Refiner,
    maps: CellMaps,
    tiles: Window,
    store: AnalysisStore,
    spreading: Spreading | None = None,
) -> Generator[Event]:
    """Refine a window of tiles into a store.

    Parameters
    ----------
    refiner : Refiner
        The bridge.
    maps : CellMaps
        Stage-1 results.
    tiles : Window
        Tiles whose labels are wanted.
    store : AnalysisStore
        Open for writing.
    spreading : Spreading, optional
        Strokes that are kept and spread. Where some lie on cells without refined labels,
        there is nothing to keep under them yet: the window is refined without them first.
    """
    labels = store.geometries.label
    if spreading is None:
        yield from _refine_into(store, refiner, RefinedMap(maps, tiles, labels))
        return
    spreading.drop_unanalyzed(maps, labels)
    if spreading.lacks_labels(store):
        yield from _refine_into(store, refiner, RefinedMap(maps, tiles, labels))
    spreading.begin(store)
    refined = RefinedMap(spreading.clamp.spread(maps), tiles, labels)
    yield from _refine_into(store, refiner, refined, spreading)


def _refine_into(
    store: AnalysisStore,
    refiner: Refiner,
    refined: RefinedMap,
    spreading: Spreading | None = None,
) -> Generator[Event]:
    stored = 0
    clamp = None if spreading is None else spreading.clamp
    for event in refine_events(refiner, refined, clamp):
        if refined.settled_rows > stored:
            _store_cells(store, refined, refined.settled_since(stored), spreading)
            stored = refined.settled_rows
        if spreading is not None and isinstance(event, RegionRefined):
            yield replace(event, labels=spreading.keep_labels(event.window, event.labels))
        else:
            yield event


def _store_cells(
    store: AnalysisStore, refined: RefinedMap, cells: Window, spreading: Spreading | None
) -> None:
    """Write probabilities and labels of final bridge cells."""
    if cells.is_empty:
        return
    window = refined.labels_in(cells)
    labels, probs = refined.labels(window), refined.probs(cells)
    if spreading is None:
        store.maps.write_refined(window, labels, cells, probs)
        return
    labels = spreading.keep_labels(window, labels)
    spreading.count(window, labels)
    store.maps.write_refined(window, labels, cells, spreading.keep_probs(cells, probs))
