"""The two heads of stage 1 apart from the network: their inputs, retraining, predictions."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn

from napari_fddm.core.errors import TrainingError
from napari_fddm.models import TileClassifier
from napari_fddm.training.adapt.head_fitting import Examples, HeadFitting, fit_head

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from napari_fddm.models import LoadedModel
    from napari_fddm.training.adapt.samples import PaintedSamples, Samples
    from napari_fddm.training.adapt.tile_cache import HeadInputs
    from napari_fddm.training.adapt.unpainted import Unpainted

    Index = tuple[int, int]
    """(row, column) of a tile."""
    Features = Mapping[Index, HeadInputs]


class Heads(NamedTuple):
    """The tile head and the cell head of stage 1, on the CPU in float32."""

    tile: nn.Module
    cell: nn.Module

    def state(self) -> dict[str, torch.Tensor]:
        """Return their tensors under the names that a model's file has for them."""
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
        If its stage 1 has no such heads, or fuses radiomics with their inputs.
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


def tile_inputs(samples: Samples, features: Features) -> npt.NDArray[np.float16]:
    """Return the inputs of the tile head for painted tiles, shape (n, d')."""
    return np.stack([features[_index(i)].pooled for i in samples.index])


def cell_inputs(samples: Samples, features: Features) -> npt.NDArray[np.float16]:
    """Return the inputs of the cell head for painted cells, shape (n, d)."""
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
        inputs = tile_inputs(samples.tiles, features)
        examples = _examples(samples.tiles, inputs, unpainted.tiles)
        tile = fit_head(tile, examples, settings)
    if len(samples.cells):
        inputs = cell_inputs(samples.cells, features)
        examples = _examples(samples.cells, inputs, unpainted.cells)
        cell = fit_head(cell, examples, settings)
    return Heads(tile, cell)


def predict(head: nn.Module, inputs: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Return the class value that a head gives each row of its inputs (n, d)."""
    with torch.inference_mode():
        scores = head(torch.from_numpy(inputs).float())
    return np.asarray(scores.argmax(dim=1).numpy() + 1, np.int64)


def _examples(
    samples: Samples, inputs: npt.NDArray[np.float16], unpainted: npt.NDArray[np.float16]
) -> Examples:
    if not len(unpainted):
        unpainted = np.zeros((0, inputs.shape[1]), np.float16)
    return Examples.of(inputs, samples.label, samples.weights(), unpainted)


def _index(row_col: npt.NDArray[np.int64]) -> Index:
    return int(row_col[0]), int(row_col[1])
