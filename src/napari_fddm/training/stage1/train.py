"""Trains a classifier, stage 1, on patches and writes a model folder that `run` can use."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from napari_fddm.core.errors import TrainingError
from napari_fddm.core.outside.files import real_path
from napari_fddm.models import choose_device, load_model
from napari_fddm.models.bundle import build_classifier
from napari_fddm.models.fetching import fetch_needed
from napari_fddm.models.hierarchy import OSTEOSARCOMA_TREE, HierarchicalLoss
from napari_fddm.models.lora import add_lora
from napari_fddm.models.radiomics import compute_radiomics
from napari_fddm.training.data.augmentation import Augmentation
from napari_fddm.training.data.sampling import Sampler
from napari_fddm.training.loop import LoopSettings
from napari_fddm.training.loop.identity import digest
from napari_fddm.training.stage1.architectures import (
    classifier_card,
    find_architecture,
    load_backbone,
)
from napari_fddm.training.stage1.continuing import architecture_of, base_sha256, continued
from napari_fddm.training.stage1.dataset_features import build_features
from napari_fddm.training.stage1.model_folder import TrainedClassifier, write_model
from napari_fddm.training.stage1.tasks import FeatureTask, HeadLoss, PatchTask
from napari_fddm.training.stage1.validation import measure
from napari_fddm.training.stage1.work_folder import make_work_folder, train_in_folder

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from peft import PeftModel

    from napari_fddm.core.cards import ClassifierCard, ModelCard
    from napari_fddm.models import ComputeDevice, LoadedModel, TileClassifier
    from napari_fddm.training.data import Dataset
    from napari_fddm.training.loop.progress import JobProgress
    from napari_fddm.training.loop.training_loop import LoopResult
    from napari_fddm.training.stage1.architectures import Architecture

TUNES = ("lora", "full", "frozen")
LOSSES = ("cross-entropy", "hierarchical")


@dataclass(frozen=True, slots=True)
class Stage1Settings:
    """Settings of a training of stage 1.

    Attributes
    ----------
    arch : str
        See `architectures.find_architecture`.
    tune : str or None
        "lora", "full" or "frozen"; None for the architecture's own.
    loss : str or None
        "cross-entropy" or "hierarchical"; None for the architecture's own.
    base : str or None
        Id or folder of a model to train further instead of ``arch``: its backbone and
        adapters are kept ("frozen"), or its adapters are trained, too ("lora").
    weights : Path or None
        Weights of the backbone; None for the hub.
    allow_download : bool
        Whether weights may be fetched from the hub; otherwise those fetched before are used.
    random_init : bool
        Start with random weights.
    input_px : int or None
        Edge to which tiles are resized.
    radiomics : tuple of {"first_order", "glcm"} or None
        Radiomic features that a gate fuses with those of the backbone, for the class of the
        tile; None for those of the architecture or of ``base``.
    balanced : bool
        Whether classes, and cases within a class, are drawn equally often.
    loop : LoopSettings
        Steps, learning rate and so on.
    augmentation : Augmentation
        How patches are varied; cached features are those of unchanged patches.
    device : str
        See `choose_device`.
    allow_missing : bool
        Train even if a class of the validation or test data is not in the training data.
    """

    arch: str = "vit_small_patch14_dinov2.lvd142m"
    tune: str | None = None
    loss: str | None = None
    base: str | None = None
    weights: Path | None = None
    random_init: bool = False
    input_px: int | None = None
    radiomics: tuple[Literal["first_order", "glcm"], ...] | None = None
    balanced: bool = True
    loop: LoopSettings = field(default_factory=LoopSettings)
    augmentation: Augmentation = field(default_factory=Augmentation)
    device: str = "auto"
    allow_missing: bool = False
    allow_download: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """The network, the loss and the device, before the first step."""

    architecture: Architecture
    tune: str
    loss_name: str
    spec: ClassifierCard
    sha256: str
    classifier: TileClassifier
    adapted: PeftModel | None
    hierarchy: HierarchicalLoss | None
    compute: ComputeDevice
    base: LoadedModel | None


def train_stage1(
    dataset: Dataset,
    out: Path,
    settings: Stage1Settings,
    *,
    fresh: bool = False,
    features: Path | None = None,
) -> Generator[JobProgress, None, ModelCard]:
    """Train a classifier and write its model folder; the same call continues after a stop.

    Parameters
    ----------
    dataset : Dataset
        Patches.
    out : Path
        The model folder.
    settings : Stage1Settings
        Network and training.
    fresh : bool
        Start over.
    features : Path, optional
        Folder for the features of frozen backbones, which trainings with the same images
        can share; by default in the model folder.

    Yields
    ------
    JobProgress
        For each image whose features are computed, and for each step.

    Raises
    ------
    FddmError
        If the data, weights or settings cannot be used.
    """
    ready = _prepare(dataset, settings)
    if ready.base is not None and real_path(ready.base.folder) == real_path(out):
        raise TrainingError(
            f"{out} is the model to train further; it would be overwritten.",
            hint="Give another --out.",
        )
    work = make_work_folder(out, fresh=fresh)
    task = yield from _task(ready, dataset, settings, features or work)
    identity = _identity(dataset, ready, settings)
    result = yield from train_in_folder(task, settings.loop, ready.compute, out, identity=identity)
    ready.classifier.eval()
    trained = TrainedClassifier(
        out=out,
        architecture=ready.architecture,
        arch=settings.arch if ready.base is None else ready.base.card.classifier.backbone,
        base=ready.base,
        spec=ready.spec,
        tune=ready.tune,
        classifier=ready.classifier,
        adapted=ready.adapted,
        weights=settings.weights,
        backbone_sha256=ready.sha256,
        dataset=dataset,
        random_init=settings.random_init,
    )
    record = _record(ready, settings, result)
    return write_model(trained, record, measure(task, dataset))


def _prepare(dataset: Dataset, settings: Stage1Settings) -> _Prepared:
    """Check data and settings, and build the network and the loss."""
    if settings.base is not None and settings.allow_download:
        fetch_needed(settings.base)
    base = None if settings.base is None else load_model(settings.base, settings.device)
    architecture, tune, loss_name = _resolved(settings, base)
    counts = dataset.counts()
    counts.check(allow_missing=settings.allow_missing)
    train = counts.of_split("train").tolist()
    present = tuple(n for n, c in zip(dataset.classes, train, strict=True) if c)
    compute = choose_device(settings.device)
    if base is not None:
        spec, sha256 = base.card.classifier, base_sha256(base.card)
        adapted, classifier = continued(base, dataset.classes, tune)
    else:
        spec = classifier_card(architecture, present, input_px=settings.input_px)
        backbone, sha256 = load_backbone(
            architecture,
            settings.weights,
            random_init=settings.random_init,
            allow_download=settings.allow_download,
            seed=settings.loop.seed,
        )
        adapted, classifier = _new_classifier(backbone, spec, dataset, tune, settings)
    hierarchy = None
    if loss_name == "hierarchical":
        tree = OSTEOSARCOMA_TREE.pruned(present)
        hierarchy = HierarchicalLoss(tree, dataset.classes, train).to(compute.device)
    classifier.to(compute.device)
    return _Prepared(
        architecture, tune, loss_name, spec, sha256, classifier, adapted, hierarchy, compute, base
    )


def _task(
    ready: _Prepared, dataset: Dataset, settings: Stage1Settings, kept: Path
) -> Generator[JobProgress, None, PatchTask | FeatureTask]:
    """Return the task; for a frozen backbone compute the features first."""
    loss = HeadLoss(ready.hierarchy)
    sampler = Sampler.over(
        dataset.indices("train"), dataset.values, dataset.cases, balanced=settings.balanced
    )
    if ready.tune != "frozen":
        return PatchTask(
            ready.classifier,
            loss,
            dataset,
            sampler,
            ready.compute,
            settings.augmentation,
            settings.loop.batch_size,
        )
    decisive = f"{ready.sha256} {ready.spec.input_px} {ready.spec.radiomics}"
    folder = kept / f"features-{hashlib.sha256(decisive.encode()).hexdigest()[:16]}"
    cache = yield from build_features(dataset, ready.classifier, ready.compute, folder)
    return FeatureTask(ready.classifier, loss, dataset, cache, sampler, ready.compute)


def _record(ready: _Prepared, settings: Stage1Settings, result: LoopResult) -> dict[str, Any]:
    """Return what the card says about the training."""
    weights = None
    if ready.hierarchy is not None:
        weights = [round(float(w), 4) for w in ready.hierarchy.weights]
    return {
        "tune": ready.tune,
        "loss": ready.loss_name,
        "balanced": settings.balanced,
        "loop": asdict(settings.loop),
        "augmentation": None if ready.tune == "frozen" else asdict(settings.augmentation),
        "device": ready.compute.title,
        "result": result.to_json(),
        "level_weights": weights,
    }


def _resolved(settings: Stage1Settings, base: LoadedModel | None) -> tuple[Architecture, str, str]:
    if base is not None:
        architecture = architecture_of(base.card)
        if settings.radiomics not in (None, base.card.classifier.radiomics):
            raise TrainingError(
                f"--radiomics cannot differ from that of {settings.base}, whose heads are trained "
                "further.",
                hint="Leave it out, or train without --base.",
            )
    else:
        architecture = find_architecture(settings.arch)
        if settings.radiomics is not None:
            architecture = replace(architecture, radiomics=settings.radiomics)
    tune = settings.tune or architecture.tune
    loss = settings.loss or ("hierarchical" if architecture.tree else "cross-entropy")
    for name, value, allowed in (("--tune", tune, TUNES), ("--loss", loss, LOSSES)):
        if value not in allowed:
            raise TrainingError(f"{name} cannot be {value!r}: it must be {', '.join(allowed)}.")
    if base is None and tune == "lora" and architecture.tune != "lora":
        raise TrainingError(
            f"{settings.arch} has no attention to adapt.", hint="Use --tune full or frozen."
        )
    return architecture, tune, loss


def _new_classifier(
    backbone: torch.nn.Module,
    spec: ClassifierCard,
    dataset: Dataset,
    tune: str,
    settings: Stage1Settings,
) -> tuple[PeftModel | None, TileClassifier]:
    """Add new adapters and heads to a backbone, and freeze what is not trained."""
    with torch.random.fork_rng():
        torch.manual_seed(settings.loop.seed)  # adapters and heads start at random
        adapted = add_lora(backbone, spec.lora) if tune == "lora" else None
        network = backbone if adapted is None else adapted.get_base_model()
        classifier = build_classifier(network, spec, dataset.classes)
    if tune == "frozen":
        network.requires_grad_(requires_grad=False)
    if classifier.fusion is not None:
        classifier.fusion.standardize_by(_radiomics(dataset, spec))
    return adapted, classifier


def _radiomics(dataset: Dataset, spec: ClassifierCard) -> torch.Tensor:
    """Return the radiomics of all training patches, (n, f)."""
    index = dataset.indices("train")
    batches = np.array_split(index, max(1, len(index) // 64))
    return torch.cat(
        [compute_radiomics(torch.from_numpy(dataset.read(b)), spec.radiomics) for b in batches]
    )


def _identity(dataset: Dataset, ready: _Prepared, settings: Stage1Settings) -> str:
    """Return a digest of all that a checkpoint must have in common with this training."""
    decisive = [
        dataset.fingerprint,
        ready.spec.model_dump(mode="json"),
        ready.sha256,
        ready.tune,
        ready.loss_name,
        settings.balanced,
        asdict(settings.augmentation),
    ]
    return digest(decisive)
