"""Features of tissue that learning is tried on, and a model that embeds by mean color."""

from __future__ import annotations

import numpy as np

from napari_fddm.training.adapt.samples import PaintedSamples, Samples
from napari_fddm.training.adapt.tile_cache import HeadInputs

WIDTH = 16
CENTERS = np.random.default_rng(3).normal(size=(8, WIDTH)) * 3


class ColorModel:
    """Embeds a tile and its cells by their mean color, three times over."""

    calls = 0

    def embed(self, tiles):
        ColorModel.calls += len(tiles)
        cells = np.tile(tiles.reshape(len(tiles), 8, 32, 8, 32, 3).mean(axis=(2, 4)), 3)
        return cells.mean(axis=(1, 2)).astype("f4"), cells.transpose(0, 3, 1, 2).astype("f4")

    classify = embed


def looks(value: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Features of a tissue, float16 (count, d)."""
    return (CENTERS[value] + rng.normal(size=(count, WIDTH)) * 0.7).astype(np.float16)


def painted(values: list[int], rng: np.random.Generator) -> tuple[PaintedSamples, dict, dict]:
    """One site of one tile for each value, 16 cells of it painted; features, and truth."""
    features, truth, cells = {}, {}, []
    for number, value in enumerate(values):
        index = (number * 4, 0)
        features[index] = HeadInputs(
            looks(value, 1, rng)[0], looks(value, 64, rng).reshape(8, 8, WIDTH)
        )
        truth[index] = value
        cells += [(index[0] * 8 + r, c, value, number + 1) for r in range(4) for c in range(4)]
    rows, cols, label, site = (np.array(column) for column in zip(*cells, strict=True))
    of_cells = Samples(np.stack([rows, cols], 1), label, np.ones(len(label)), site)
    of_tiles = Samples(
        np.array(list(features)), np.array(values), np.full(len(values), 0.25),
        np.arange(len(values)) + 1,
    )  # fmt: skip
    return PaintedSamples(of_cells, of_tiles), features, truth
