from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.core.events import TileBatch
from napari_fddm.pipeline.run import tile_buffer
from napari_fddm.pipeline.run.tile_buffer import WRITE_EVERY_S, TileBuffer
from napari_fddm.pipeline.stage1 import CellMaps
from tests.support import stores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_fddm.pipeline.store import AnalysisStore


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(tile_buffer, "time", clock)
    return clock


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnalysisStore]:
    with stores.make(tmp_path / "s.fddm.ome.zarr") as store:
        yield store


@pytest.fixture
def maps() -> CellMaps:
    maps = CellMaps.empty(stores.GRID, 7)
    rng = np.random.default_rng(0)
    for row, col in stores.every_tile():
        probs = stores.random_probs(rng, 7, 8, 8, axis=0).astype(np.float32)
        maps.put(row, col, probs[:, 0, 0], probs, probs[:6])
    return maps


def batch(*places: tuple[int, int]) -> TileBatch:
    rows, cols = np.array(places, np.int64).T
    return TileBatch(rows, cols, np.ones(len(rows), np.uint8), len(rows), 100)


def stored_tiles(store: AnalysisStore) -> list[tuple[int, int]]:
    done = store.maps.probability_map("patch").coverage
    return [(int(r), int(c)) for r, c in np.argwhere(done)]


def test_the_first_batch_is_written_at_once_and_others_together(
    clock: Clock, store: AnalysisStore, maps: CellMaps
):
    buffer = TileBuffer(store, maps)
    buffer.add(batch((0, 0), (0, 1)))
    assert stored_tiles(store) == [(0, 0), (0, 1)]
    clock.now += WRITE_EVERY_S / 2
    buffer.add(batch((1, 0)))
    assert stored_tiles(store) == [(0, 0), (0, 1)]
    clock.now += WRITE_EVERY_S / 2
    buffer.add(batch((2, 3)))
    assert stored_tiles(store) == [(0, 0), (0, 1), (1, 0), (2, 3)]


def test_closing_writes_the_rest_bit_for_bit(clock: Clock, store: AnalysisStore, maps: CellMaps):
    buffer = TileBuffer(store, maps)
    for place in [(0, 0), (3, 2), (1, 1)]:
        buffer.add(batch(place))
    buffer.close()
    buffer.close()
    assert stored_tiles(store) == [(0, 0), (1, 1), (3, 2)]
    cells = store.maps.probability_map("cell")
    assert cells.coverage.sum() == 3 * 64
    assert np.array_equal(cells.probs[:, cells.coverage], maps.cell_probs[:, cells.coverage])
    assert np.array_equal(
        store.maps.tissue_features()[:, cells.coverage], maps.features[:, cells.coverage]
    )
