"""Slides and models for runs: small, fast, faulty at will, and counting."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.config import AnalysisConfig, load_config
from napari_fddm.core.errors import SlideError
from napari_fddm.core.events import StageStarted
from napari_fddm.core.tiling import TILE_PX
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.slides import ArraySlide

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from napari_fddm.core.events import Event
    from napari_fddm.core.geometry import Region
    from napari_fddm.models import LoadedModel
    from napari_fddm.pipeline.run.analyze import AnalysisResult

GLASS = 250


def mosaic(height: int, width: int, seed: int = 0, *, glass: int = 0) -> np.ndarray:
    """Paint patches of 64 px in random stains, with a margin of glass."""
    rng = np.random.default_rng(seed)
    rows, cols = -(-height // 64), -(-width // 64)
    colors = rng.integers(30, 220, (rows, cols, 3), np.uint8)
    image = colors.repeat(64, axis=0).repeat(64, axis=1)[:height, :width]
    image[::3, ::5] //= 2  # some texture
    if glass:
        image[:glass], image[-glass:], image[:, :glass], image[:, -glass:] = (GLASS,) * 4
    return image


SIDE = 2600  # 11 by 11 tiles, 2 by 2 regions
MARGIN = 400  # tissue ends in the middle of tiles 1 and 8
PIXELS = mosaic(SIDE, SIDE, glass=MARGIN)
CONFIG = load_config(batch_size=16, label_mpp=8.0)


def changed(**values: Any) -> AnalysisConfig:
    return load_config(**{**CONFIG.model_dump(), **values})


PATCH = changed(stage="patch")


def drain(run: Generator[Event, None, AnalysisResult]) -> tuple[list[Event], AnalysisResult]:
    """Run to the end and return the events and the result."""
    events: list[Event] = []
    while True:
        try:
            events.append(next(run))
        except StopIteration as stop:
            return events, stop.value


class WatchedSlide(ArraySlide):
    """A slide in memory that notes what is read at the tiles' resolution and can fail there.

    Parameters
    ----------
    pixels : array of uint8, shape (h, w, 3)
        At 1 µm per pixel, as the tiles are.
    broken : callable
        Says of a tile (row, col) whether its pixels cannot be decoded.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        *,
        broken: Callable[[int, int], bool] = lambda row, col: False,
        mpp: float | None = 1.0,
    ) -> None:
        super().__init__(pixels, mpp=mpp, name="mosaic")
        self.broken = broken
        self.tiles_read: list[tuple[int, int]] = []
        self._mutex = threading.Lock()

    def read_region(self, region: Region, mpp: float) -> np.ndarray:
        rows = range(int(region.y // TILE_PX), -int(-region.y_end // TILE_PX))
        cols = range(int(region.x // TILE_PX), -int(-region.x_end // TILE_PX))
        if mpp == 1.0:
            with self._mutex:
                self.tiles_read += [(row, col) for row in rows for col in cols]
        if any(self.broken(row, col) for row in rows for col in cols):
            raise SlideError(f"{self.name}: a tile cannot be decoded.", hint="Copy it again.")
        return super().read_region(region, mpp)


class CountingModel:
    """A loaded model that counts the tiles it classifies.

    Parameters
    ----------
    model : LoadedModel
        Does the work.
    """

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self.batches: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def classify(self, tiles_nhwc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.batches.append(len(tiles_nhwc))
        return self._model.classify(tiles_nhwc)


def contents(path: Path) -> dict[str, Any]:
    """Everything a run leaves that a result rests on."""
    with AnalysisStore.open(path) as store:
        found: dict[str, Any] = {
            name: store.labels(name) for name in ("patch", "refined", "corrected")
        }
        for name in ("patch", "cell", "refined"):
            map_ = store.maps.probability_map(name)
            found |= {f"{name} probs": map_.probs, f"{name} coverage": map_.coverage}
        return found | {"features": store.maps.tissue_features(), "overview": store.maps.overview()}


def assert_equal(first: Path, second: Path) -> None:
    ours, theirs = contents(first), contents(second)
    for name, array in ours.items():
        assert np.array_equal(array, theirs[name]), name


def stages(events: list[Event]) -> list[str]:
    return [e.stage for e in events if isinstance(e, StageStarted)]


def tissue_tiles() -> np.ndarray:
    """Return the tiles of the mosaic that have tissue."""
    wanted = np.zeros((11, 11), bool)
    wanted[1:9, 1:9] = True
    return wanted
