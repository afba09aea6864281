"""``napari-fddm train classifier``: from patches to a model folder that `run` can use."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_fddm.core.errors import TrainingError
from napari_fddm.models.bundle import build_classifier
from napari_fddm.models.device import choose_device
from napari_fddm.models.hierarchy import OSTEOSARCOMA_TREE, HierarchicalLoss
from napari_fddm.models.lora import add_lora
from napari_fddm.models.radiomics import compute_radiomics
from napari_fddm.training.architectures import classifier_card, find_architecture, load_backbone
from napari_fddm.training.augmentation import Augmentation
from napari_fddm.training.features import build_features
from napari_fddm.training.loop import LoopSettings, run_loop
from napari_fddm.training.model_folder import Trained, write_model
from napari_fddm.training.sampling import Sampler
from napari_fddm.training.step_log import RunLog
from napari_fddm.training.tasks import FeatureTask, HeadLoss, PatchTask
from napari_fddm.training.validation import measure

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from peft import PeftModel

    from napari_fddm.core.cards import ClassifierCard, ModelCard
    from napari_fddm.models.classifier import TileClassifier
    from napari_fddm.training.architectures import Architecture
    from napari_fddm.training.datasets import Dataset, Progress

WORK = "work"
"""Folder in the model's with what only the training needs; may be deleted afterwards."""
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
    weights : Path or None
        Backbone; None for the hub.
    random_init : bool
        No weights at all.
    input_px : int or None
        Edge to which tiles are resized.
    balanced : bool
        Whether classes, and cases within a class, count alike.
    loop : LoopSettings
        Steps, learning rate …
    augmentation : Augmentation
        How patches are varied; cached features are of patches as they are.
    device : str
        See `choose_device`.
    allow_missing : bool
        Train although a class of validation or test is not in the training data.
    """

    arch: str = "vit_small_patch14_dinov2.lvd142m"
    tune: str | None = None
    loss: str | None = None
    weights: Path | None = None
    random_init: bool = False
    input_px: int | None = None
    balanced: bool = True
    loop: LoopSettings = field(default_factory=LoopSettings)
    augmentation: Augmentation = field(default_factory=Augmentation)
    device: str = "auto"
    allow_missing: bool = False


def train_stage1(
    dataset: Dataset, out: Path, settings: Stage1Settings, *, fresh: bool = False
) -> Generator[Progress, None, ModelCard]:
    """Train a classifier and write its folder; stopped at any moment, the same call goes on.

    Raises
    ------
    FddmError
        If data, weights or settings do not suit.
    """
    architecture, tune, loss_name = _resolved(settings)
    counts = dataset.counts()
    counts.check(allow_missing=settings.allow_missing)
    present = tuple(n for n, c in zip(dataset.classes, counts.of_split("train"), strict=True) if c)
    work = out / WORK
    work.mkdir(parents=True, exist_ok=True)
    checkpoint = work / "checkpoint.pt"
    if fresh:
        checkpoint.unlink(missing_ok=True)  # patches and features stay true
    compute = choose_device(settings.device)
    spec = classifier_card(architecture, present, input_px=settings.input_px)
    backbone, sha256 = load_backbone(
        architecture,
        settings.weights,
        random_init=settings.random_init,
        seed=settings.loop.seed,
    )
    adapted, classifier = _trainees(backbone, spec, dataset, tune, settings)
    classifier.to(compute.device)
    hierarchy = None
    if loss_name == "hierarchical":
        tree = OSTEOSARCOMA_TREE.pruned(present)
        hierarchy = HierarchicalLoss(tree, dataset.classes, counts.of_split("train").tolist())
    loss = HeadLoss(hierarchy).to(compute.device)
    sampler = Sampler.over(
        dataset.indices("train"), dataset.values, dataset.cases, balanced=settings.balanced
    )
    task: PatchTask | FeatureTask
    if tune == "frozen":
        key = hashlib.sha256(f"{sha256} {spec.input_px} {spec.radiomics}".encode()).hexdigest()
        cache = yield from build_features(
            dataset, classifier, compute, work / f"features-{key[:16]}"
        )
        task = FeatureTask(classifier, loss, dataset, cache, sampler, compute)
    else:
        task = PatchTask(
            classifier,
            loss,
            dataset,
            sampler,
            compute,
            settings.augmentation,
            settings.loop.batch_size,
        )
    log = RunLog(out / "train.jsonl")
    about = _identity(dataset, spec, sha256, tune, loss_name, settings)
    result = yield from run_loop(task, settings.loop, compute, checkpoint, log, identity=about)
    classifier.eval()
    trained = Trained(
        out=out,
        architecture=architecture,
        arch=settings.arch,
        spec=spec,
        tune=tune,
        classifier=classifier,
        adapted=adapted,
        weights=settings.weights,
        backbone_sha256=sha256,
        dataset=dataset,
        random_init=settings.random_init,
    )
    record = {
        "tune": tune,
        "loss": loss_name,
        "balanced": settings.balanced,
        "loop": asdict(settings.loop),
        "augmentation": None if tune == "frozen" else asdict(settings.augmentation),
        "device": compute.title,
        "result": asdict(result),
        "level_weights": _rounded(hierarchy.weights) if hierarchy is not None else None,
    }
    return write_model(trained, record, measure(task, dataset, compute))


def _resolved(settings: Stage1Settings) -> tuple[Architecture, str, str]:
    architecture = find_architecture(settings.arch)
    tune = settings.tune or architecture.tune
    loss = settings.loss or ("hierarchical" if architecture.tree else "cross-entropy")
    for name, value, allowed in (("--tune", tune, TUNES), ("--loss", loss, LOSSES)):
        if value not in allowed:
            raise TrainingError(f"{name} cannot be {value!r}: it must be {', '.join(allowed)}.")
    if tune == "lora" and architecture.tune != "lora":
        raise TrainingError(
            f"{settings.arch} has no attention to adapt.", hint="Use --tune full or frozen."
        )
    return architecture, tune, loss


def _trainees(
    backbone: torch.nn.Module,
    spec: ClassifierCard,
    dataset: Dataset,
    tune: str,
    settings: Stage1Settings,
) -> tuple[PeftModel | None, TileClassifier]:
    """Put fresh adapters and heads on a backbone, and say what of it is trained."""
    with torch.random.fork_rng():
        torch.manual_seed(settings.loop.seed)  # of adapters and heads
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


def _identity(
    dataset: Dataset,
    spec: ClassifierCard,
    sha256: str,
    tune: str,
    loss: str,
    settings: Stage1Settings,
) -> str:
    said = [
        dataset.fingerprint,
        spec.model_dump(mode="json"),
        sha256,
        tune,
        loss,
        settings.balanced,
        asdict(settings.augmentation),
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _rounded(values: torch.Tensor) -> list[float]:
    return [round(float(v), 4) for v in values]
