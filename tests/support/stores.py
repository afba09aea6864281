"""Small stores for the tests of the pipeline's storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.edits import Edit, difference
from napari_fddm.core.geometry import Window
from napari_fddm.core.tiling import TileGrid
from napari_fddm.pipeline.store import AnalysisStore, StoreGeometries

if TYPE_CHECKING:
    from pathlib import Path

GRID = TileGrid((4500, 5500), 0.5, 1.0)
GEOMETRIES = StoreGeometries.of_grid(GRID, 8.0)
SHAPE = GEOMETRIES.label.shape
WHOLE = Window(0, 0, *SHAPE)
CELLS = Window(0, 0, *GEOMETRIES.cell.shape)
INFO = {"name": "slide-1", "fingerprint": "abc"}


def make(path: Path, **changes: Any) -> AnalysisStore:
    values: dict[str, Any] = {
        "slide_info": INFO,
        "geometries": GEOMETRIES,
        "table": OSTEOSARCOMA,
        "provenance": {"config": {"seed": 1}},
    }
    return AnalysisStore.create(path, **(values | changes))


def random_probs(rng: np.random.Generator, *shape: int, axis: int = 1) -> np.ndarray:
    raw = rng.random(shape)
    return raw / raw.sum(axis=axis, keepdims=True)


def random_labels(rng: np.random.Generator, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return rng.integers(1, 8, shape).astype(np.uint8)


def every_tile() -> np.ndarray:
    return np.argwhere(np.ones(GEOMETRIES.tile.shape, bool))


def write_tiles(
    store: AnalysisStore, rng: np.random.Generator, tiles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    patch, cells = random_probs(rng, len(tiles), 7), random_probs(rng, len(tiles), 7, 8, 8)
    store.maps.write_tiles(tiles, patch, cells, cells[:, :6])
    return patch, cells


def refine_all(store: AnalysisStore, labels: np.ndarray) -> None:
    probs = np.full((7, *GEOMETRIES.cell.shape), 1 / 7, np.float32)
    store.maps.write_refined(WHOLE, labels, CELLS, probs)


def stroke(labels: np.ndarray, window: Window, value: int) -> Edit:
    """Paint into a map and return the edit."""
    before = labels.copy()
    labels[window.clipped((labels.shape[0], labels.shape[1])).slices] = value
    edit = difference(before, labels, window)
    assert edit is not None
    return edit


def replay(store: AnalysisStore, layer: str = "corrected") -> np.ndarray:
    """Return the automatic labels with every logged edit applied."""
    automatic = store.maps.labels()
    labels = automatic.copy()
    for edit in store.log.edits(layer):
        edit.apply(labels, automatic)
    return labels


def stored(path: Path, layer: str = "corrected", level: int = 0) -> np.ndarray:
    """Read a label map as any other program would."""
    return zarr.open_array(path / "labels" / layer / str(level), mode="r")[...]
