"""Strokes as training samples: bridge cells, tiles, and the sites they belong to.

A *site* is what a person painted in one place: strokes that are nearer to each other
than a tile. Neighboring cells look alike, so whether a model has learned is judged on
whole sites it has not seen (``docs/algorithm.md#learning-from-strokes``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_fddm.core.tiling import CELLS_PER_TILE
from napari_fddm.pipeline.stage2.clamping import count_by_cell

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry
    from napari_fddm.pipeline.store import Strokes

    Ints = npt.NDArray[np.int64]

SITE_GAP_CELLS = CELLS_PER_TILE
"""Strokes with fewer unpainted cells than this between them are one site."""
LEAST_CELL_COVER = 0.25
"""Share of a bridge cell that must be painted for it to be a sample."""
LEAST_TILE_COVER = 1 / 16
"""Share of a tile that must be painted for it to be a sample. Its class is the most frequent one
of its painted part. An ordinary stroke covers a few of its 64 cells."""
PURE = 0.75
"""Share of a tile's painted part that must have one class: a tile on a border is no sample."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Painted cells, or painted tiles.

    Attributes
    ----------
    index : array of int64, shape (n, 2)
        (row, column) on the grid of bridge cells or of tiles.
    label : array of int64, shape (n,)
        Class values, from 1.
    cover : array of float64, shape (n,)
        Painted share, in (0, 1].
    site : array of int64, shape (n,)
        Number of the site, from 1.
    """

    index: Ints
    label: Ints
    cover: npt.NDArray[np.float64]
    site: Ints

    def __len__(self) -> int:
        return len(self.label)

    def part(self, chosen: npt.NDArray[np.bool_]) -> Samples:
        """Return the samples that a mask selects."""
        return Samples(
            self.index[chosen], self.label[chosen], self.cover[chosen], self.site[chosen]
        )

    def weights(self) -> npt.NDArray[np.float64]:
        """Return weights that sum to 1, shape (n,).

        Every class counts the same, and within a class every site: a large stroke shows
        hardly more of how a tissue looks than a small one.
        """
        weights = self.cover.astype(np.float64)
        classes = np.unique(self.label)
        for label in classes:
            sites = np.unique(self.site[self.label == label])
            for site in sites:
                here = (self.label == label) & (self.site == site)
                weights[here] /= weights[here].sum() * len(sites) * len(classes)
        return weights


@dataclass(frozen=True, slots=True, eq=False)
class PaintedSamples:
    """Everything that a model learns from the strokes of a slide.

    Attributes
    ----------
    cells, tiles : Samples
        Samples on the grid of bridge cells and on that of tiles.
    """

    cells: Samples
    tiles: Samples

    @property
    def sites(self) -> int:
        """Number of sites: places that were painted."""
        return len(np.unique(self.cells.site))

    def touched_tiles(self) -> set[tuple[int, int]]:
        """Return (row, col) of every tile with a painted cell."""
        return {(int(r), int(c)) for r, c in self.cells.index // CELLS_PER_TILE}

    def on_tiles(self, known: Collection[tuple[int, int]]) -> PaintedSamples:
        """Return the samples that lie on some tiles, e.g. those that could be read."""
        cells = [(int(r), int(c)) in known for r, c in self.cells.index // CELLS_PER_TILE]
        tiles = [(int(r), int(c)) in known for r, c in self.tiles.index]
        return PaintedSamples(
            self.cells.part(np.array(cells, bool)), self.tiles.part(np.array(tiles, bool))
        )

    def sites_of(self) -> dict[int, int]:
        """Return the number of sites by class value, for classes that have any."""
        pairs = np.unique(np.stack([self.cells.label, self.cells.site], axis=1), axis=0)
        values, counts = np.unique(pairs[:, 0], return_counts=True)
        return {int(v): int(n) for v, n in zip(values, counts, strict=True)}


def painted_samples(strokes: Strokes, cells: MapGeometry) -> PaintedSamples:
    """Turn strokes into samples.

    Parameters
    ----------
    strokes : Strokes
        Painted label cells.
    cells : MapGeometry
        The grid of bridge cells.
    """
    counts = count_by_cell(strokes.painted, strokes.geometry, cells)
    if not len(counts):
        return PaintedSamples(_no_samples(), _no_samples())
    area = (cells.cell / strokes.geometry.cell) ** 2  # label cells in a bridge cell
    total = counts.sum(axis=0)
    sites = number_sites(total > 0)
    rows, cols = np.nonzero(total >= LEAST_CELL_COVER * area)
    chosen = Samples(
        np.stack([rows, cols], axis=1),
        counts[:, rows, cols].argmax(axis=0) + 1,
        np.minimum(1.0, total[rows, cols] / area),
        sites[rows, cols],
    )
    return PaintedSamples(chosen, _tiles_of(chosen))


def number_sites(painted: npt.NDArray[np.bool_]) -> Ints:
    """Return the number of each bridge cell's site, from 1; 0 where nothing is painted."""
    reach = SITE_GAP_CELLS // 2
    near = ndimage.maximum_filter(painted, size=2 * reach + 1, mode="constant")
    numbers, _ = ndimage.label(near, structure=np.ones((3, 3)))
    return np.where(painted, numbers, 0).astype(np.int64)


def _tiles_of(cells: Samples) -> Samples:
    """Return the tiles of painted cells, those alone that are painted with one class mostly."""
    found: list[tuple[int, int, int, float, int]] = []
    tile_of_cell = cells.index // CELLS_PER_TILE
    for row, col in np.unique(tile_of_cell, axis=0):
        inside = (tile_of_cell == (row, col)).all(axis=1)
        by_class = np.bincount(cells.label[inside], weights=cells.cover[inside])
        painted = by_class.sum()
        cover = float(painted / CELLS_PER_TILE**2)
        if cover >= LEAST_TILE_COVER and by_class.max() >= PURE * painted:
            found.append((row, col, int(by_class.argmax()), cover, int(cells.site[inside][0])))
    if not found:
        return _no_samples()
    rows, cols, labels, covers, sites = (np.array(column) for column in zip(*found, strict=True))
    return Samples(np.stack([rows, cols], axis=1), labels, covers.astype(np.float64), sites)


def _no_samples() -> Samples:
    empty = np.zeros(0, np.int64)
    return Samples(np.zeros((0, 2), np.int64), empty, np.zeros(0), empty)
