"""Going on from a model that there is: its backbone stays, its heads or adapters learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fddm.core.errors import TrainingError
from napari_fddm.core.provenance import REFINER_FILE
from napari_fddm.models.classifier import TileClassifier
from napari_fddm.models.trainable import trainable_classifier
from napari_fddm.training.loop.identity import digest
from napari_fddm.training.stage1.architectures import Architecture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peft import PeftModel

    from napari_fddm.core.cards import ModelCard
    from napari_fddm.models.bundle import LoadedModel


def architecture_of(card: ModelCard) -> Architecture:
    """Return how a model's backbone is built; the heads alone learn unless asked otherwise."""
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
    """Return a sha256 of all weights that decide a model's features."""
    spec = card.classifier
    files = {name: sha for name, sha in card.files.items() if name != REFINER_FILE}
    return digest([files, spec.backbone_sha256])


def continued(
    base: LoadedModel, classes: Sequence[str], tune: str
) -> tuple[PeftModel | None, TileClassifier]:
    """Return a model's adapters, if they are to be trained, and its classifier.

    Parameters
    ----------
    base : LoadedModel
        The model; with "frozen" its own classifier is returned, and changes.
    classes : sequence of str
        Of the training data.
    tune : {"frozen", "lora"}
        What is trained: the heads, or the adapters too.

    Raises
    ------
    TrainingError
        If the model has other classes, or cannot be trained so.
    """
    if not isinstance(base.classifier, TileClassifier):
        raise TrainingError(
            f"the model {base.card.id!r} segments regions and cannot be gone on from.",
            hint="Take a model that classifies tiles.",
        )
    if base.card.classes != tuple(classes):
        raise TrainingError(
            f"the model {base.card.id!r} has the classes {', '.join(base.card.classes)}, the "
            f"training data {', '.join(classes)}."
        )
    if tune == "full":
        raise TrainingError(
            "--tune full would replace the backbone that --base is there to keep.",
            hint="Use --tune frozen or lora, or begin with --arch and --weights.",
        )
    if tune == "lora":
        trainable = trainable_classifier(base)
        return trainable.adapted, trainable.classifier
    base.classifier.backbone.requires_grad_(requires_grad=False)
    return None, base.classifier
