"""Writes a trained classifier as a model folder: weights and card with metrics."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_fddm.core.cards import ModelCard, real_classes_with, write_card
from napari_fddm.models.bundle import ADAPTER_FILE, BACKBONE_FILE, HEADS_FILE
from napari_fddm.models.hub import BACKBONE_NAME, HubSource, backbones_folder
from napari_fddm.models.lora import lora_state
from napari_fddm.models.tensor_files import save_tensors
from napari_fddm.models.weights import find_file, sha256_of
from napari_fddm.training.data.manifest import SPLITS, SYNTHETIC

if TYPE_CHECKING:
    from pathlib import Path

    from peft import PeftModel

    from napari_fddm.core.cards import ClassifierCard
    from napari_fddm.models import LoadedModel, TileClassifier
    from napari_fddm.training.data import Dataset
    from napari_fddm.training.stage1.architectures import Architecture

LIMITS = (
    "Research use only; never for a diagnosis. Knows the cases it was trained on; what it "
    "reaches on others stands under metrics, next to what color alone reaches."
)


@dataclass(frozen=True, slots=True, eq=False)
class TrainedClassifier:
    """A trained classifier, and what its card says of it.

    Attributes
    ----------
    out : Path
        The folder.
    architecture, arch : Architecture, str
        The network, and the name by which it was requested.
    base : LoadedModel or None
        The model that was trained further.
    spec : ClassifierCard
        How the classifier is built.
    tune : str
        Which part was trained: "lora", "full" or "frozen".
    classifier : TileClassifier
        With its final weights.
    adapted : PeftModel or None
        The backbone with its adapters.
    weights : Path or None
        File with the weights of the backbone.
    backbone_sha256 : str
        Digest of the backbone's tensors before the training.
    dataset : Dataset
        The training data.
    random_init : bool
        Whether the backbone started with random weights.
    """

    out: Path
    architecture: Architecture
    arch: str
    base: LoadedModel | None
    spec: ClassifierCard
    tune: str
    classifier: TileClassifier
    adapted: PeftModel | None
    weights: Path | None
    backbone_sha256: str
    dataset: Dataset
    random_init: bool


def write_model(
    trained: TrainedClassifier, record: dict[str, Any], metrics: dict[str, Any]
) -> ModelCard:
    """Write the weights, then the card, whose presence makes the folder a model."""
    out = trained.out
    written = [HEADS_FILE]
    save_tensors(trained.classifier.head_state(), out / HEADS_FILE)
    if trained.adapted is not None:
        save_tensors(lora_state(trained.adapted), out / ADAPTER_FILE)
        written.append(ADAPTER_FILE)
    spec = trained.spec
    if trained.base is not None:
        written += _copy_rest(trained.base, out, written)
    # A backbone that may not be redistributed is not copied, unless the training changed it
    # or it started with random weights: then there is no other copy.
    elif spec.backbone_source is not None and not trained.random_init and trained.tune != "full":
        spec = spec.model_copy(update={"backbone_sha256": trained.backbone_sha256})
    else:
        spec = spec.model_copy(update={"backbone_source": None})
        _write_backbone(trained, out / BACKBONE_FILE)
        written.append(BACKBONE_FILE)
    card = _card(trained, spec, {n: sha256_of(out / n) for n in written}, record, metrics)
    write_card(card, out)
    return card


def model_id(folder: Path, otherwise: str) -> str:
    """Return the id of the model in a folder: the folder's name in lower case and hyphens.

    Parameters
    ----------
    folder : Path
        The model folder.
    otherwise : str
        The id if the name holds no letter or digit.
    """
    return re.sub(r"[^a-z0-9]+", "-", folder.absolute().name.lower()).strip("-") or otherwise


def backbone_note(card: ModelCard) -> str | None:
    """Return where `run` will look for the backbone; None if the model folder holds it."""
    source = card.classifier.backbone_source
    if source is None:
        return None
    place = backbones_folder() / HubSource.parse(source).repo / BACKBONE_NAME
    if place.is_file():
        return None
    return f"`run` looks for the backbone at {place}, then on the hub ({source})"


def _copy_rest(base: LoadedModel, out: Path, written: list[str]) -> list[str]:
    """Copy the files of a model that were not trained, with its refiner and licenses."""
    names = [name for name in base.card.files if name not in written]
    for name in names:
        shutil.copyfile(find_file(base.folder, name, base.card), out / name)
    for path in base.folder.glob("LICENSE*"):
        shutil.copyfile(path, out / path.name)
    return names


def _write_backbone(trained: TrainedClassifier, path: Path) -> None:
    if trained.weights is not None and trained.tune != "full":
        shutil.copyfile(trained.weights, path)
        return
    save_tensors(_base_state(trained), path)


def _base_state(trained: TrainedClassifier) -> dict[str, Any]:
    """Return the backbone's tensors under timm's names, without adapters."""
    state = trained.classifier.backbone.state_dict()
    return {k.replace(".base_layer.", "."): v for k, v in state.items() if ".lora_" not in k}


def _card(
    trained: TrainedClassifier,
    spec: ClassifierCard,
    files: dict[str, str],
    record: dict[str, Any],
    metrics: dict[str, Any],
) -> ModelCard:
    dataset = trained.dataset
    real = [not p.image.startswith(SYNTHETIC) for p in dataset.parts]
    training = dataset.indices("train")
    pairs = zip(dataset.values[training], dataset.part_of[training], strict=True)
    seen = {int(value) for value, part in pairs if real[part]}
    cases = {s: len({p.case for p in dataset.parts if p.split == s}) for s in SPLITS}
    kind = "real" if all(real) else "synthetic" if not any(real) else "real and synthetic"
    real_classes = tuple(n for i, n in enumerate(dataset.classes, start=1) if i in seen)
    trained_on = (
        f"{len(training)} patches of {cases['train']} {kind} cases; chosen on "
        f"{cases['val']} and tested on {cases['test']} other cases"
    )
    if trained.random_init:
        trained_on += "; the backbone began with random weights"
    licence = f"backbone: {trained.architecture.licence or 'as its source says'}"
    card = ModelCard(
        id=model_id(trained.out, "trained"),
        title=f"{trained.arch}, {trained.tune}, trained on {cases['train']} cases",
        analysis_mpp=dataset.settings["mpp"],
        classes=dataset.classes,
        classifier=spec,
        files=files,
        trained_on=trained_on,
        limits=LIMITS,
        licence=f"{licence}; what was trained: whoever owns the slides decides",
        real_tissue=bool(real_classes),
        real_classes=real_classes,
        training={
            "command": "napari-fddm train classifier",
            "arch": trained.arch,
            "dataset": dataset.fingerprint,
            "cut": dataset.settings,
            "counts": dataset.counts().to_json(),
            **record,
        },
        metrics=metrics,
    )
    return card if trained.base is None else _continued(card, trained.base.card)


def _continued(card: ModelCard, base: ModelCard) -> ModelCard:
    """Add to the card of a model what it has from the model that was trained further."""
    real_classes = real_classes_with(base, card.real_classes or ())
    return card.model_copy(
        update={
            "title": f"{card.title}, from {base.id}",
            "refiner": base.refiner,
            "trained_on": f"{base.trained_on.rstrip('.')}; then {card.trained_on}",
            "licence": f"{base.licence}; what was trained then: whoever owns the slides decides",
            "real_tissue": base.real_tissue or card.real_tissue,
            "real_classes": real_classes,
            "training": {**card.training, "base": base.training},
        }
    )
