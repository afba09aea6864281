"""Training data from synthetic slides: tiles with cell truth, and stage-1 maps of slides.

Both are written once and reused, so a training that was stopped goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.geometry import MapGeometry, Region, Window
from napari_fddm.core.tiling import CELL_PX, CELLS_PER_TILE, TILE_PX, TileGrid
from napari_fddm.pipeline.cellmaps import CellMaps
from napari_fddm.pipeline.classify import classify_events
from napari_fddm.slides.synthetic import SyntheticSlide

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from napari_fddm.pipeline.classify import Classifies

SLIDE_PX = 8192
SLIDE_MPP = 0.5
TRUTH_PER_CELL = 8
"""Truth samples along the edge of a cell, for its majority class."""
N_CLASSES = 7


@dataclass(frozen=True, slots=True)
class TileSet:
    """Tiles for stage 1.

    Attributes
    ----------
    pixels : array of uint8, shape (n, 256, 256, 3)
    cells : array of uint8, shape (n, 8, 8)
        Majority class channel (0…6) of each cell.
    tile : array of uint8, shape (n,)
        Majority class channel of each tile.
    """

    pixels: npt.NDArray[np.uint8]
    cells: npt.NDArray[np.uint8]
    tile: npt.NDArray[np.uint8]


def training_slide(seed: int) -> SyntheticSlide:
    """Return one of the endless synthetic training slides, 4.1 mm wide."""
    return SyntheticSlide(SLIDE_PX, SLIDE_PX, mpp=SLIDE_MPP, seed=seed)


def load_or_make_tiles(path: Path, *, count: int, first_seed: int, analysis_mpp: float) -> TileSet:
    """Return a tile set, made on the first call and read from disk afterwards."""
    if not path.exists():
        parts = list(_iter_tiles(count, first_seed, analysis_mpp))
        pixels, cells = (np.stack(column) for column in zip(*parts, strict=True))
        temporary = path.with_name(f"{path.stem}.part.npz")
        np.savez(temporary, pixels=pixels, cells=cells)
        temporary.rename(path)
    with np.load(path) as stored:
        cells = stored["cells"]
        flat = cells.reshape(len(cells), -1)
        return TileSet(stored["pixels"], cells, majority(flat, axis=1).astype(np.uint8))


def _iter_tiles(
    count: int, first_seed: int, analysis_mpp: float
) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]:
    """Yield tiles whose center classes take turns, a few from each slide."""
    made, seed = 0, first_seed
    tile_px = TILE_PX * analysis_mpp / SLIDE_MPP
    while made < count:
        slide = training_slide(seed)
        rng = np.random.default_rng(seed)
        coarse = slide.truth_map(MapGeometry.covering((SLIDE_PX, SLIDE_PX), tile_px / 4, SLIDE_MPP))
        for value in range(1, N_CLASSES + 1):
            places = np.argwhere(coarse == value)
            for row, col in rng.permutation(places)[: 3 if value > 1 else 1]:
                jitter = rng.uniform(-0.5, 0.5, 2)
                y, x = (np.array([row, col]) + 0.5 + jitter) * tile_px / 4 - tile_px / 2
                region = Region(float(y), float(x), tile_px, tile_px)
                yield slide.read_region(region, analysis_mpp), _cell_truth(slide, region)
                made += 1
                if made == count:
                    return
        seed += 1


def _cell_truth(slide: SyntheticSlide, region: Region) -> npt.NDArray[np.uint8]:
    """Return the majority class channel of each cell of a tile, shape (8, 8)."""
    side = CELLS_PER_TILE * TRUTH_PER_CELL
    fine = slide.truth_labels(region, region.height * SLIDE_MPP / side) - 1
    return block_majority(fine[:side, :side], TRUTH_PER_CELL)


def block_majority(channels: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    """Return the majority of each ``factor`` by ``factor`` block of (H, W)."""
    h, w = (n // factor for n in channels.shape)
    blocks = channels.reshape(h, factor, w, factor).transpose(0, 2, 1, 3)
    return majority(blocks.reshape(h, w, -1), axis=2).astype(np.uint8)


def majority(channels: npt.NDArray[np.uint8], axis: int) -> npt.NDArray[np.int64]:
    """Return the most frequent channel along an axis; ties go to the lowest."""
    counts = np.stack([(channels == c).sum(axis=axis) for c in range(N_CLASSES)], axis=-1)
    return np.asarray(counts.argmax(axis=-1), np.int64)


@dataclass(frozen=True, slots=True)
class SlideMaps:
    """Stage-1 maps of one synthetic slide and the truth on the same cells.

    Attributes
    ----------
    source : array of float16, shape (7, H, W)
        Cell probabilities y.
    features : array of float16, shape (6, H, W)
        Tissue O.
    truth : array of uint8, shape (H, W)
        Majority class channel.
    """

    source: npt.NDArray[np.float16]
    features: npt.NDArray[np.float16]
    truth: npt.NDArray[np.uint8]


def load_or_make_maps(folder: Path, seed: int, model: Classifies, analysis_mpp: float) -> SlideMaps:
    """Return the stage-1 maps of a slide, made on the first call.

    The slides' seeds are not the tiles' seeds, so the maps carry the errors that
    stage 1 makes on slides it has not seen (ALGORITHM H.6).
    """
    path = folder / f"maps-{seed}.npz"
    if not path.exists():
        made = _make_maps(training_slide(seed), model, analysis_mpp)
        temporary = path.with_name(f"{path.stem}.part.npz")
        np.savez(temporary, source=made.source, features=made.features, truth=made.truth)
        temporary.rename(path)
    with np.load(path) as stored:
        return SlideMaps(stored["source"], stored["features"], stored["truth"])


def _make_maps(slide: SyntheticSlide, model: Classifies, analysis_mpp: float) -> SlideMaps:
    grid = TileGrid(slide.levels[0].shape, SLIDE_MPP, analysis_mpp)
    maps = CellMaps.empty(grid, N_CLASSES)
    indices = [(r, c) for r in range(grid.shape[0]) for c in range(grid.shape[1])]
    for _ in classify_events(slide, grid, indices, model, maps, batch_size=8):
        pass
    cells = maps.cell_geometry
    fine = MapGeometry(
        (cells.shape[0] * TRUTH_PER_CELL, cells.shape[1] * TRUTH_PER_CELL),
        cells.cell / TRUTH_PER_CELL,
        cells.mpp,
    )
    truth = block_majority(slide.truth_map(fine) - 1, TRUTH_PER_CELL)
    return SlideMaps(maps.cell_probs, maps.features, truth)


def crop_window(maps: SlideMaps, window: Window) -> SlideMaps:
    """Return a window of cells that lies inside the maps."""
    rows, cols = window.slices
    return SlideMaps(
        maps.source[:, rows, cols], maps.features[:, rows, cols], maps.truth[rows, cols]
    )


def cells_per_slide() -> int:
    """Return the edge of a training slide in bridge cells at 1 µm/px."""
    return int(SLIDE_PX * SLIDE_MPP / CELL_PX)
