from __future__ import annotations

import numpy as np
import pytest

from tests.support.stores import every_tile, make, random_labels, refine_all, write_tiles


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
