from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.models import LoadedModel, load_model
from napari_fddm.pipeline.run.analyze import analyze
from tests.support.runs import CONFIG, PIXELS, CountingModel, WatchedSlide, drain
from tests.support.stores import every_tile, make, random_labels, refine_all, write_tiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "slide-1.svs.fddm.ome.zarr"


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def finished(path, rng):
    """A store with automatic labels; its path and the labels."""
    labels = random_labels(rng)
    with make(path) as store:
        write_tiles(store, rng, every_tile())
        refine_all(store, labels)
        store.finish()
    return path, labels


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> Iterator[LoadedModel]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_FDDM_FLOAT32", "1")
        yield load_model(str(tiny_model), "cpu")


@pytest.fixture
def model(loaded: LoadedModel) -> CountingModel:
    return CountingModel(loaded)


@pytest.fixture(scope="module")
def whole(loaded: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over the whole mosaic; not to be changed."""
    store = tmp_path_factory.mktemp("whole") / "whole.fddm.ome.zarr"
    drain(analyze(WatchedSlide(PIXELS), store=store, model=loaded, config=CONFIG))
    return store
