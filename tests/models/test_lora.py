"""Adapters sit on the attention projections alone, start as nothing, and fold away (P18–P21)."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn

from napari_fddm.core.cards import LoraSettings
from napari_fddm.models import TileClassifier
from napari_fddm.models.classifier import build_backbone, build_head
from napari_fddm.models.lora import add_lora, lora_state, merge_lora
from tests.support.models import TINY


def tiny_backbone(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_backbone(TINY.backbone, **TINY.backbone_options).eval()


def filled(model: nn.Module, std: float = 0.05) -> None:
    """Give every adapter an update that is not nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter, std=std)


def adapters(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, LoraLayer)]


def trainable(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def pictures(n: int = 2) -> torch.Tensor:
    return torch.randn(n, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def uni_on_paper() -> nn.Module:
    """Build UNI's ViT-L/16 without memory for its 303 million numbers."""
    with torch.device("meta"):
        return build_backbone("vit_large_patch16_224", init_values=1e-5, dynamic_img_size=True)


def test_p18_the_adapter_of_the_paper_has_48_modules_and_its_parameters():
    backbone = uni_on_paper()
    assert sum(p.numel() for p in backbone.parameters()) == 303_350_784
    model = add_lora(backbone, LoraSettings())
    found = adapters(model)
    assert len(found) == 48
    assert all(name.endswith((".attn.qkv", ".attn.proj")) for name in found)
    assert trainable(model) == 2_359_296
    assert trainable(build_head(1024, 7)) == 528_391


def test_p18_a_list_of_names_would_catch_the_patch_embedding():
    """Why the modules are given as one expression: peft matches a list by its endings."""
    model = get_peft_model(uni_on_paper(), LoraConfig(r=16, target_modules=["qkv", "proj"]))
    assert len(adapters(model)) == 49
    assert any("patch_embed.proj" in name for name in adapters(model))
    assert trainable(model) == 2_387_968


def test_p18_the_update_is_scaled_by_alpha_over_r():
    model = add_lora(tiny_backbone(), LoraSettings())
    scales = {s for m in model.modules() if isinstance(m, LoraLayer) for s in m.scaling.values()}
    assert scales == {2.0}


def test_p19_a_fresh_adapter_changes_nothing():
    backbone = tiny_backbone()
    with torch.no_grad():
        before = backbone.forward_features(pictures())
        model = add_lora(backbone, TINY.lora).eval()
        after = model.get_base_model().forward_features(pictures())
    assert len(adapters(model)) == 2 * TINY.backbone_options["depth"]
    assert torch.equal(before, after)


def test_p20_merged_equals_unmerged():
    model = add_lora(tiny_backbone(), TINY.lora).eval()
    filled(model)
    plain = tiny_backbone()
    merged = merge_lora(tiny_backbone(), TINY.lora, lora_state(model)).eval()
    with torch.no_grad():
        expected = model.get_base_model().forward_features(pictures())
        found = merged.forward_features(pictures())
        without = plain.forward_features(pictures())
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert (expected - without).abs().max() > 0.01
    assert adapters(merged) == []
    assert set(merged.state_dict()) == set(plain.state_dict())


def test_p20_merging_twice_is_not_merging_once():
    """Saving a merged model as if it were the base doubles the update: a known trap."""
    model = add_lora(tiny_backbone(), TINY.lora)
    filled(model)
    state = lora_state(model)
    once = merge_lora(tiny_backbone(), TINY.lora, state)
    twice = merge_lora(merge_lora(tiny_backbone(), TINY.lora, state), TINY.lora, state)
    key = "blocks.0.attn.qkv.weight"
    base, one, two = (m.state_dict()[key] for m in (tiny_backbone(), once, twice))
    torch.testing.assert_close(two - base, 2 * (one - base), atol=1e-6, rtol=0)


def test_p21_a_step_changes_adapters_and_heads_only():
    adapted = add_lora(tiny_backbone(), TINY.lora)
    filled(adapted)  # with B = 0 the gradient of A would be 0
    model = TileClassifier(
        adapted.get_base_model(), 7, input_px=TINY.input_px, mean=TINY.mean, std=TINY.std
    )
    before = {k: v.clone() for k, v in model.state_dict().items()}
    tiles = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-2)
    logits = model(tiles)
    (logits.tile.square().sum() + logits.cells.square().sum()).backward()
    optimizer.step()
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    may_change = {k for k in before if "lora_" in k or k.startswith(("tile_head", "cell_head"))}
    assert changed == may_change


def test_only_the_adapter_is_saved():
    state = lora_state(add_lora(tiny_backbone(), TINY.lora))
    assert state
    assert all("lora_" in name for name in state)
    assert all(t.is_contiguous() for t in state.values())


@pytest.mark.parametrize("fault", ["missing", "renamed", "empty"])
def test_an_adapter_of_another_network_is_refused(fault: str):
    state = lora_state(add_lora(tiny_backbone(), TINY.lora))
    if fault == "missing":
        state.pop(next(iter(state)))
    elif fault == "renamed":
        state = {k.replace("blocks.0", "blocks.9"): v for k, v in state.items()}
    else:
        state = {}
    with pytest.raises(ValueError, match="adapter does not fit"):
        merge_lora(tiny_backbone(), TINY.lora, state)
