"""Segmentation networks (U-Net, SegFormer …) as stage 1: pixels, averaged to cells and tiles.

The baselines of FDDM (``docs/algorithm.md#controls``), by segmentation-models-pytorch.
A segmenter answers for every pixel of a tile; a cell's or the tile's probability is the
mean over its pixels, so that the pipeline runs it as any other first stage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from napari_fddm.core.errors import WeightsError
from napari_fddm.core.outside.text import visible
from napari_fddm.core.tiling import CELLS_PER_TILE
from napari_fddm.models.classifier import TileLogits

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST = 1e-12
"""Of a mean probability, before its logarithm."""


def build_segmenter(
    name: str, encoder: str, classes: int, *, pretrained: str | None = None
) -> nn.Module:
    """Build a segmentation network: tiles (n, 3, s, s) → logits (n, classes, s, s).

    Parameters
    ----------
    name : str
        "unet", "segformer" or another architecture of segmentation-models-pytorch.
    encoder : str
        Its encoder, e.g. "resnet34" or "mit_b5".
    classes : int
        How many.
    pretrained : str, optional
        Name of encoder weights to fetch, e.g. "imagenet"; None for random ones.

    Raises
    ------
    WeightsError
        If the library is not there, or knows no such network.
    """
    if ":" in encoder or "/" in encoder:  # timm would look on a hub or for a folder
        raise WeightsError(f"there is no encoder {visible(encoder)!r}.")
    try:
        import segmentation_models_pytorch as smp
    except ImportError:
        raise WeightsError(
            "segmenters need segmentation-models-pytorch, which is not installed.",
            hint='pip install "napari-fddm[baselines]"',
        ) from None
    try:
        model: nn.Module = smp.create_model(
            name, encoder, encoder_weights=pretrained, classes=classes
        )
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"there is no segmenter {visible(name)!r} with the encoder {visible(encoder)!r}: "
            f"{visible(str(error))[:200]}",
            hint="Known are unet with resnet34, segformer with mit_b5 and many others.",
        ) from error
    return model


class TileSegmenter(nn.Module):
    """A segmentation network as a classifier of tiles and cells.

    Parameters
    ----------
    network : nn.Module
        See `build_segmenter`.
    mean, std : sequence of float
        Normalization, for values in [0, 1].
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: nn.Module, *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def pixels(self, tiles_nhwc: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes, h, w) of uint8 tiles (n, h, w, 3)."""
        x = (tiles_nhwc.permute(0, 3, 1, 2).float() / 255.0 - self.mean) / self.std
        logits: torch.Tensor = self.network(x)
        return logits

    def forward(self, tiles_nhwc: torch.Tensor) -> TileLogits:
        """Return logarithms of mean probabilities of tiles and cells."""
        probs = torch.softmax(self.pixels(tiles_nhwc).float(), dim=1)
        cells = functional.adaptive_avg_pool2d(probs, CELLS_PER_TILE)
        tile = cells.mean(dim=(2, 3))
        return TileLogits(tile.clamp(min=LEAST).log(), cells.clamp(min=LEAST).log())
