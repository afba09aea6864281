"""Buffer of classified tiles that are written to the store together, every two seconds."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_fddm.core.events import TileBatch
    from napari_fddm.pipeline.stage1 import CellMaps
    from napari_fddm.pipeline.store import AnalysisStore

WRITE_EVERY_S = 2.0
"""Seconds between writes, and so the most work that a killed run loses. A chunk of the store
holds 64 tiles and is written whole: writing many tiles costs no more than writing few."""


class TileBuffer:
    """Collects classified tiles and writes them together; close it to write the rest.

    Parameters
    ----------
    store : AnalysisStore
        Where they go, open for writing.
    maps : CellMaps
        Where they are before they are written.
    """

    def __init__(self, store: AnalysisStore, maps: CellMaps) -> None:
        self._store = store
        self._maps = maps
        self._waiting: list[tuple[int, int]] = []
        self._written_at = -math.inf  # the first batch shows at once whether the disk is full

    def add(self, batch: TileBatch) -> None:
        """Add the tiles of a batch; writes if the last write is long enough ago.

        Raises
        ------
        StoreError
            If the store cannot be written.
        """
        self._waiting += zip(batch.rows.tolist(), batch.cols.tolist(), strict=True)
        if time.monotonic() - self._written_at >= WRITE_EVERY_S:
            self.close()

    def close(self) -> None:
        """Write the tiles that are not written yet.

        Raises
        ------
        StoreError
            If the store cannot be written.
        """
        index, self._waiting = self._waiting, []
        if index:
            parts = [self._maps.tile(row, col) for row, col in index]
            probs, cells, features = (np.stack(column) for column in zip(*parts, strict=True))
            self._store.maps.write_tiles(np.array(index, np.int64), probs, cells, features)
        self._written_at = time.monotonic()
