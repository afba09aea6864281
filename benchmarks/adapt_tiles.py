"""Tiles of synthetic slides with cell truth, from which the heads of the simulation begin.

They are written once and reused, so a benchmark that was stopped goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.files import whole_file
from napari_fddm.core.geometry import MapGeometry, Region
from napari_fddm.core.tiling import CELLS_PER_TILE, TILE_PX
from napari_fddm.training.regions.synthetic import (
    N_CLASSES,
    SLIDE_MPP,
    SLIDE_PX,
    TRUTH_PER_CELL,
    block_majority,
    majority,
    training_slide,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from napari_fddm.slides.synthetic import SyntheticSlide


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


def load_or_make_tiles(path: Path, *, count: int, first_seed: int, analysis_mpp: float) -> TileSet:
    """Return a tile set, made on the first call and read from disk afterwards."""
    if not path.exists():
        parts = list(_iter_tiles(count, first_seed, analysis_mpp))
        pixels, cells = (np.stack(column) for column in zip(*parts, strict=True))
        with whole_file(path) as part:
            np.savez(part, pixels=pixels, cells=cells)
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
