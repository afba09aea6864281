"""Unpainted tiles on which the new heads are held to the old ones' answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy.typing as npt

    Index = tuple[int, int]

REFERENCE_TILES = 256
"""Enough to see every tissue of a slide a few times; the backbone takes under a minute."""


def choose_reference(
    analyzed: npt.NDArray[np.bool_], painted: Collection[Index], count: int = REFERENCE_TILES
) -> list[Index]:
    """Return some analyzed tiles at random places, none of them painted.

    Parameters
    ----------
    analyzed : array of bool, shape of the tile grid
        Where a model looked.
    painted : collection of (row, col)
        Tiles that a stroke touches.
    count : int
        How many, at most.

    Notes
    -----
    The order depends on the analyzed tiles alone: after more strokes the tiles are nearly
    the same ones, and their features are in the cache.
    """
    places = np.argwhere(analyzed)
    order = np.random.default_rng(0).permutation(len(places))
    found = [(int(row), int(col)) for row, col in places[order]]
    return [index for index in found if index not in painted][:count]
