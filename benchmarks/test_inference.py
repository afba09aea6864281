"""Stage 1 through the pipeline against the bare forward of the same network."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.tiling import TileGrid
from napari_fddm.models.bundle import load_model
from napari_fddm.pipeline.cellmaps import CellMaps
from napari_fddm.pipeline.classify import classify_events
from napari_fddm.slides.synthetic import SyntheticSlide
from napari_fddm.slides.tiff import TiffSlide

TILES, BATCH = 64, 8


@pytest.fixture(scope="module")
def model():
    return load_model("fddm-small")


@pytest.mark.benchmark(group="classify 64 tiles")
def test_pipeline(benchmark, model, tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "slide.tif"
    SyntheticSlide(2048, 2048, mpp=1.0, seed=1).write_tiff(path)
    grid = TileGrid((2048, 2048), 1.0, 1.0)
    indices = [(r, c) for r in range(8) for c in range(8)]
    with TiffSlide(path, mpp=1.0) as slide:

        def run() -> int:
            maps = CellMaps.empty(grid, 7)
            for _ in classify_events(slide, grid, indices, model, maps, batch_size=BATCH):
                pass
            return int(maps.analyzed.sum())

        assert benchmark.pedantic(run, rounds=3, warmup_rounds=1) == TILES


@pytest.mark.benchmark(group="classify 64 tiles")
def test_reference_bare_forward(benchmark, model):
    tiles = np.random.default_rng(0).integers(0, 255, (BATCH, 256, 256, 3)).astype(np.uint8)

    def run() -> int:
        for _ in range(TILES // BATCH):
            model.classify(tiles)
        return TILES

    assert benchmark.pedantic(run, rounds=3, warmup_rounds=1) == TILES
