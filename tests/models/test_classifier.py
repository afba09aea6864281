"""Stage 1's network: what goes in, what comes out, and what its loss does not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from napari_fddm.core.errors import WeightsError
from napari_fddm.models import TileClassifier
from napari_fddm.models.classifier import build_backbone, build_head, cell_means, feature_grid
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

    def forward_head(self, features: torch.Tensor, *, pre_logits: bool) -> torch.Tensor:
        assert pre_logits
        return features.mean(dim=1)


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


ANY_BACKBONE = {  # name → (input px, options): tokens, registers, NHWC, NCHW, wider heads
    "class token": ("vit_tiny_patch16_224", 64, {"depth": 1, "dynamic_img_size": True}),
    "registers": ("vit_small_patch14_reg4_dinov2", 56, {"depth": 1, "img_size": 56}),
    "registers, averaged": ("vit_wee_patch16_reg1_gap_256", 256, {"depth": 1}),
    "attention pooling": ("vit_base_patch16_siglip_224", 224, {"depth": 1}),
    "channels last": ("swin_tiny_patch4_window7_224", 224, {"depths": (1, 1, 1, 1)}),
    "residual": ("resnet18", 96, {}),
    "efficient": ("efficientnet_b0", 64, {}),
    "wider head": ("mobilenetv3_small_050", 64, {}),
}


@pytest.mark.parametrize("kind", ANY_BACKBONE)
def test_any_vit_or_cnn_of_timm_is_a_backbone(kind: str):
    name, px, options = ANY_BACKBONE[kind]
    with torch.device("meta"):  # the shapes are at stake, not the numbers
        backbone = build_backbone(name, **options)
        model = classifier(backbone, px=px)
    with torch.no_grad():
        logits = model(torch.zeros((2, 256, 256, 3), dtype=torch.uint8, device="meta"))
    assert (logits.tile.shape, logits.cells.shape) == ((2, 7), (2, 7, 8, 8))


@pytest.mark.parametrize(
    ("name", "px", "options", "prefix"),
    [
        ("vit_tiny_patch16_224", 64, {"img_size": 64}, 1),
        ("vit_small_patch14_reg4_dinov2", 56, {"img_size": 56}, 5),
        ("vit_wee_patch16_reg1_gap_256", 64, {"img_size": 64}, 1),
        ("deit_tiny_distilled_patch16_224", 64, {"img_size": 64}, 2),
    ],
)
def test_cells_see_patches_and_never_class_or_register_tokens(
    name: str, px: int, options: dict[str, int], prefix: int
):
    model = classifier(build_backbone(name, depth=1, **options), px=px)
    features = model.backbone.forward_features(model.preprocess(tiles(1))).detach()
    side = round((features.shape[1] - prefix) ** 0.5)
    grid = feature_grid(model.backbone, features)
    assert grid.shape == (1, features.shape[2], side, side)
    torch.testing.assert_close(grid[0, :, 1, 0], features[0, prefix + side])
    other = features.clone()
    other[:, :prefix] += 1
    assert torch.equal(feature_grid(model.backbone, other), grid)


def test_the_tile_is_pooled_as_timm_pools():
    """A register token of an averaging network stands where others have the class token."""
    backbone = build_backbone("vit_wee_patch16_reg1_gap_256", depth=1, img_size=64)
    model = classifier(backbone)
    model.tile_head = nn.Identity()
    with torch.no_grad():
        features = model.backbone.forward_features(model.preprocess(tiles(1)))
        expected = model.backbone.fc_norm(features[:, 1:].mean(dim=1))
        torch.testing.assert_close(model(tiles(1)).tile, expected)
        assert not torch.allclose(expected, features[:, 0], atol=0.01)


def test_channels_last_features_keep_rows_and_columns():
    backbone = build_backbone("swin_tiny_patch4_window7_224", depths=(1, 1, 1, 1))
    features = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).float()
    assert torch.equal(feature_grid(backbone, features), features.permute(0, 3, 1, 2))
    conv = build_backbone("resnet18")
    assert feature_grid(conv, features) is features


@pytest.mark.parametrize("side", [5, 7, 8, 14, 16, 18])
def test_cells_average_the_area_they_cover(side: int):
    grid = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(side))
    fine = grid.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)  # 8·g divides by both
    expected = functional.avg_pool2d(fine, side)
    torch.testing.assert_close(cell_means(grid), expected, atol=1e-5, rtol=0)
    constant = torch.full((1, 1, side, side), 0.37)
    torch.testing.assert_close(cell_means(constant), torch.full((1, 1, 8, 8), 0.37))


@pytest.mark.parametrize(
    ("name", "px", "options", "hint"),
    [
        ("vit_tiny_patch16_224", 100, {"dynamic_img_size": True}, "96 or 112"),
        ("vit_tiny_patch16_224", 256, {}, "224"),
        ("vit_small_patch14_reg4_dinov2", 256, {"dynamic_img_size": True}, "252 or 266"),
        ("swin_tiny_patch4_window7_224", 256, {}, "224"),
    ],
)
def test_a_size_that_the_patches_cannot_tile_is_refused(
    name: str, px: int, options: dict[str, bool], hint: str
):
    with torch.device("meta"):
        backbone = build_backbone(name, **options)
        with pytest.raises(WeightsError, match=f"input_px is {px}") as caught:
            classifier(backbone, px=px)
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(1, 12, 4), (1, 0, 4), (1, 4)])
def test_features_without_a_square_grid_are_refused(shape: tuple[int, ...]):
    with pytest.raises(WeightsError, match="no square grid"):
        feature_grid(nn.Identity(), torch.zeros(shape))


def test_weights_for_224_px_take_tiles_of_256_px():
    """FDDM feeds 256 px to a network whose position embedding is for 224."""
    small = build_backbone("vit_tiny_patch16_224", depth=1, dynamic_img_size=True)
    for px in (224, 256):
        model = classifier(small, px=px)
        with torch.no_grad():
            assert model(tiles(1, 256)).tile.shape == (1, 7)
    fixed = build_backbone("vit_tiny_patch16_224", depth=1, img_size=256)
    with pytest.raises(RuntimeError, match="size mismatch"):
        fixed.load_state_dict(small.state_dict())


def test_a_backbone_without_a_class_token_is_averaged():
    model = classifier(Places(), classes=4)
    model.tile_head = nn.Identity()
    with torch.no_grad():
        assert model(tiles(1)).tile[0].tolist() == [3.5, 3.5, 0.0, 1.0]


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
