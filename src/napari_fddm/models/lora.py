"""LoRA adapters on a timm vision transformer, by peft (``docs/algorithm.md#lora``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from torch import nn

    from napari_fddm.core.cards import LoraSettings


def add_lora(backbone: nn.Module, settings: LoraSettings) -> PeftModel:
    """Wrap a backbone with freshly initialized adapters (B = 0); freezes the rest."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=0.0,
        bias="none",
        target_modules=settings.target_modules,
    )
    return cast("PeftModel", get_peft_model(backbone, config))


def lora_state(model: PeftModel) -> dict[str, torch.Tensor]:
    """Return the adapter's tensors alone, named as peft names them."""
    from peft import get_peft_model_state_dict

    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    return {k: v.detach().cpu().contiguous() for k, v in state.items()}


def merge_lora(
    backbone: nn.Module, settings: LoraSettings, state: dict[str, torch.Tensor]
) -> nn.Module:
    """Return the backbone with a trained adapter folded into its weights.

    Raises
    ------
    ValueError
        If the adapter's tensors do not fit the backbone.
    """
    from peft import set_peft_model_state_dict

    model = add_lora(backbone, settings)
    result = set_peft_model_state_dict(model, state)
    missing = [k for k in result.missing_keys if "lora_" in k]
    if result.unexpected_keys or missing:
        raise ValueError(
            f"adapter does not fit: missing {missing[:3]}, unknown {result.unexpected_keys[:3]}"
        )
    return cast("nn.Module", model.merge_and_unload())
