"""Tiles without strokes, on which a retrained model is held to the old model's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy.typing as npt

    from napari_fddm.training.adapt.tile_cache import HeadInputs

    Index = tuple[int, int]
    """(row, column) of a tile."""

MOST_CELLS = 768
"""Unpainted cells on which the cell head is held: the cells of one tile are alike."""
REFERENCE_TILES = 256
"""Enough to see every tissue of a slide a few times; the backbone takes under a minute."""


class Unpainted(NamedTuple):
    """Inputs of the heads where nothing is painted: (m, d') of tiles and (k, d) of cells."""

    tiles: npt.NDArray[np.float16]
    cells: npt.NDArray[np.float16]

    @classmethod
    def of(
        cls, features: Mapping[Index, HeadInputs], index: Sequence[Index], seed: int = 0
    ) -> Unpainted:
        """Take some tiles, and at most `MOST_CELLS` of their cells, drawn at random."""
        found = [features[i] for i in index]
        if not found:
            return cls(np.zeros((0, 0), np.float16), np.zeros((0, 0), np.float16))
        cells = np.concatenate([f.cells.reshape(-1, f.cells.shape[-1]) for f in found])
        if len(cells) > MOST_CELLS:
            chosen = np.random.default_rng(seed).choice(len(cells), MOST_CELLS, replace=False)
            cells = cells[np.sort(chosen)]
        return cls(np.stack([f.pooled for f in found]), cells)


def choose_reference(
    analyzed: npt.NDArray[np.bool_], painted: Collection[Index], count: int = REFERENCE_TILES
) -> list[Index]:
    """Return some analyzed tiles at random places, none of them painted.

    Parameters
    ----------
    analyzed : array of bool, shape of the tile grid
        Tiles that were classified.
    painted : collection of (row, col)
        Tiles that a stroke touches.
    count : int
        Most tiles to return.

    Notes
    -----
    The order depends on the analyzed tiles alone. So after more strokes the tiles are nearly
    the same ones, and their features are in the cache.
    """
    places = np.argwhere(analyzed)
    order = np.random.default_rng(0).permutation(len(places))
    found = [(int(row), int(col)) for row, col in places[order]]
    return [index for index in found if index not in painted][:count]
