"""Region datasets of synthetic slides: windows with stage-1 maps and their exact truth.

The slides' seeds are not those that stage 1 was trained on, so the maps carry the
errors that it makes on slides it has not seen (``docs/algorithm.md#out-of-fold-maps``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.geometry import MapGeometry, Window
from napari_fddm.core.tiling import CELL_PX, CELLS_PER_TILE, TileGrid
from napari_fddm.slides.synthetic import SyntheticSlide
from napari_fddm.training.data.stains import StainRange, restained
from napari_fddm.training.regions.coarse import classify_window
from napari_fddm.training.regions.files import (
    RegionMeta,
    RegionSet,
    RegionSlide,
    read_region_slide,
    slide_path,
    write_region_set,
    write_region_slide,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_fddm.core.geometry import Region
    from napari_fddm.pipeline.stage1.classify import Classifies

ANALYSIS_MPP = 1.0
WINDOW_TILES = 10
"""Edge of a training window, tiles: a region of 8 by 8 tiles has nine places in it."""
SLIDE_PX = 8192
SLIDE_MPP = 0.5
TRUTH_PER_CELL = 8
"""Samples of the truth along the edge of a cell, of which the majority is taken."""
N_CLASSES = 7


class RestainedSlide(SyntheticSlide):
    """A synthetic slide in another stain.

    Parameters
    ----------
    seed : int
        Seed of the slide.
    gains : array of float64, shape (3,)
        Factors on the optical density of R, G and B.
    """

    def __init__(self, seed: int, gains: npt.NDArray[np.float64]) -> None:
        super().__init__(SLIDE_PX, SLIDE_PX, mpp=SLIDE_MPP, seed=seed)
        self._gains = gains

    def read_region(self, region: Region, mpp: float) -> npt.NDArray[np.uint8]:
        """Return the pixels of a region in the other stain; see `SyntheticSlide`."""
        return restained(super().read_region(region, mpp), self._gains)


def synthetic_regions(
    folder: Path,
    seeds: Sequence[int],
    model: Classifies,
    *,
    stage1: str,
    tiles: int = WINDOW_TILES,
    stains: StainRange | None = None,
    shifted: bool = False,
) -> Iterator[RegionSlide]:
    """Yield a window of each slide; windows that exist on disk are read.

    Parameters
    ----------
    folder : Path
        The region dataset; the case of a slide is its seed.
    seeds : sequence of int
        One for each slide; also determines its window and stain.
    model : Classifies
        Stage 1.
    stage1 : str
        Description of that model.
    tiles : int
        Edge of the window.
    stains : StainRange, optional
        Range of the stains; None for the slide's own stain.
    shifted : bool
        Also classify tiles that overlap by half.
    """
    write_region_set(
        folder,
        RegionSet(
            classes=OSTEOSARCOMA.shorts,
            cell_um=CELL_PX * ANALYSIS_MPP,
            title="windows of synthetic slides",
            licence="BSD-3-Clause",
        ),
    )
    for seed in seeds:
        meta = RegionMeta(slide=f"synthetic-{seed}", case=f"synthetic-{seed}", stage1=stage1)
        path = slide_path(folder, meta.slide)
        if not path.exists():
            rng = np.random.default_rng([seed, 77])
            gains = np.ones(3) if stains is None else stains.drawn(rng)
            slide = RestainedSlide(seed, gains)
            write_region_slide(folder, _window_of(slide, meta, tiles, model, rng, shifted=shifted))
        yield read_region_slide(path)


def _window_of(
    slide: SyntheticSlide,
    meta: RegionMeta,
    tiles: int,
    model: Classifies,
    rng: np.random.Generator,
    *,
    shifted: bool,
) -> RegionSlide:
    """Classify a window at a random place of the slide, possibly at its edge."""
    grid = TileGrid(slide.levels[0].shape, SLIDE_MPP, ANALYSIS_MPP)
    y, x = (int(rng.integers(0, n - tiles + 1)) for n in grid.shape)
    window = Window(y, x, tiles, tiles)
    coarse = classify_window(slide, grid, window, model, len(OSTEOSARCOMA), shifted=shifted)
    cells = window.scaled(CELLS_PER_TILE)
    fine = grid.cell_geometry.cell / TRUTH_PER_CELL  # level-0 px
    side = tiles * CELLS_PER_TILE * TRUTH_PER_CELL
    origin = (cells.y * grid.cell_geometry.cell, cells.x * grid.cell_geometry.cell)
    truth = slide.truth_map(MapGeometry((side, side), fine, SLIDE_MPP, origin))
    return RegionSlide(meta, coarse, block_majority(truth - 1, TRUTH_PER_CELL) + 1)


def training_slide(seed: int) -> SyntheticSlide:
    """Return one of the endless synthetic training slides, 4.1 mm wide."""
    return SyntheticSlide(SLIDE_PX, SLIDE_PX, mpp=SLIDE_MPP, seed=seed)


def block_majority(channels: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    """Return the majority of each ``factor`` by ``factor`` block of (H, W)."""
    h, w = (n // factor for n in channels.shape)
    blocks = channels.reshape(h, factor, w, factor).transpose(0, 2, 1, 3)
    return majority(blocks.reshape(h, w, -1), axis=2).astype(np.uint8)


def majority(channels: npt.NDArray[np.uint8], axis: int) -> npt.NDArray[np.int64]:
    """Return the most frequent channel along an axis; ties go to the lowest."""
    counts = np.stack([(channels == c).sum(axis=axis) for c in range(N_CLASSES)], axis=-1)
    return np.asarray(counts.argmax(axis=-1), np.int64)
