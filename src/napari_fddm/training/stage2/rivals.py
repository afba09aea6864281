"""Simple alternatives to the refiner, and the refiner itself, behind one protocol.

A method takes the stage-1 maps of a rectangle of tiles and returns class probabilities
on its bridge cells. Whatever a refiner gains has to be gained over these.

See ``docs/algorithm.md#controls``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy import ndimage

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.merging import CellAccumulator
from napari_fddm.core.tiling import CELLS_PER_TILE, RegionGrid
from napari_fddm.pipeline.stage1.cell_maps import region_input
from napari_fddm.pipeline.stage2 import Refiner
from napari_fddm.pipeline.stage2.refiner import REGION_BATCH
from napari_fddm.training.regions.coarse import on_cells

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.config import AnalysisConfig
    from napari_fddm.pipeline.stage2.refiner import HasRefiner
    from napari_fddm.training.regions.coarse import CoarseMaps, SourceName

    Probs = npt.NDArray[np.float32]


class Method(Protocol):
    """Computes class probabilities of bridge cells from the maps of stage 1."""

    def __call__(self, coarse: CoarseMaps, /) -> Probs:
        """Return class probabilities, shape (classes, H, W)."""
        ...


def tile_map(coarse: CoarseMaps) -> Probs:
    """Give each cell the probabilities of its tile: no refinement."""
    return on_cells(coarse.tiles).astype(np.float32)


def token_map(coarse: CoarseMaps) -> Probs:
    """Return the probabilities from the cell head, which uses the backbone's tokens."""
    return coarse.cells.astype(np.float32)


def bilinear(coarse: CoarseMaps) -> Probs:
    """Interpolate the probabilities of tiles linearly between the centers of the tiles."""
    places = [
        (np.arange(n * CELLS_PER_TILE) + 0.5) / CELLS_PER_TILE - 0.5 for n in coarse.tile_shape
    ]
    grid = np.meshgrid(*places, indexing="ij")
    planes = [
        ndimage.map_coordinates(plane.astype(np.float32), grid, order=1, mode="nearest")
        for plane in coarse.tiles
    ]
    return np.stack(planes).astype(np.float32)


def majority(coarse: CoarseMaps) -> Probs:
    """Return the most frequent class among the 3 by 3 tiles around each tile, one-hot.

    Ties go to the tile's own class, then to the lowest.
    """
    labels = coarse.tiles.argmax(axis=0)  # (R C)
    one_hot = (labels == np.arange(coarse.classes)[:, None, None]).astype(np.int64)
    votes = np.stack(
        [ndimage.convolve(plane, np.ones((3, 3), np.int64), mode="constant") for plane in one_hot]
    )
    winner = (2 * votes + one_hot).argmax(axis=0)
    won = winner == np.arange(coarse.classes)[:, None, None]
    return on_cells(won.astype(np.float16)).astype(np.float32)


def overlap_average(coarse: CoarseMaps) -> Probs:
    """Average the probabilities of all tiles, one every 128 px, that cover a cell.

    Raises
    ------
    ConfigError
        If the overlapping tiles were not classified.
    """
    if coarse.shifted is None:
        raise ConfigError(
            "averaging overlapping tiles needs their maps, and these are not there.",
            hint="Classify with shifted=True.",
        )
    half = CELLS_PER_TILE // 2
    total = np.zeros((coarse.classes, *coarse.shape), np.float64)
    count = np.zeros(coarse.shape, np.int64)
    for i, j in np.ndindex(*coarse.shifted.shape[1:]):
        rows, cols = (slice(n * half, n * half + CELLS_PER_TILE) for n in (i, j))
        total[:, rows, cols] += coarse.shifted[:, i, j, None, None]
        count[rows, cols] += 1
    return (total / count).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Refinement:
    """The refiner, applied to overlapping regions that are merged as in a run.

    Attributes
    ----------
    refiner : Refiner
        Network, bridge steps, η and number of samples.
    source : {"cells", "tiles"}
        Which stage-1 map is y.
    """

    refiner: Refiner
    source: SourceName = "cells"

    def __call__(self, coarse: CoarseMaps, /) -> Probs:
        """Return refined probabilities, shape (classes, H, W)."""
        y = coarse.source(self.source)
        grid = RegionGrid(coarse.tile_shape)
        windows = [
            grid.tile_window(row, col).scaled(CELLS_PER_TILE)
            for row, col in np.ndindex(*grid.shape)
        ]
        merged = CellAccumulator((coarse.classes, *coarse.shape))
        for start in range(0, len(windows), REGION_BATCH):
            batch = windows[start : start + REGION_BATCH]
            inputs = [region_input(y, coarse.features, window) for window in batch]
            sources, features = (np.stack(column) for column in zip(*inputs, strict=True))
            for window, probs in zip(
                batch, self.refiner.refine(sources, features, batch), strict=True
            ):
                merged.add(probs, window.y, window.x)
        return merged.merged().probs


CONTROLS: dict[str, Method] = {
    "none": tile_map,
    "bilinear": bilinear,
    "majority": majority,
    "overlap": overlap_average,
    "tokens": token_map,
}
"""Methods that need no trained network, by name."""


def find_method(
    name: str,
    model: HasRefiner | None = None,
    config: AnalysisConfig | None = None,
    source: SourceName = "cells",
) -> Method:
    """Return a method by name.

    Parameters
    ----------
    name : str
        One of `CONTROLS`, or "direct" or "bridge": the refiner of ``model``, where "direct"
        always takes a single step.
    model, config : HasRefiner, AnalysisConfig
        Needed for "direct" and "bridge".
    source : {"cells", "tiles"}
        Which stage-1 map is their y.

    Raises
    ------
    ConfigError
        If there is no such method, or it needs a model and settings.
    """
    if name in CONTROLS:
        return CONTROLS[name]
    if name not in {"direct", "bridge"}:
        known = ", ".join([*CONTROLS, "direct", "bridge"])
        raise ConfigError(f"there is no method {name!r}.", hint=f"Known are {known}.")
    if model is None or config is None:
        raise ConfigError(f"the method {name!r} needs a model and settings.")
    if name == "direct":
        config = config.model_copy(update={"steps": 1, "samples": 1})
    return Refinement(Refiner(model, config), source)
