"""Stage 1: a timm backbone with a tile head and a cell head (ALGORITHM A.3, H.4).

The tile head is FDDM's: two linear layers on the pooled feature. The cell head is
the same on the patch tokens, averaged over each bridge cell: the refiner gets a
map eight times finer than the tiles, which the prototype found to matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from napari_fddm.core.tiling import CELLS_PER_TILE

if TYPE_CHECKING:
    from collections.abc import Sequence


class TileLogits(NamedTuple):
    """Raw scores of a batch of tiles.

    Attributes
    ----------
    tile : tensor, shape (n, classes)
    cells : tensor, shape (n, classes, 8, 8)
    """

    tile: torch.Tensor
    cells: torch.Tensor


def build_backbone(name: str, **options: object) -> nn.Module:
    """Build a timm backbone without its head and without pretrained weights."""
    import timm

    model: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **options)
    return model


def build_head(features: int, classes: int) -> nn.Sequential:
    """Build FDDM's head: linear to half the width, ReLU, linear to the classes."""
    return nn.Sequential(
        nn.Linear(features, features // 2), nn.ReLU(), nn.Linear(features // 2, classes)
    )


class TileClassifier(nn.Module):
    """Classifies tiles and, where the backbone has tokens, their cells.

    Parameters
    ----------
    backbone : nn.Module
        A timm model with ``forward_features`` and ``num_features``.
    classes : int
        Number of classes.
    input_px : int
        Edge to which tiles are resized before the backbone.
    mean, std : sequence of float
        Normalization, for values in [0, 1].
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        backbone: nn.Module,
        classes: int,
        *,
        input_px: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.input_px = input_px
        features = int(backbone.num_features)  # type: ignore[arg-type]
        self.tile_head = build_head(features, classes)
        self.cell_head = build_head(features, classes)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def preprocess(self, tiles_nhwc: torch.Tensor) -> torch.Tensor:
        """Turn uint8 tiles (n, h, w, 3) into normalized input (n, 3, px, px)."""
        x = tiles_nhwc.permute(0, 3, 1, 2).float() / 255.0
        size = (self.input_px, self.input_px)
        if x.shape[-2:] != size:
            x = functional.interpolate(
                x, size, mode="bilinear", antialias=True, align_corners=False
            )
        return (x - self.mean) / self.std

    def forward(self, tiles_nhwc: torch.Tensor) -> TileLogits:
        """Classify uint8 tiles of shape (n, h, w, 3)."""
        pooled, grid = self._features(self.preprocess(tiles_nhwc))
        # one feature per bridge cell: (n, d, g, g) → (n, 8, 8, d)
        cells = functional.adaptive_avg_pool2d(grid, CELLS_PER_TILE).permute(0, 2, 3, 1)
        cell_logits = self.cell_head(cells).permute(0, 3, 1, 2)  # (n, c, 8, 8)
        return TileLogits(self.tile_head(pooled), cell_logits)

    def _features(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the pooled feature (n, d) and the feature grid (n, d, g, g)."""
        backbone = self.backbone
        features = backbone.forward_features(x)  # type: ignore[operator]
        if features.dim() == 4:  # a convolutional backbone
            return features.mean(dim=(2, 3)), features
        prefix = int(backbone.num_prefix_tokens)  # type: ignore[arg-type]
        tokens = features[:, prefix:]  # (n, g·g, d)
        side = round(tokens.shape[1] ** 0.5)
        grid = tokens.transpose(1, 2).unflatten(2, (side, side))
        pooled = features[:, 0] if prefix else tokens.mean(dim=1)
        return pooled, grid
