"""Training that starts from an existing model: its heads or adapters are trained further."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fddm.core.errors import TrainingError
from napari_fddm.core.provenance import REFINER_FILE
from napari_fddm.models import TileClassifier
from napari_fddm.models.trainable import trainable_classifier
from napari_fddm.training.loop.identity import digest
from napari_fddm.training.stage1.architectures import Architecture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peft import PeftModel

    from napari_fddm.core.cards import ModelCard
    from napari_fddm.models import LoadedModel


def architecture_of(card: ModelCard) -> Architecture:
    """Return the architecture of a model; by default only its heads are trained."""
    spec = card.classifier
    return Architecture(
        spec.backbone,
        dict(spec.backbone_options),
        input_px=spec.input_px,
        source=spec.backbone_source,
        tune="frozen",
        tree=spec.tree is not None,
        radiomics=spec.radiomics,
        licence=card.licence,
    )


def base_sha256(card: ModelCard) -> str:
    """Return a sha256 of all weights on which a model's features depend."""
    spec = card.classifier
    files = {name: sha for name, sha in card.files.items() if name != REFINER_FILE}
    return digest([files, spec.backbone_sha256])


def continued(
    base: LoadedModel, classes: Sequence[str], tune: str
) -> tuple[PeftModel | None, TileClassifier]:
    """Prepare a model for further training: return its adapters and its classifier.

    Parameters
    ----------
    base : LoadedModel
        The model; with "frozen" its own classifier is returned, and will be changed.
    classes : sequence of str
        Classes of the training data.
    tune : {"frozen", "lora"}
        Train the heads only, or the adapters too.

    Returns
    -------
    adapted : PeftModel or None
        The backbone with the adapters; None if they are not trained.
    classifier : TileClassifier

    Raises
    ------
    TrainingError
        If the model has other classes, or cannot be trained in this way.
    """
    if not isinstance(base.classifier, TileClassifier):
        raise TrainingError(
            f"the model {base.card.id!r} segments regions and cannot be trained further.",
            hint="Choose a model that classifies tiles.",
        )
    if base.card.classes != tuple(classes):
        raise TrainingError(
            f"the model {base.card.id!r} has the classes {', '.join(base.card.classes)}, the "
            f"training data {', '.join(classes)}."
        )
    if tune == "full":
        raise TrainingError(
            "--tune full would replace the backbone, which --base keeps.",
            hint="Use --tune frozen or lora, or start from --arch and --weights.",
        )
    if tune == "lora":
        trainable = trainable_classifier(base)
        return trainable.adapted, trainable.classifier
    base.classifier.backbone.requires_grad_(requires_grad=False)
    return None, base.classifier
