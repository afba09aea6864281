"""The stage of a run that refines a window of tiles and stores what no region changes any more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_fddm.core.events import RegionRefined
from napari_fddm.core.geometry import Window
from napari_fddm.core.tiling import CELLS_PER_TILE
from napari_fddm.pipeline.stage2.refiner import RefinedMap, refine_events

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_fddm.core.events import Event
    from napari_fddm.pipeline.stage1.cell_maps import CellMaps
    from napari_fddm.pipeline.stage2.refiner import Refiner
    from napari_fddm.pipeline.stage2.spreading import Spreading
    from napari_fddm.pipeline.store.analysis_store import AnalysisStore


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
        Strokes that are held fast. Where some lie on cells without refined labels, there is
        nothing to keep under them yet: it is refined without them first.
    """
    if spreading is not None:
        spreading.leave_out_beyond(maps, store.geometries.label)
        if spreading.lacks_labels(store):
            yield from _refine(refiner, maps, tiles, store, None)
        spreading.begin(store)
    yield from _refine(refiner, maps, tiles, store, spreading)


def _refine(
    refiner: Refiner,
    maps: CellMaps,
    tiles: Window,
    store: AnalysisStore,
    spreading: Spreading | None,
) -> Generator[Event]:
    clamp = None
    if spreading is not None:
        clamp = spreading.clamp
        maps = clamp.spread(maps)
    merged = RefinedMap.empty(maps)
    stored = 0
    for event in refine_events(refiner, maps, tiles, store.geometries.label, merged, clamp):
        if merged.settled_rows > stored:
            _store_rows(maps, tiles, store, merged, stored, spreading)
            stored = merged.settled_rows
        if spreading is not None and isinstance(event, RegionRefined):
            yield replace(event, labels=spreading.keep_labels(event.window, event.labels))
        else:
            yield event


def _store_rows(
    maps: CellMaps,
    tiles: Window,
    store: AnalysisStore,
    merged: RefinedMap,
    first: int,
    spreading: Spreading | None,
) -> None:
    """Store the rows of cells from the first to the last that no region changes any more."""
    wanted = tiles.scaled(CELLS_PER_TILE)
    y0 = max(first, wanted.y)
    height = min(merged.settled_rows, wanted.y + wanted.height) - y0
    if height <= 0:
        return
    cells = Window(y0, wanted.x, height, wanted.width)
    window = store.geometries.label.centers_in(maps.cell_geometry.region_of(cells))
    labels = merged.labels(maps, store.geometries.label, window)
    probs = merged.accumulator.merged_window(cells).probs
    if spreading is not None:
        labels = spreading.keep_labels(window, labels)
        probs = spreading.keep_probs(cells, probs)
        spreading.count(window, labels)
    store.maps.write_refined(window, labels, cells, probs)
