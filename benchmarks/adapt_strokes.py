"""Simulated strokes: a brush that a pathologist draws at places that are spread out."""

from __future__ import annotations

import numpy as np

from napari_fddm.core.geometry import MapGeometry
from napari_fddm.pipeline.store import Strokes

LABEL_MPP = 4.0
BRUSH_UM = 120.0
APART_TILES = 3
"""Sites are at least this far from each other, if there is room."""


def simulated_strokes(
    truth_tiles: np.ndarray, tile_um: float, sites: int, share: float, seed: int
) -> Strokes:
    """Paint a share of the tissue at some sites, classes in turn, each with its true class.

    Parameters
    ----------
    truth_tiles : array of uint8, shape (rows, cols)
        Class value of each tile, 0 on glass.
    tile_um : float
        Edge of a tile, µm.
    sites : int
        Places.
    share : float
        Of the tissue's area, all strokes together.
    seed : int
        Decides places and directions.
    """
    rng = np.random.default_rng(seed)
    side = round(tile_um / LABEL_MPP)  # label cells along a tile
    truth = truth_tiles.repeat(side, axis=0).repeat(side, axis=1)
    painted = np.zeros_like(truth)
    area = share * np.count_nonzero(truth) / sites
    classes = rng.permutation(np.unique(truth_tiles[truth_tiles > 0]))
    used: list[np.ndarray] = []
    for number in range(sites):
        value = classes[number % len(classes)]
        tile = _far_from(np.argwhere(truth_tiles == value), used, rng)
        used.append(tile)
        start = (tile + rng.uniform(0.2, 0.8, 2)) * side
        _stroke(painted, truth, value, start, area, rng)
    return Strokes(painted, MapGeometry(painted.shape, LABEL_MPP, 1.0))


def _far_from(places: np.ndarray, used: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    for tile in rng.permutation(places):
        if all(np.abs(tile - other).max() >= APART_TILES for other in used):
            return np.asarray(tile)
    return np.asarray(rng.permutation(places)[0])


def _stroke(
    painted: np.ndarray,
    truth: np.ndarray,
    value: int,
    start: np.ndarray,
    area: float,
    rng: np.random.Generator,
) -> None:
    """Move a round brush, turning a little, until it has painted an area of one class."""
    radius = BRUSH_UM / 2 / LABEL_MPP
    rows, cols = np.ogrid[: truth.shape[0], : truth.shape[1]]
    before = np.count_nonzero(painted)
    place, angle = start.copy(), rng.uniform(0, 2 * np.pi)
    for _ in range(400):
        disk = (rows - place[0]) ** 2 + (cols - place[1]) ** 2 <= radius**2
        painted[disk & (truth == value)] = value
        if np.count_nonzero(painted) - before >= area:
            return
        angle += rng.normal(0, 0.3)
        place = place + radius * 0.5 * np.array([np.sin(angle), np.cos(angle)])
        inside = np.clip(place, 0, np.array(truth.shape) - 1).astype(int)
        if truth[tuple(inside)] != value:  # turns back at a border
            angle += np.pi
            place = start.copy()
