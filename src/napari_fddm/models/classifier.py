"""Stage 1: a timm backbone with a tile head and a cell head (``docs/algorithm.md#stage-1``).

The tile head is FDDM's: two linear layers on the pooled feature. The cell head is
the same on the patch tokens, averaged over each bridge cell: the refiner gets a
map eight times finer than the tiles, which the prototype found to matter.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from napari_fddm.core.errors import WeightsError
from napari_fddm.core.outside.text import visible
from napari_fddm.core.tiling import CELLS_PER_TILE
from napari_fddm.models.fusion import WIDTH, GatedFusion
from napari_fddm.models.hierarchy import TreeHead
from napari_fddm.models.radiomics import compute_radiomics, feature_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_fddm.models.hierarchy import ClassTree


class TileFeatures(NamedTuple):
    """Features of a batch of tiles, the input of the heads.

    Attributes
    ----------
    pooled : tensor, shape (n, d')
        The backbone's feature of the whole tile.
    cells : tensor, shape (n, 8, 8, d)
        Its feature of each bridge cell.
    radiomics : tensor, shape (n, f), or None
        Radiomic features, where the model uses them.
    """

    pooled: torch.Tensor
    cells: torch.Tensor
    radiomics: torch.Tensor | None = None


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
    """Build a timm backbone without its head and without pretrained weights.

    Raises
    ------
    WeightsError
        If the name leads to a file or a hub instead of timm's own list.
    """
    import timm

    if not timm.is_model(name):
        raise WeightsError(f"timm has no network {visible(name)!r}.")
    model: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **options)
    return model


def check_input_px(backbone: nn.Module, input_px: int) -> None:
    """Refuse an input size that the backbone's patches cannot tile.

    Convolutional backbones take any size; timm's patch embeddings state theirs.

    Raises
    ------
    WeightsError
        Naming the size and one that fits.
    """
    embed = getattr(backbone, "patch_embed", None)
    image = getattr(embed, "img_size", None)
    if image is None:
        return
    if getattr(embed, "strict_img_size", False) and tuple(image) != (input_px, input_px):
        raise WeightsError(
            f"the backbone takes {image[0]} px only, but input_px is {input_px}.",
            hint=f"Set input_px to {image[0]}, or say dynamic_img_size or img_size in the card's "
            "backbone_options.",
        )
    size = getattr(embed, "patch_size", 1)
    patch = int(size if isinstance(size, int) else size[0])
    if input_px % patch and not getattr(embed, "dynamic_img_pad", False):
        below = input_px // patch * patch
        raise WeightsError(
            f"input_px is {input_px}, which is no multiple of the backbone's patches of "
            f"{patch} px.",
            hint=f"Use {below or patch} or {below + patch}.",
        )


def build_head(features: int, classes: int) -> nn.Sequential:
    """Build FDDM's head: linear to half the width, ReLU, linear to the classes."""
    return nn.Sequential(
        nn.Linear(features, features // 2), nn.ReLU(), nn.Linear(features // 2, classes)
    )


class TileClassifier(nn.Module):
    """Classifies tiles and their cells with any timm backbone.

    The tile's feature is what timm itself pools for its own head (class token,
    average, attention …: ``forward_head(…, pre_logits=True)``); the cells' features
    are the patch tokens without class and register tokens, or a convolutional
    network's last map, averaged over each cell.

    Parameters
    ----------
    backbone : nn.Module
        A timm model: ``forward_features``, ``forward_head`` and ``num_features``.
    classes : int
        Number of classes.
    input_px : int
        Edge to which tiles are resized before the backbone.
    mean, std : sequence of float
        Normalization, for values in [0, 1].
    tree : tuple of (ClassTree, sequence of str), optional
        The tile's head answers the questions of this tree, about these classes.
    radiomics : tuple of str
        Sets of radiomic features to fuse with the image's, for the tile's class.

    Raises
    ------
    WeightsError
        If the backbone cannot take tiles of ``input_px``.
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
        tree: tuple[ClassTree, Sequence[str]] | None = None,
        radiomics: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        check_input_px(backbone, input_px)
        self.backbone = backbone
        self.input_px = input_px
        features = int(backbone.num_features)  # type: ignore[arg-type]
        # MobileNet and similar networks widen the pooled feature once more.
        pooled = int(getattr(backbone, "head_hidden_size", None) or features)
        outputs = classes if tree is None else tree[0].logits
        self.radiomics = radiomics
        self.fusion: GatedFusion | None = None
        if radiomics:
            self.fusion = GatedFusion(pooled, len(feature_names(radiomics)))
        layers = nn.Linear(WIDTH, outputs) if radiomics else build_head(pooled, outputs)
        self.tile_head: nn.Module = layers if tree is None else TreeHead(layers, *tree)
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
        return self.classify_features(self.features(tiles_nhwc))

    def features(self, tiles_nhwc: torch.Tensor) -> TileFeatures:
        """Return the features, the input of the heads, of uint8 tiles of shape (n, h, w, 3)."""
        pooled, grid = self._features(self.preprocess(tiles_nhwc))
        # one feature per bridge cell: (n, d, g, g) → (n, 8, 8, d)
        cells = cell_means(grid).permute(0, 2, 3, 1)
        measured = compute_radiomics(tiles_nhwc, self.radiomics) if self.radiomics else None
        return TileFeatures(pooled, cells, measured)

    def classify_features(self, features: TileFeatures) -> TileLogits:
        """Run the heads on features."""
        cell_logits = self.cell_head(features.cells).permute(0, 3, 1, 2)  # (n, c, 8, 8)
        pooled = features.pooled
        if self.fusion is not None and features.radiomics is not None:
            pooled = self.fusion(pooled, features.radiomics).features
        return TileLogits(self.tile_head(pooled), cell_logits)

    @property
    def head_names(self) -> tuple[str, ...]:
        """Names of the parts that are no backbone."""
        return ("tile_head", "cell_head", *(("fusion",) if self.fusion is not None else ()))

    def head_state(self) -> dict[str, torch.Tensor]:
        """Return the tensors of the heads, named as `bundle` reads them."""
        return {
            f"{name}.{key}": tensor.detach().cpu().contiguous()
            for name in self.head_names
            for key, tensor in getattr(self, name).state_dict().items()
        }

    def _features(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the pooled feature (n, d') and the feature grid (n, d, g, g)."""
        features = self.backbone.forward_features(x)  # type: ignore[operator]
        pooled = self.backbone.forward_head(features, pre_logits=True)  # type: ignore[operator]
        return pooled, feature_grid(self.backbone, features)


def feature_grid(backbone: nn.Module, features: torch.Tensor) -> torch.Tensor:
    """Return a timm backbone's features by place, as (n, d, g, g).

    Raises
    ------
    WeightsError
        If its features form no square grid.
    """
    if isinstance(features, torch.Tensor) and features.dim() == 4:
        # Swin and similar networks keep channels last.
        last = getattr(backbone, "output_fmt", "NCHW") == "NHWC"
        return features.permute(0, 3, 1, 2) if last else features
    if isinstance(features, torch.Tensor) and features.dim() == 3:
        # Class and register tokens stand before the patches.
        tokens = features[:, int(getattr(backbone, "num_prefix_tokens", 0)) :]  # (n, g·g, d)
        side = math.isqrt(tokens.shape[1])
        if side > 0 and side * side == tokens.shape[1]:
            return tokens.transpose(1, 2).reshape(len(tokens), -1, side, side)
    raise WeightsError(
        f"the backbone {type(backbone).__name__} has features that form no square grid.",
        hint="Use a vision transformer or a convolutional network of timm.",
    )


def cell_means(grid: torch.Tensor) -> torch.Tensor:
    """Average a feature grid (n, d, g, g) over each bridge cell: (n, d, 8, 8).

    Where 8 does not divide g, a feature counts by the area it shares with the cell.
    """
    side = grid.shape[-1]
    if side % CELLS_PER_TILE == 0:
        return functional.adaptive_avg_pool2d(grid, CELLS_PER_TILE)
    edges = torch.arange(side + 1, dtype=torch.float64) * CELLS_PER_TILE / side
    cells = torch.arange(CELLS_PER_TILE, dtype=torch.float64)[:, None]  # (8, 1)
    shared = torch.minimum(edges[1:], cells + 1) - torch.maximum(edges[:-1], cells)
    shares = shared.clamp(min=0).float().to(grid.device)  # (8, g), rows sum to 1
    # Not as matrix products: autocast would round the shares.
    rows = torch.stack([(grid * share[:, None]).sum(dim=2) for share in shares], dim=2)
    return torch.stack([(rows * share).sum(dim=3) for share in shares], dim=3)
