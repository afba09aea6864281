"""Are the new heads better where they have not learned? Cross-validation by site."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn

from napari_fddm.core.errors import TrainingError
from napari_fddm.core.events import Progressed
from napari_fddm.models.classifier import TileClassifier
from napari_fddm.training.adapt.events import STAGE_JUDGE
from napari_fddm.training.adapt.head_fitting import Examples, HeadFitting, fit_head

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    import numpy.typing as npt

    from napari_fddm.models.bundle import LoadedModel
    from napari_fddm.training.adapt.samples import PaintedSamples, Samples
    from napari_fddm.training.adapt.tile_cache import HeadInputs

    Index = tuple[int, int]
    Features = Mapping[Index, HeadInputs]
    from collections.abc import Collection

    Index = tuple[int, int]

MOST_FOLDS = 5
MOST_HELD_CELLS = 768
"""Unpainted cells whose answers are held: cells of one tile are alike."""
REFERENCE_TILES = 256
"""Enough to see every tissue of a slide a few times; the backbone takes under a minute."""


class Heads(NamedTuple):
    """The two heads of stage 1, on the CPU in float32."""

    tile: nn.Module
    cell: nn.Module

    def state(self) -> dict[str, torch.Tensor]:
        """Return their tensors as a model's file names them."""
        return {
            f"{name}_head.{key}": value.detach().cpu().contiguous()
            for name, head in (("tile", self.tile), ("cell", self.cell))
            for key, value in head.state_dict().items()
        }


def model_heads(model: LoadedModel) -> Heads:
    """Return copies of a model's heads, on the CPU in float32.

    Raises
    ------
    TrainingError
        If its first stage has no such heads, or mixes in radiomics before them.
    """
    classifier = model.classifier
    if not isinstance(classifier, TileClassifier) or classifier.fusion is not None:
        raise TrainingError(
            f"the model {model.card.id!r} cannot learn from strokes: its first stage is not a "
            "backbone with a tile head and a cell head alone.",
            hint="Take another model.",
        )
    parts = (classifier.tile_head, classifier.cell_head)
    return Heads(*(copy.deepcopy(part).cpu().float().eval() for part in parts))


class Unpainted(NamedTuple):
    """Features of places where nobody painted: (m, d') of tiles and (k, d) of cells."""

    tiles: npt.NDArray[np.float16]
    cells: npt.NDArray[np.float16]

    @classmethod
    def of(cls, features: Features, index: Sequence[Index], seed: int = 0) -> Unpainted:
        """Take tiles, and some of their cells at random."""
        found = [features[i] for i in index]
        if not found:
            return cls(np.zeros((0, 0), np.float16), np.zeros((0, 0), np.float16))
        cells = np.concatenate([f.cells.reshape(-1, f.cells.shape[-1]) for f in found])
        if len(cells) > MOST_HELD_CELLS:
            chosen = np.random.default_rng(seed).choice(len(cells), MOST_HELD_CELLS, replace=False)
            cells = cells[np.sort(chosen)]
        return cls(np.stack([f.pooled for f in found]), cells)


def tile_inputs(samples: Samples, features: Features) -> npt.NDArray[np.float16]:
    """Return what the tile head sees of painted tiles, shape (n, d')."""
    return np.stack([features[_index(i)].pooled for i in samples.index])


def cell_inputs(samples: Samples, features: Features) -> npt.NDArray[np.float16]:
    """Return what the cell head sees of painted cells, shape (n, d)."""
    edge = next(iter(features.values())).cells.shape[0]
    return np.stack([features[_index(i // edge)].cells[tuple(i % edge)] for i in samples.index])


def fit_heads(
    heads: Heads,
    samples: PaintedSamples,
    features: Features,
    unpainted: Unpainted,
    settings: HeadFitting,
) -> Heads:
    """Return heads retrained on strokes; a head without samples stays as it is."""
    tile, cell = heads
    if len(samples.tiles):
        x = tile_inputs(samples.tiles, features)
        weights = samples.tiles.weights()
        held = _shaped(unpainted.tiles, x)
        tile = fit_head(tile, Examples.of(x, samples.tiles.label, weights, held), settings)
    if len(samples.cells):
        x = cell_inputs(samples.cells, features)
        weights = samples.cells.weights()
        held = _shaped(unpainted.cells, x)
        cell = fit_head(cell, Examples.of(x, samples.cells.label, weights, held), settings)
    return Heads(tile, cell)


def predict(head: nn.Module, inputs: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Return the class value that a head gives each of (n, d)."""
    with torch.inference_mode():
        scores = head(torch.from_numpy(inputs).float())
    return np.asarray(scores.argmax(dim=1).numpy() + 1, np.int64)


def assign_folds(samples: PaintedSamples) -> dict[int, int]:
    """Return the fold of each site; the sites of a class take turns.

    So no fold holds out all sites of a class that has two or more.
    """
    sites = np.unique(samples.cells.site)
    folds = min(MOST_FOLDS, len(sites))
    main = {int(s): _main_class(samples.cells, int(s)) for s in sites}
    order = sorted(main, key=lambda s: (main[s], s))
    return {site: number % folds for number, site in enumerate(order)}


def held_out_events(
    heads: Heads,
    samples: PaintedSamples,
    features: Features,
    unpainted: Unpainted,
    settings: HeadFitting,
) -> Generator[Progressed, None, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Predict every site by heads that have not learned from it.

    Returns
    -------
    tiles, cells : arrays of int64
        Class values of the painted tiles and cells, in the order of the samples.
    """
    fold_of = assign_folds(samples)
    folds = max(fold_of.values()) + 1
    tiles = np.zeros(len(samples.tiles), np.int64)
    cells = np.zeros(len(samples.cells), np.int64)
    for fold in range(folds):
        tile_out, cell_out = (
            np.array([fold_of[int(s)] == fold for s in part.site], bool)
            for part in (samples.tiles, samples.cells)
        )
        kept = type(samples)(samples.cells.part(~cell_out), samples.tiles.part(~tile_out))
        new = fit_heads(heads, kept, features, unpainted, settings)
        if tile_out.any():
            part = samples.tiles.part(tile_out)
            tiles[tile_out] = predict(new.tile, tile_inputs(part, features))
        if cell_out.any():
            part = samples.cells.part(cell_out)
            cells[cell_out] = predict(new.cell, cell_inputs(part, features))
        yield Progressed(STAGE_JUDGE, fold + 1, folds)
    return tiles, cells


def balanced_accuracy(
    samples: Samples, predicted: npt.NDArray[np.int64], classes: Sequence[int]
) -> float | None:
    """Return the mean over classes of the share of painted samples that are right.

    Within a class every site counts the same. None if there is no sample of the classes.
    """
    judged = np.isin(samples.label, classes)
    if not judged.any():
        return None
    weights = samples.part(judged).weights()
    right = predicted[judged] == samples.label[judged]
    return float((weights * right).sum() / weights.sum())


def _main_class(cells: Samples, site: int) -> int:
    here = cells.site == site
    return int(np.bincount(cells.label[here], weights=cells.cover[here]).argmax())


def _index(row_col: npt.NDArray[np.int64]) -> Index:
    return int(row_col[0]), int(row_col[1])


def _shaped(
    unpainted: npt.NDArray[np.float16], x: npt.NDArray[np.float16]
) -> npt.NDArray[np.float16]:
    """Return no places as (0, d)."""
    return unpainted if len(unpainted) else np.zeros((0, x.shape[1]), np.float16)


def choose_reference(
    analyzed: npt.NDArray[np.bool_], painted: Collection[Index], count: int = REFERENCE_TILES
) -> list[Index]:
    """Return some analyzed tiles at random places, none of them painted.

    Parameters
    ----------
    analyzed : array of bool, shape of the tile grid
        Where a model looked.
    painted : collection of (row, col)
        Tiles that a stroke touches.
    count : int
        How many, at most.

    Notes
    -----
    The order depends on the analyzed tiles alone: after more strokes the tiles are nearly
    the same ones, and their features are in the cache.
    """
    places = np.argwhere(analyzed)
    order = np.random.default_rng(0).permutation(len(places))
    found = [(int(row), int(col)) for row, col in places[order]]
    return [index for index in found if index not in painted][:count]
