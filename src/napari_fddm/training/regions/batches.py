"""Batches of regions for stage 2: cut, rotated and recolored at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.cards import InputMoments
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import Window
from napari_fddm.core.tiling import CELLS_PER_REGION, CELLS_PER_TILE
from napari_fddm.pipeline.stage1.cell_maps import region_input

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_fddm.training.regions.coarse import SourceName
    from napari_fddm.training.regions.files import RegionSlide

HANGING_SHARE = 0.2
"""Share of regions that extend beyond the end of the maps along an axis, as the last regions of
a slide do. A network that never saw this straight edge of glass makes errors beside it."""
COLOR_GAIN = (0.5, 1.5)
"""Range of the factor on the darkness of each channel. The channels are also permuted: a network
that can recognize a class by its color learns only that, and errs on the next patient. What
remains is which places look alike."""
SOURCES: tuple[SourceName, ...] = ("cells", "tiles")


@dataclass(frozen=True, slots=True, eq=False)
class RegionBatch:
    """Regions of one training step.

    Attributes
    ----------
    source : array of float32, shape (b, classes, n, n)
        Source y: the map of stage 1.
    features : array of float32, shape (b, 6, n, n)
        Tissue O.
    truth : array of int64, shape (b, n, n)
        Class index, -1 where it is unknown or outside the slide.
    """

    source: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int64]


def random_regions(
    slides: Sequence[RegionSlide],
    count: int,
    rng: np.random.Generator,
    *,
    sources: Sequence[SourceName] = SOURCES,
    cells: int = CELLS_PER_REGION,
) -> RegionBatch:
    """Cut regions that begin at a tile and may extend beyond the maps, as those of a run do.

    Parameters
    ----------
    slides : sequence of RegionSlide
        All equally likely; those smaller than a region are padded with glass.
    count : int
        Number b of regions.
    rng : numpy Generator
        Source of every random number.
    sources : sequence of {"cells", "tiles"}
        Stage-1 maps from which y is drawn for each region: one network refines all of them.
    cells : int
        Edge n of a region, a multiple of 8.
    """
    parts = [
        _random_region(slides[int(rng.integers(len(slides)))], rng, sources, cells)
        for _ in range(count)
    ]
    source, features, truth = (np.stack(column) for column in zip(*parts, strict=True))
    return RegionBatch(source, features, truth)


def _random_region(
    slide: RegionSlide, rng: np.random.Generator, sources: Sequence[SourceName], cells: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    tiles = cells // CELLS_PER_TILE
    y, x = (_start(n, tiles, rng) for n in slide.coarse.tile_shape)
    window = Window(y, x, tiles, tiles).scaled(CELLS_PER_TILE)
    name = sources[int(rng.integers(len(sources)))]
    source, features = region_input(slide.coarse.source(name), slide.coarse.features, window)
    truth = np.full((cells, cells), -1, np.int64)
    inside = slide.truth[window.slices]
    truth[: inside.shape[0], : inside.shape[1]] = inside.astype(np.int64) - 1
    source, features = _recolored(source, features, rng)
    quarter, flip = int(rng.integers(4)), bool(rng.integers(2))
    return (
        _rotated(source, quarter, flip=flip),
        _rotated(features, quarter, flip=flip),
        _rotated(truth, quarter, flip=flip),
    )


def _start(length: int, tiles: int, rng: np.random.Generator) -> int:
    """Return where a region begins along an axis; less than half of it is outside the maps."""
    last = max(0, length - tiles)
    start = int(rng.integers(0, last + 1))
    over = int(rng.integers(1, max(2, tiles // 2)))
    hangs = rng.random() < HANGING_SHARE and length >= tiles > 1
    return last + over if hangs else start


def _rotated(array: npt.NDArray[Any], quarter: int, *, flip: bool) -> npt.NDArray[Any]:
    """Rotate the last two axes by quarter turns, and mirror the last one."""
    turned = np.rot90(array, quarter, axes=(-2, -1))
    return turned[..., ::-1] if flip else turned


def _recolored(
    source: npt.NDArray[np.float32], features: npt.NDArray[np.float32], rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Change the colors beyond recognition, and the confidence of stage 1, at random."""
    gain = rng.uniform(*COLOR_GAIN, (3, 1, 1)).astype(np.float32)
    features = np.concatenate([1.0 - (1.0 - features[:3]) * gain, features[3:] * gain])
    channels = rng.permutation(3)
    features = features[[*channels, *(3 + channels)]]
    sharp = source ** np.float32(rng.uniform(0.5, 1.5))
    return sharp / sharp.sum(axis=0, keepdims=True), features


def measured_moments(
    slides: Sequence[RegionSlide], sources: Sequence[SourceName] = SOURCES
) -> InputMoments:
    """Return the variances of x_0 and y on the training regions, the mean over channels.

    Raises
    ------
    ConfigError
        If no cell has a class.
    """
    sums = np.zeros(3)
    cells = 0
    for slide in slides:
        known = slide.truth > 0
        if not known.any():
            continue
        index = slide.truth[known].astype(np.int64) - 1
        original = np.eye(slide.coarse.classes)[index].T  # (classes, cells)
        # The second moment about 1 / classes, the mean over channels of a probability.
        centered = original - 1 / len(original)
        for name in sources:
            source = slide.coarse.source(name)[:, known].astype(np.float64) - 1 / len(original)
            sums += [(centered**2).sum(), (source**2).sum(), (centered * source).sum()]
            cells += centered.size
    if not cells:
        raise ConfigError(
            "no cell of the training regions has a class.",
            hint="Annotate some, and build the regions again.",
        )
    original_var, source_var, covariance = (float(v) for v in sums / cells)
    return InputMoments(original=original_var, source=source_var, covariance=covariance)
