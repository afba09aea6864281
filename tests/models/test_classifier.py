"""Stage 1's network: what goes in, what comes out, and what its loss does not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from napari_fddm.models.classifier import TileClassifier, build_backbone, build_head
from tests.support.models import TINY

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def classifier(backbone: nn.Module | None = None, *, px: int = 64, classes: int = 7):
    torch.manual_seed(0)
    backbone = backbone or build_backbone(TINY.backbone, **TINY.backbone_options)
    mean, std = IMAGENET
    return TileClassifier(backbone, classes, input_px=px, mean=mean, std=std).eval()


def tiles(n: int = 2, px: int = 64, seed: int = 0) -> torch.Tensor:
    values = np.random.default_rng(seed).integers(0, 256, (n, px, px, 3), np.uint8)
    return torch.from_numpy(values)


class Places(nn.Module):
    """A backbone that answers with each patch's place: patches of 8 px, no class token."""

    num_features = 4
    num_prefix_tokens = 0

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        side = x.shape[-1] // 8
        y, z = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
        place = torch.stack([y, z, y * 0, y * 0 + 1], dim=-1).flatten(0, 1).float()  # (g·g, 4)
        return place.expand(len(x), -1, -1)


def test_p23_preprocessing_is_scaling_and_normalizing():
    mean, std = (np.array(v, np.float32) for v in IMAGENET)
    found = classifier().preprocess(tiles())
    expected = (tiles().numpy() / 255.0 - mean) / std
    np.testing.assert_allclose(found.numpy(), expected.transpose(0, 3, 1, 2), atol=1e-6)


def test_p23_white_and_black_come_out_as_known_numbers():
    white = classifier().preprocess(torch.full((1, 64, 64, 3), 255, dtype=torch.uint8))
    assert white[0, :, 0, 0].tolist() == pytest.approx([2.2489, 2.4286, 2.6400], abs=1e-4)
    black = classifier().preprocess(torch.zeros((1, 64, 64, 3), dtype=torch.uint8))
    assert black[0, :, 0, 0].tolist() == pytest.approx([-2.1179, -2.0357, -1.8044], abs=1e-4)


@pytest.mark.parametrize("px", [48, 64, 224])
def test_tiles_are_resized_to_what_the_backbone_takes(px: int):
    model = classifier(Places(), px=px)
    assert model.preprocess(tiles(px=256)).shape == (2, 3, px, px)
    plain = torch.full((1, 256, 256, 3), 100, dtype=torch.uint8)
    spread = model.preprocess(plain).flatten(2)
    torch.testing.assert_close(spread.max(dim=2).values, spread.min(dim=2).values)


def test_resizing_averages_instead_of_picking():
    checkered = torch.zeros((1, 256, 256, 3), dtype=torch.uint8)
    checkered[:, ::2, ::2] = checkered[:, 1::2, 1::2] = 255
    gray = classifier(px=64).preprocess(checkered) * torch.tensor(IMAGENET[1]).view(1, 3, 1, 1)
    gray = gray + torch.tensor(IMAGENET[0]).view(1, 3, 1, 1)
    torch.testing.assert_close(gray, torch.full_like(gray, 0.5), atol=0.02, rtol=0)


def test_logits_have_a_row_per_tile_and_a_cell_grid():
    with torch.no_grad():
        logits = classifier()(tiles(3))
    assert logits.tile.shape == (3, 7)
    assert logits.cells.shape == (3, 7, 8, 8)


@pytest.mark.parametrize("px", [64, 128])  # one or four patches per cell
def test_every_cell_is_looked_at_in_its_own_place(px: int):
    model = classifier(Places(), px=px, classes=2)
    model.cell_head = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        model.cell_head.weight.copy_(torch.eye(4)[:2])
        cells = model(tiles(1, px)).cells[0]  # row and column of the patches, averaged
    per_cell = px // 64
    centers = torch.arange(8) * per_cell + (per_cell - 1) / 2
    torch.testing.assert_close(cells[0], centers[:, None].expand(8, 8))
    torch.testing.assert_close(cells[1], centers[None, :].expand(8, 8))


def test_the_class_token_decides_the_tile_and_not_the_cells():
    model = classifier()
    hidden = torch.zeros(1, 17, 24)
    model.backbone.forward_features = lambda x: hidden
    with torch.no_grad():
        before = model(tiles(1))
        hidden[:, 0] += 1
        after = model(tiles(1))
    assert not torch.equal(before.tile, after.tile)
    assert torch.equal(before.cells, after.cells)


def test_a_backbone_without_a_class_token_is_averaged():
    model = classifier(Places(), classes=4)
    model.tile_head = nn.Identity()
    with torch.no_grad():
        assert model(tiles(1)).tile[0].tolist() == [3.5, 3.5, 0.0, 1.0]


def test_a_convolutional_backbone_fits_too():
    class Convolution(nn.Module):
        num_features = 6

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 6, 8, stride=8)

        def forward_features(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x)

    with torch.no_grad():
        logits = classifier(Convolution())(tiles())
    assert (logits.tile.shape, logits.cells.shape) == ((2, 7), (2, 7, 8, 8))


def test_the_head_is_that_of_the_paper():
    head = build_head(1024, 7)
    assert [type(layer) for layer in head] == [nn.Linear, nn.ReLU, nn.Linear]
    assert (head[0].in_features, head[0].out_features, head[2].out_features) == (1024, 512, 7)


@settings(max_examples=30)
@given(st.floats(1e-3, 1e3), st.integers(0, 2**32))
def test_p22_the_weighted_loss_does_not_depend_on_the_scale_of_its_weights(scale: float, seed: int):
    """Dividing the paper's class weights by their sum, 5.4, changes nothing."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(20, 7, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 7, (20,), generator=generator)
    weight = torch.tensor([0.2, 1, 1, 1, 1, 1, 0.2], dtype=torch.float64)
    plain = functional.cross_entropy(logits, target, weight)
    scaled = functional.cross_entropy(logits, target, weight * scale)
    torch.testing.assert_close(scaled, plain, atol=1e-10, rtol=0)
