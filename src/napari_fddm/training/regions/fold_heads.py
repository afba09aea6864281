"""Linear stage-1 heads on a frozen backbone, fitted per fold, for out-of-fold maps.

Stage 2 must see the errors that stage 1 makes on cases it was not trained on
(``docs/algorithm.md#out-of-fold-maps``). A backbone that is frozen embeds each
slide once; then a linear head per fold takes seconds, and each slide gets the maps of
the head that has not seen it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch.nn import functional

from napari_fddm.core.errors import ConfigError
from napari_fddm.training.data.majority import tile_majority
from napari_fddm.training.regions.coarse import CoarseMaps, classify_window

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_fddm.core.geometry import Window
    from napari_fddm.core.protocols import Slide
    from napari_fddm.core.tiling import TileGrid

MAX_EXAMPLES = 20_000
"""Most cells or tiles on which a head is fitted."""
WEIGHT_DECAY = 1e-3


class Embeds(Protocol):
    """A model that returns the embeddings on which its heads work."""

    def embed(
        self, tiles_nhwc: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return embeddings of tiles (n, d) and of their cells (n, d, 8, 8).

        Parameters
        ----------
        tiles_nhwc : array of uint8, shape (n, h, w, 3)
            Pixels.
        """
        ...


@dataclass(frozen=True, slots=True)
class _AsClassifier:
    """Lets `classify_window` collect embeddings where it expects probabilities."""

    model: Embeds

    def classify(
        self, tiles_nhwc: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        return self.model.embed(tiles_nhwc)


def embed_window(
    slide: Slide,
    grid: TileGrid,
    tiles: Window,
    model: Embeds,
    width: int,
    *,
    shifted: bool = False,
) -> CoarseMaps:
    """Embed a window of tiles: the maps have ``width`` channels instead of classes."""
    return classify_window(slide, grid, tiles, _AsClassifier(model), width, shifted=shifted)


@dataclass(frozen=True, slots=True, eq=False)
class LinearHead:
    """A multinomial logistic regression on standardized embeddings.

    Attributes
    ----------
    mean, scale : tensor, shape (d,)
        Mean and standard deviation of each feature.
    weight : tensor, shape (classes, d)
    bias : tensor, shape (classes,)
    """

    mean: torch.Tensor
    scale: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor

    @classmethod
    def fitted(
        cls,
        embeddings: npt.NDArray[np.float32],
        truth: npt.NDArray[np.int64],
        classes: int,
        seed: int = 0,
    ) -> LinearHead:
        """Fit to embeddings (n, d) and class indices (n,); negative ones are left out.

        Raises
        ------
        ConfigError
            If no example has a class.
        """
        known = np.flatnonzero(truth >= 0)
        if not len(known):
            raise ConfigError("a stage-1 head needs examples with a class, and there are none.")
        if len(known) > MAX_EXAMPLES:
            known = np.random.default_rng(seed).choice(known, MAX_EXAMPLES, replace=False)
        x = torch.from_numpy(embeddings[known].astype(np.float32))
        index = torch.from_numpy(truth[known])
        mean, scale = x.mean(dim=0), x.std(dim=0).clamp(min=1e-3)
        x = (x - mean) / scale
        weight = torch.zeros(classes, x.shape[1], requires_grad=True)
        bias = torch.zeros(classes, requires_grad=True)
        optimizer = torch.optim.LBFGS([weight, bias], max_iter=60, line_search_fn="strong_wolfe")

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = functional.cross_entropy(functional.linear(x, weight, bias), index)
            loss = loss + WEIGHT_DECAY * weight.square().sum()
            torch.autograd.backward(loss)
            return loss

        optimizer.step(closure)
        return cls(mean, scale, weight.detach(), bias.detach())

    def probabilities(self, embeddings_chw: npt.NDArray[np.float16]) -> npt.NDArray[np.float16]:
        """Return class probabilities (classes, h, w) of embeddings (d, h, w)."""
        d, height, width = embeddings_chw.shape
        x = torch.from_numpy(embeddings_chw.reshape(d, -1).T.astype(np.float32))
        logits = functional.linear((x - self.mean) / self.scale, self.weight, self.bias)
        probs = logits.softmax(dim=1).T.reshape(-1, height, width)
        return probs.numpy().astype(np.float16)


@dataclass(frozen=True, slots=True, eq=False)
class FoldHeads:
    """A head for tiles and one for cells."""

    tile: LinearHead
    cell: LinearHead

    @classmethod
    def fitted(
        cls,
        slides: Sequence[tuple[CoarseMaps, npt.NDArray[np.uint8]]],
        classes: int,
        seed: int = 0,
    ) -> FoldHeads:
        """Fit to embedded slides and the label values of their cells, 0 unknown."""
        tiles = [(maps.tiles, tile_majority(truth, classes)) for maps, truth in slides]
        cells = [(maps.cells, truth) for maps, truth in slides]
        return cls(*(LinearHead.fitted(*_examples(part), classes, seed) for part in (tiles, cells)))

    def apply(self, embedded: CoarseMaps) -> CoarseMaps:
        """Return the stage-1 maps of an embedded slide."""
        shifted = embedded.shifted
        return CoarseMaps(
            self.tile.probabilities(embedded.tiles),
            self.cell.probabilities(embedded.cells),
            embedded.features,
            None if shifted is None else self.tile.probabilities(shifted),
        )


def _examples(
    parts: Sequence[tuple[npt.NDArray[np.float16], npt.NDArray[np.uint8]]],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    x = np.concatenate([maps.reshape(len(maps), -1).T for maps, _ in parts])
    truth = np.concatenate([labels.ravel() for _, labels in parts])
    return x.astype(np.float32), truth.astype(np.int64) - 1
