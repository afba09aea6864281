"""Trains the baselines that segment pixels, and writes model folders."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_fddm.core.cards import ClassifierCard, ModelCard, first_line, write_card
from napari_fddm.core.errors import DataError, WeightsError
from napari_fddm.core.tiling import TILE_PX
from napari_fddm.models import choose_device
from napari_fddm.models.bundle import BACKBONE_FILE
from napari_fddm.models.hub import offline
from napari_fddm.models.segmenter import TileSegmenter, build_segmenter
from napari_fddm.models.tensor_files import save_tensors
from napari_fddm.models.weights import sha256_of
from napari_fddm.training.data.augmentation import Augmentation
from napari_fddm.training.data.manifest import SPLITS, SYNTHETIC
from napari_fddm.training.loop import LoopSettings
from napari_fddm.training.loop.identity import digest
from napari_fddm.training.stage1.model_folder import LIMITS, model_id
from napari_fddm.training.stage1.scores import mean_iou
from napari_fddm.training.stage1.tasks import RegionTask
from napari_fddm.training.stage1.work_folder import make_work_folder, train_in_folder

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    import numpy.typing as npt

    from napari_fddm.training.data import Dataset
    from napari_fddm.training.loop.progress import JobProgress

NAMES = {"u-net": ("unet", "resnet34"), "mit-b5": ("segformer", "mit_b5")}
"""Architecture and encoder in the library, by the names of the paper's baselines."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class SegmenterSettings:
    """Settings of a training of a segmenter.

    Attributes
    ----------
    arch, encoder : str
        "u-net", "mit-b5", or an architecture and an encoder of the library.
    allow_download : bool
        Whether weights may be fetched from the hub; otherwise those fetched before are used.
    random_init : bool
        Start with a random encoder instead of one trained on ImageNet.
    loop : LoopSettings
        Steps, learning rate and so on.
    augmentation : Augmentation
        How regions are varied.
    device : str
        See `choose_device`.
    allow_missing : bool
        See `ClassCounts.check`.
    """

    arch: str = "u-net"
    encoder: str | None = None
    random_init: bool = False
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(batch_size=8, lr=1e-4))
    augmentation: Augmentation = field(default_factory=Augmentation)
    device: str = "auto"
    allow_missing: bool = False
    allow_download: bool = False


def train_segmenter(
    dataset: Dataset, out: Path, settings: SegmenterSettings, *, fresh: bool = False
) -> Generator[JobProgress, None, ModelCard]:
    """Train a segmenter and write its model folder; the same call continues after a stop.

    Parameters
    ----------
    dataset : Dataset
        Regions.
    out : Path
        The model folder.
    settings : SegmenterSettings
        Network and training.
    fresh : bool
        Start over.

    Yields
    ------
    JobProgress
        Before the first step and after each one.

    Raises
    ------
    FddmError
        If the data or settings cannot be used, or the library is missing.
    """
    if dataset.settings["kind"] != "regions" or dataset.truth.shape[1] < TILE_PX:
        raise DataError(
            f"a segmenter learns from regions of {TILE_PX} px or more.",
            hint="Make them with `napari-fddm dataset build MANIFEST --kind regions --out DIR`.",
        )
    dataset.counts().check(allow_missing=settings.allow_missing)
    make_work_folder(out, fresh=fresh)
    name, encoder = NAMES.get(settings.arch, (settings.arch, settings.encoder or "resnet34"))
    compute = choose_device(settings.device)
    segmenter = _build(name, encoder, dataset, settings).to(compute.device)
    task = RegionTask(segmenter, dataset, compute, settings.augmentation)
    identity = digest(
        [dataset.fingerprint, name, encoder, settings.random_init, asdict(settings.augmentation)]
    )
    result = yield from train_in_folder(task, settings.loop, compute, out, identity=identity)
    save_tensors(segmenter.network.state_dict(), out / BACKBONE_FILE)
    metrics = {
        s: _scores(task.count(s), dataset) for s in ("val", "test") if _has_samples(dataset, s)
    }
    training = {
        "command": "napari-fddm train segmenter",
        "arch": settings.arch,
        "cut": dataset.settings,
        "loop": asdict(settings.loop),
        "augmentation": asdict(settings.augmentation),
        "random_init": settings.random_init,
        "result": result.to_json(),
    }
    card = _card(out, name, encoder, dataset, training, metrics)
    write_card(card, out)
    return card


def _build(name: str, encoder: str, dataset: Dataset, settings: SegmenterSettings) -> TileSegmenter:
    pretrained = None if settings.random_init else "imagenet"
    with torch.random.fork_rng():
        torch.manual_seed(settings.loop.seed)
        try:
            with nullcontext() if settings.allow_download else offline():
                network = build_segmenter(
                    name, encoder, len(dataset.classes), pretrained=pretrained
                )
        except WeightsError:
            raise
        except Exception as error:  # whatever the hub's client raises
            raise WeightsError(
                f"the ImageNet weights of {encoder} cannot be fetched: {first_line(error)[:200]}",
                hint="Say --allow-download to fetch them, or give --random-init.",
            ) from error
    return TileSegmenter(network, mean=MEAN, std=STD)


def _has_samples(dataset: Dataset, split: str) -> bool:
    return len(dataset.indices(split)) > 0


def _scores(matrix: npt.NDArray[np.int64], dataset: Dataset) -> dict[str, Any]:
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - np.diag(matrix)
    return {
        "mean_iou": round(mean_iou(matrix), 4),
        "iou": {
            n: round(float(matrix[i, i] / union[i]), 4)
            for i, n in enumerate(dataset.classes)
            if union[i]
        },
        "confusion": matrix.tolist(),
        "unit": f"pixels of {dataset.settings['mpp']:g} µm",
    }


def _card(
    out: Path,
    name: str,
    encoder: str,
    dataset: Dataset,
    training: dict[str, Any],
    metrics: dict[str, Any],
) -> ModelCard:
    real = [p for p in dataset.parts if p.split == "train" and not p.image.startswith(SYNTHETIC)]
    cases = {s: len({p.case for p in dataset.parts if p.split == s}) for s in SPLITS}
    classes = {int(v) for v in np.unique(dataset.truth[dataset.indices("train")]) if v}
    seen = tuple(n for i, n in enumerate(dataset.classes, start=1) if i in classes)
    mixed = len(real) < sum(p.split == "train" for p in dataset.parts)
    return ModelCard(
        id=model_id(out, "segmenter"),
        title=f"{name} with {encoder}, trained on {cases['train']} cases",
        analysis_mpp=dataset.settings["mpp"],
        classes=dataset.classes,
        classifier=ClassifierCard(
            backbone=encoder, segmenter=name, input_px=TILE_PX, mean=MEAN, std=STD
        ),
        files={BACKBONE_FILE: sha256_of(out / BACKBONE_FILE)},
        trained_on=f"{len(dataset.indices('train'))} regions of {cases['train']} cases, "
        f"{len({p.case for p in real})} of them real",
        limits=LIMITS,
        licence="encoder: as its source says (MiT weights: not for commercial use); the rest: "
        "whoever owns the slides decides",
        real_tissue=bool(real),
        # Which classes the real slides among synthetic ones have is not counted apart.
        real_classes=None if real and mixed else (seen if real else ()),
        training=training,
        metrics=metrics,
    )
