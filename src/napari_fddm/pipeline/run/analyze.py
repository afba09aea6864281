"""One analysis, from an open slide to the necrosis rate, as a generator of events.

Command line, plugin and tests all consume `analyze`. A store that is there already is resumed:
what an earlier run finished, also one that was killed, is loaded and not computed again.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.config import AnalysisConfig, StageName
from napari_fddm.core.errors import StoreError, WeightsError
from napari_fddm.core.events import AnalysisResult, StageDone, StageStarted, TileBatch
from napari_fddm.core.tiling import CELLS_PER_TILE, TileGrid, tiles_needed
from napari_fddm.models import LoadedModel, load_model
from napari_fddm.models.bundle import NO_REFINER
from napari_fddm.pipeline.outputs import opened_event, store_report
from napari_fddm.pipeline.run.areas import NotStored, Unreadable, compute_areas, unreadable_error
from napari_fddm.pipeline.run.model_cards import check_classes
from napari_fddm.pipeline.run.provenance import describe_run
from napari_fddm.pipeline.run.tile_buffer import TileBuffer
from napari_fddm.pipeline.run.tiles import nearest_first, wanted_tiles
from napari_fddm.pipeline.stage1 import CellMaps, classify_events
from napari_fddm.pipeline.stage2 import Refiner, Spreading
from napari_fddm.pipeline.stage2.refiner import preload_denoiser
from napari_fddm.pipeline.stage2.spreading import check_spread, remaining
from napari_fddm.pipeline.stage2.stage import refine_stage
from napari_fddm.pipeline.store import AnalysisStore, StoreGeometries, layout
from napari_fddm.pipeline.store.carrying import carry_over
from napari_fddm.pipeline.store.replacing import recover, remove_abandoned, replace_store
from napari_fddm.pipeline.tissue import read_user_mask, tissue_of_slide
from napari_fddm.pipeline.tissue.overview import write_overview
from napari_fddm.pipeline.tissue.stored import cells_not_stored
from napari_fddm.slides.mpp import require_mpp

if TYPE_CHECKING:
    from collections.abc import Generator

    import numpy.typing as npt

    from napari_fddm.core.events import Event
    from napari_fddm.core.geometry import YX, Region, Window
    from napari_fddm.core.protocols import Slide
    from napari_fddm.core.tissue import TissueMask
    from napari_fddm.pipeline.stage1.classify import UnreadableTiles

KEPT_FACTS = ("overview", "unreadable", layout.SPREAD)
"""Facts of the stored provenance that a new run keeps when it begins."""
MAX_COARSER = 1.25
"""A slide coarser than the model's resolution by more than this factor gets a warning."""


def analyze(
    slide: Slide,
    *,
    store: str | Path,
    model: LoadedModel | str = "fddm-small",
    config: AnalysisConfig | None = None,
    region: Region | None = None,
    fresh: bool = False,
    revise: bool = False,
    spread: bool = False,
    focus: YX | None = None,
) -> Generator[Event, None, AnalysisResult]:
    """Classify a slide, refine it, and write everything into a working store.

    A store that exists is continued: tiles it holds are not classified again. It
    must have been made with the same slide, weights and settings. Closing the
    generator stops the run and keeps what is finished.

    Parameters
    ----------
    slide : Slide
        Open slide with a known mpp.
    store : str or Path
        Folder of the working store.
    model : LoadedModel or str
        A loaded model, or its id or folder.
    config : AnalysisConfig
        Settings.
    region : Region
        What to analyze, level-0 px, clipped to the slide and snapped outwards to
        whole tiles; by default the whole slide.
    fresh : bool
        Start over where a store exists. One with corrections is not lost: it is
        kept under another name, with the date.
    revise : bool
        Start over likewise, but carry corrections, tumor bed, estimates and notes over,
        and reuse the classified tiles if the new settings would give the same ones.
    spread : bool
        Keep what was painted, and spread it to where the tissue looks alike. The log of
        strokes does not change, and another run without this option undoes the spreading.
    focus : tuple of float
        (y, x), level-0 px: tiles are classified in the order of their distance from
        here; by default from the middle of the region. Results do not depend on it.

    Yields
    ------
    Event
        What happened.

    Returns
    -------
    AnalysisResult
        Where the results are, and the rate.

    Raises
    ------
    MppError
        If the slide's pixel size is unknown.
    ConfigError
        If the region is empty or lies outside the slide, the tissue mask is no mask
        of this slide, or there is nothing to spread.
    SlideError
        If more than 5 % of the tissue cannot be read; the store is kept.
    StoreError
        If the store cannot be written or belongs to another analysis.
    """
    config = config or AnalysisConfig()
    if isinstance(model, str):
        model = load_model(model, config.device)
    path = Path(store)
    if spread:
        check_spread(path, config, again=fresh or revise)
    run = _Run(
        slide,
        path,
        model,
        config,
        region,
        fresh=fresh,
        revise=revise,
        spread=spread,
        focus=focus,
    )
    with closing(run.store):
        return (yield from run.events())


def resolution_notes(grid: TileGrid) -> list[str]:
    """Return a note if a slide is too coarse for the model, else none."""
    if grid.mpp <= MAX_COARSER * grid.analysis_mpp:
        return []
    return [
        f"the slide has {grid.mpp:.3g} µm per pixel, the model was made for "
        f"{grid.analysis_mpp:g}: detail it needs is missing"
    ]


class _Run:
    """State of one analysis; its generator methods are the stages."""

    def __init__(
        self,
        slide: Slide,
        path: Path,
        model: LoadedModel,
        config: AnalysisConfig,
        region: Region | None,
        *,
        fresh: bool = False,
        revise: bool = False,
        spread: bool = False,
        focus: YX | None = None,
    ) -> None:
        mpp = require_mpp(slide)
        check_classes(model.card)
        if config.calls_refiner and not model.can_refine:
            raise WeightsError(f"the model {model.card.id!r} has no refiner.", hint=NO_REFINER)
        self.slide, self.model, self.config, self.focus = slide, model, config, focus
        self.grid = TileGrid(slide.levels[0].shape, mpp, model.card.analysis_mpp)
        self.label_geometry = self.grid.label_geometry(config.label_mpp)
        self.notes: list[str] = []
        self.tiles, clipped = wanted_tiles(self.grid, region)
        self.notes.extend(clipped)
        self.mask = read_user_mask(config.tissue)
        if self.mask is not None:
            levels = [level.shape for level in slide.levels]
            self.notes += self.mask.check_fits(self.grid.slide_shape, slide.name, mpp, levels)
        self.provenance = describe_run(slide, model, config, self.mask)
        self.maps = CellMaps.empty(self.grid, len(OSTEOSARCOMA))
        self.preload = preload_denoiser() if config.calls_refiner else None
        self.batch_sizes: dict[str, int | None] = {}
        self.notes.extend(resolution_notes(self.grid))
        self._tissue_mask: TissueMask | None = None
        self.spreading: Spreading | None = None
        self.store = self._open_store(path, fresh=fresh, revise=revise, spread=spread)
        self.unreadable = Unreadable.stored(self.store.provenance)

    def events(self) -> Generator[Event, None, AnalysisResult]:
        yield opened_event(self.store, device=self.model.compute.title)
        tissue = yield from self._tissue()
        found = yield from self._classify()
        if self.config.stage is StageName.REFINED:
            yield from self._refine()
        error = unreadable_error(
            found,
            self.maps.analyzed & self._needed_tiles(),
            tissue.mm2_per_tile(self.grid.geometry),
            self.slide.name,
            self.store.path,
        )
        yield from self._finish(tissue, complete=error is None)
        if error is not None:
            raise error
        return AnalysisResult(self.store.path, store_report(self.store), tuple(self.notes))

    def _open_store(self, path: Path, *, fresh: bool, revise: bool, spread: bool) -> AnalysisStore:
        """Create the store of a first run, or open the one that is there and resume it."""
        recover(path)
        remove_abandoned(path)
        if not path.exists():
            try:
                return self._create_store(path)
            except StoreError:
                if not path.exists():
                    raise
                # Another run has just created it: it is continued, unless that run is at work.
        if fresh or revise:
            kept = replace_store(path, lambda place: self._replacement(path, place, revise=revise))
            if kept is not None:
                carried = "; they were carried over" if revise else ""
                self.notes.append(
                    f"the earlier analysis holds corrections{carried}; it is kept as {kept}"
                )
        store = AnalysisStore.open(path, "r+")
        try:
            self._resume(store, spread=spread)
        except BaseException:
            store.close()
            raise
        return store

    def _resume(self, store: AnalysisStore, *, spread: bool) -> None:
        """Check that a store was made as this run would make it, and load what it holds."""
        store.check_compatible(self.provenance)
        # Coverage and notes of the last run are out of date from now on.
        kept_facts = {k: store.provenance[k] for k in KEPT_FACTS if k in store.provenance}
        if spread:
            self.spreading = Spreading.of_store(store, self._label_window, self._cells)
            earlier = kept_facts.get(layout.SPREAD, [])
            kept_facts[layout.SPREAD] = [*earlier, self.spreading.entry]
        self.notes += store.maps.begin()
        if not store.maps.overview_is_whole:
            kept_facts.pop("overview", None)
        store.update_provenance(self.provenance.to_json() | kept_facts)
        self._load_finished(store)

    def _replacement(self, old: Path, place: Path, *, revise: bool) -> None:
        """Create the store that takes the place of an old one."""
        with self._create_store(place) as new:
            if revise:
                carry_over(old, new, self.provenance, self._selected_tiles)

    def _selected_tiles(self) -> npt.NDArray[np.bool_]:
        wanted = self._find_tissue().tiles_to_analyze(self.grid.geometry)
        return np.asarray(wanted & ~self._not_stored.tiles)

    def _find_tissue(self) -> TissueMask:
        if self._tissue_mask is None:
            self._tissue_mask = tissue_of_slide(
                self.slide, self.grid, self.config.tissue, self.mask
            )
        return self._tissue_mask

    @cached_property
    def _not_stored(self) -> NotStored:
        tissue = self._find_tissue()
        lost = cells_not_stored(self.slide, tissue.geometry)
        return NotStored.of(tissue, lost, self.grid)

    def _create_store(self, path: Path) -> AnalysisStore:
        return AnalysisStore.create(
            path,
            slide_info=self.provenance.slide,
            geometries=StoreGeometries.of_grid(self.grid, self.config.label_mpp),
            table=OSTEOSARCOMA,
            provenance=self.provenance,
        )

    def _load_finished(self, store: AnalysisStore) -> None:
        """Load the tiles that earlier runs classified."""
        patch, cell = store.maps.probability_map("patch"), store.maps.probability_map("cell")
        done = patch.coverage
        self.maps.tile_probs[:, done] = patch.probs[:, done]
        self.maps.cell_probs[:, cell.coverage] = cell.probs[:, cell.coverage]
        self.maps.features[:, cell.coverage] = store.maps.tissue_features()[:, cell.coverage]
        self.maps.analyzed[:] = done

    def _tissue(self) -> Generator[Event, None, TissueMask]:
        started = time.monotonic()
        yield StageStarted("tissue", 0)
        tissue = self._find_tissue()
        if not tissue.tiles_to_analyze(self.grid.geometry)[self.tiles.slices].any():
            self.notes.append(
                "there is no tissue where this run looks (on the command line, --tissue all "
                "analyzes every tile)"
            )
        self.notes.extend(self._not_stored.notes(self.grid))
        yield StageDone("tissue", time.monotonic() - started, tuple(self.notes))
        return tissue

    @property
    def _cells(self) -> Window:
        """Bridge cells that this run was asked for."""
        return self.tiles.scaled(CELLS_PER_TILE)

    @property
    def _label_window(self) -> Window:
        """Cells of the label grid that this run writes."""
        return self.label_geometry.centers_in(self.grid.geometry.region_of(self.tiles))

    def _needed_tiles(self) -> npt.NDArray[np.bool_]:
        """Return the tiles that the wanted labels depend on; those with tissue are classified."""
        needed = np.zeros(self.grid.shape, bool)
        if self.config.stage is StageName.REFINED:
            bridge = self.config.calls_refiner
            needed |= tiles_needed(self.grid.shape, self.tiles, bridge=bridge)
        needed[self.tiles.slices] = True
        return needed

    def _classify(self) -> Generator[Event, None, UnreadableTiles]:
        wanted = self._needed_tiles() & self._selected_tiles()
        already = int(np.count_nonzero(wanted & self.maps.analyzed))
        wanted &= ~self.maps.analyzed
        indices = nearest_first(wanted, self.grid, self.tiles, self.focus)
        stage = classify_events(
            self.slide,
            self.grid,
            indices,
            self.model,
            self.maps,
            batch_size=self.config.batch_size,
            overlap=self.config.overlap,
            blank_filter=self.config.blank_filter,
        )
        with closing(stage), closing(TileBuffer(self.store, self.maps)) as buffer:
            while True:
                try:
                    event = next(stage)
                except StopIteration as stop:
                    found: UnreadableTiles = stop.value
                    break
                if isinstance(event, TileBatch):
                    buffer.add(event)
                    event = replace(event, done=event.done + already, total=event.total + already)
                elif isinstance(event, StageStarted):
                    event = replace(event, total=event.total + already, done=already)
                elif isinstance(event, StageDone):
                    ended = event  # yielded below, with notes on unreadable tiles
                    continue
                yield event
        self.unreadable = self.unreadable.updated(found, self.maps.analyzed)
        ended = replace(ended, notes=(*ended.notes, *self.unreadable.notes(self.grid)))
        self._collect(ended)
        yield ended
        return found

    def _collect(self, event: Event) -> None:
        """Collect notes and batch sizes for the provenance."""
        if isinstance(event, StageDone):
            self.notes += event.notes
            self.batch_sizes[event.stage] = event.batch_size

    def _refine(self) -> Generator[Event]:
        if self.preload is not None:
            self.preload.join()
        refiner = Refiner(self.model, self.config)
        for event in refine_stage(refiner, self.maps, self.tiles, self.store, self.spreading):
            self._collect(event)
            yield event

    def _finish(self, tissue: TissueMask, *, complete: bool) -> Generator[Event]:
        started = time.monotonic()
        yield StageStarted("store", 0)
        spread = self.store.provenance.get(layout.SPREAD, [])
        if self.spreading is not None:
            self.notes.append(self.spreading.note)
        elif self.config.stage is StageName.REFINED:
            spread = remaining(spread, self._label_window)
        overview = bool(self.store.provenance.get("overview"))
        if not overview:
            gaps = write_overview(self.slide, self.store, self.label_geometry)
            self.notes.extend(gaps)
            overview = not gaps
        areas = compute_areas(
            tissue,
            self.grid,
            self.unreadable,
            self._not_stored,
            self.store.maps.labels(),
            self.label_geometry,
        )
        self.store.update_provenance(
            self.provenance.to_json()
            | areas
            | {"overview": overview, "notes": self.notes, "batch_sizes": self.batch_sizes}
            | {layout.SPREAD: spread}
        )
        self.store.finish(complete=complete)
        yield StageDone("store", time.monotonic() - started)
