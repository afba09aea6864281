"""``napari-fddm train segmenter``: the baselines that answer for every pixel of a region."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_fddm.core.cards import ClassifierCard, ModelCard, first_line, write_card
from napari_fddm.core.errors import DataError, WeightsError
from napari_fddm.core.tiling import TILE_PX
from napari_fddm.diffusion.losses import segmentation_loss
from napari_fddm.models.bundle import BACKBONE_FILE
from napari_fddm.models.device import choose_device
from napari_fddm.models.segmenter import TileSegmenter, build_segmenter
from napari_fddm.models.tensor_files import save_tensors
from napari_fddm.models.weights import sha256_of
from napari_fddm.training.data.augmentation import Augmentation, augment
from napari_fddm.training.data.manifest import SPLITS, SYNTHETIC
from napari_fddm.training.data.sampling import Sampler
from napari_fddm.training.loop.run_log import RunLog
from napari_fddm.training.loop.settings import LoopSettings
from napari_fddm.training.loop.training_loop import run_loop
from napari_fddm.training.stage1.model_folder import LIMITS
from napari_fddm.training.stage1.scores import confusion, mean_iou

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    import numpy.typing as npt

    from napari_fddm.models.device import ComputeDevice
    from napari_fddm.training.data.datasets import Dataset
    from napari_fddm.training.loop.progress import JobProgress

NAMES = {"u-net": ("unet", "resnet34"), "mit-b5": ("segformer", "mit_b5")}
"""The paper's names of its baselines."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class SegmenterSettings:
    """Settings of a training of a segmenter.

    Attributes
    ----------
    arch, encoder : str
        "u-net", "mit-b5", or an architecture and an encoder of the library.
    random_init : bool
        A random encoder instead of one trained on ImageNet.
    loop : LoopSettings
        Steps, learning rate …
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


class RegionTask:
    """Trains a segmenter on windows of regions, of the size of the pipeline's tiles."""

    def __init__(
        self,
        segmenter: TileSegmenter,
        dataset: Dataset,
        compute: ComputeDevice,
        augmentation: Augmentation,
    ) -> None:
        self.module: TileSegmenter = segmenter
        self._dataset = dataset
        self._compute = compute
        self._augmentation = augmentation
        self._sampler = Sampler.over(
            dataset.indices("train"), dataset.values, dataset.cases, balanced=True
        )

    def loss(self, rng: np.random.Generator, batch_size: int) -> torch.Tensor:
        """See `training_loop.Task`."""
        index = self._sampler.draw(rng, batch_size)
        pixels, truth = self._dataset.read(index), self._dataset.truth[index]
        most = truth.shape[1] - TILE_PX
        corners = rng.integers(0, most + 1, (batch_size, 2))
        windows = [(slice(y, y + TILE_PX), slice(x, x + TILE_PX)) for y, x in corners]
        pixels = np.stack([p[w] for p, w in zip(pixels, windows, strict=True)])
        truth = np.stack([t[w] for t, w in zip(truth, windows, strict=True)])
        device = self._compute.device
        images, labels = augment(
            torch.from_numpy(pixels).to(device),
            torch.from_numpy(truth.astype(np.int64)).to(device),
            rng,
            self._augmentation,
        )
        return segmentation_loss(self.module.pixels(images).float(), labels - 1)

    def after_step(self) -> None:
        """Nothing has to follow."""

    def score(self) -> float | None:
        """Return the mean IoU over the classes of the validation's pixels."""
        matrix = self.count("val")
        return mean_iou(matrix) if matrix.any() else None

    def count(self, split: str) -> npt.NDArray[np.int64]:
        """Return the confusion of all labeled pixels of a split, int64 (classes, classes)."""
        n = len(self._dataset.classes)
        matrix = np.zeros((n, n), np.int64)
        for index in self._dataset.indices(split):
            pixels, truth = self._dataset.read([index])[0], self._dataset.truth[index]
            for y, x in np.ndindex(*(s // TILE_PX for s in truth.shape)):
                part = (
                    slice(y * TILE_PX, (y + 1) * TILE_PX),
                    slice(x * TILE_PX, (x + 1) * TILE_PX),
                )
                batch = torch.from_numpy(pixels[part][None]).to(self._compute.device)
                with torch.inference_mode(), self._compute.autocast():
                    said = self.module.pixels(batch)[0].argmax(dim=0).cpu().numpy()
                known = truth[part] > 0
                matrix += confusion(truth[part][known] - 1, said[known], n)
        return matrix


def train_segmenter(
    dataset: Dataset, out: Path, settings: SegmenterSettings, *, fresh: bool = False
) -> Generator[JobProgress, None, ModelCard]:
    """Train a segmenter and write its folder; stopped at any moment, the same call goes on.

    Raises
    ------
    FddmError
        If data, library or settings do not suit.
    """
    if dataset.settings["kind"] != "regions" or dataset.truth.shape[1] < TILE_PX:
        raise DataError(
            f"a segmenter learns from regions of {TILE_PX} px or more.",
            hint="Make them with `napari-fddm dataset build MANIFEST --kind regions --out DIR`.",
        )
    dataset.counts().check(allow_missing=settings.allow_missing)
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    checkpoint = work / "checkpoint.pt"
    if fresh:
        checkpoint.unlink(missing_ok=True)
    name, encoder = NAMES.get(settings.arch, (settings.arch, settings.encoder or "resnet34"))
    compute = choose_device(settings.device)
    segmenter = _build(name, encoder, dataset, settings).to(compute.device)
    task = RegionTask(segmenter, dataset, compute, settings.augmentation)
    said = [dataset.fingerprint, name, encoder, settings.random_init, asdict(settings.augmentation)]
    result = yield from run_loop(
        task,
        settings.loop,
        compute,
        checkpoint,
        RunLog(out / "train.jsonl"),
        identity=hashlib.sha256(json.dumps(said).encode()).hexdigest(),
    )
    save_tensors(segmenter.network.state_dict(), out / BACKBONE_FILE)
    metrics = {s: _scores(task.count(s), dataset) for s in ("val", "test") if _has(dataset, s)}
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
            network = build_segmenter(name, encoder, len(dataset.classes), pretrained=pretrained)
        except WeightsError:
            raise
        except Exception as error:  # whatever the hub's client raises
            raise WeightsError(
                f"the ImageNet weights of {encoder} cannot be fetched: {first_line(error)[:200]}",
                hint="Connect once, or say --random-init.",
            ) from error
    return TileSegmenter(network, mean=MEAN, std=STD)


def _has(dataset: Dataset, split: str) -> bool:
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
    slug = re.sub(r"[^a-z0-9]+", "-", out.absolute().name.lower()).strip("-")
    return ModelCard(
        id=slug or "segmenter",
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
