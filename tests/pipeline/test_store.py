from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.geometry import Window
from napari_fddm.core.tiling import TileGrid
from napari_fddm.interop import ome_zarr
from napari_fddm.pipeline.layout import StoreGeometries
from napari_fddm.pipeline.store import AnalysisStore

GRID = TileGrid((9000, 11000), 0.5, 1.0)
GEOMETRIES = StoreGeometries.of_grid(GRID, 8.0)
INFO = {"name": "slide-1", "fingerprint": "abc"}


def make(path, **changes):
    values = {
        "slide_info": INFO,
        "geometries": GEOMETRIES,
        "table": OSTEOSARCOMA,
        "provenance": {"config": {"seed": 1}},
    }
    return AnalysisStore.create(path, **(values | changes))


def random_probs(rng, *shape, axis=1):
    raw = rng.random(shape)
    return raw / raw.sum(axis=axis, keepdims=True)


def every_tile():
    return np.argwhere(np.ones(GEOMETRIES.tile.shape, bool))


def fill(store, rng):
    tiles = every_tile()
    patch = random_probs(rng, len(tiles), 7)
    cells = random_probs(rng, len(tiles), 7, 8, 8)
    store.write_tiles(tiles, patch, cells)
    shape = GEOMETRIES.label.shape
    labels = rng.integers(1, 8, shape).astype(np.uint8)
    whole = Window(0, 0, *shape)
    store.write_overview(whole, rng.integers(0, 256, (*shape, 3)).astype(np.uint8))
    refined = random_probs(rng, 7, *GEOMETRIES.cell.shape, axis=0)
    store.write_refined(whole, labels, Window(0, 0, *GEOMETRIES.cell.shape), refined)
    return patch, cells, labels, refined


@pytest.fixture
def path(tmp_path):
    return tmp_path / "slide-1.svs.fddm.ome.zarr"


def test_a_whole_analysis_comes_back(path):
    rng = np.random.default_rng(0)
    with make(path) as store:
        patch, cells, labels, refined = fill(store, rng)
        store.finish()
    ome_zarr.validate(path)
    with AnalysisStore.open(path) as store:
        assert store.complete
        assert store.slide_info == INFO
        assert store.provenance == {"config": {"seed": 1}}
        assert np.array_equal(store.labels("corrected"), labels)
        assert np.array_equal(store.labels("refined"), labels)
        expected = (patch.argmax(axis=1) + 1).reshape(GEOMETRIES.tile.shape)
        assert np.array_equal(store.labels("patch"), expected)
        assert store.probability_map("patch").coverage.all()
        by_tile = store.probability_map("cell").probs.reshape(7, 18, 8, 22, 8)
        assert np.allclose(by_tile[:, 3, :, 5, :], cells[3 * 22 + 5], atol=1e-3)
        assert np.allclose(store.probability_map("refined").probs, refined, atol=1e-3)
