"""A loaded model's classifier with its LoRA adapters unmerged, so that they can be trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from napari_fddm.core.errors import WeightsError
from napari_fddm.models.bundle import ADAPTER_FILE, MISFIT, build_classifier
from napari_fddm.models.lora import add_lora
from napari_fddm.models.weights import load_tensors

if TYPE_CHECKING:
    from peft import PeftModel

    from napari_fddm.models.bundle import LoadedModel
    from napari_fddm.models.classifier import TileClassifier


class Trainable(NamedTuple):
    """A classifier whose adapters and heads require gradients.

    Attributes
    ----------
    classifier : TileClassifier
        In float32, on the model's device; answers as the loaded model does.
    adapted : PeftModel
        Its backbone, for `lora_state`.
    """

    classifier: TileClassifier
    adapted: PeftModel


def trainable_classifier(model: LoadedModel) -> Trainable:
    """Build it anew from the model's files; the loaded model stays as it is.

    A model without adapters gets fresh ones, which change nothing yet (B = 0).

    Raises
    ------
    WeightsError
        If the backbone has no attention projections to adapt, or a file does not fit.
    """
    from peft import set_peft_model_state_dict

    spec = model.card.classifier
    try:
        adapted = add_lora(model.load_backbone(), spec.lora)
    except ValueError as error:
        raise WeightsError(
            f"the backbone of {model.card.id!r} cannot be given LoRA adapters: {error}",
            hint="Learn without --lora: the heads alone are retrained then.",
        ) from error
    if ADAPTER_FILE in model.card.files:
        result = set_peft_model_state_dict(
            adapted, load_tensors(model.folder, ADAPTER_FILE, model.card)
        )
        if result.unexpected_keys:
            raise WeightsError(f"{model.folder / ADAPTER_FILE} {MISFIT}.")
    classifier = build_classifier(adapted.get_base_model(), spec, model.card.classes)
    for name in ("tile_head", "cell_head"):
        state = getattr(model.classifier, name).state_dict()
        getattr(classifier, name).load_state_dict(state)
    return Trainable(classifier.to(model.compute.device).float(), adapted)
