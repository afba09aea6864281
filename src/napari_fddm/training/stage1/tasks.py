"""What the networks of stage 1 are trained on: patches, features of patches, or regions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from napari_fddm.core.tiling import TILE_PX
from napari_fddm.diffusion.losses import segmentation_loss
from napari_fddm.models.classifier import TileFeatures
from napari_fddm.training.data.augmentation import Augmentation, augment
from napari_fddm.training.data.sampling import Sampler
from napari_fddm.training.stage1.dataset_features import compute_features
from napari_fddm.training.stage1.scores import balanced_accuracy, confusion, mean_iou

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.models import ComputeDevice, TileClassifier
    from napari_fddm.models.classifier import TileLogits
    from napari_fddm.models.hierarchy import HierarchicalLoss
    from napari_fddm.models.segmenter import TileSegmenter
    from napari_fddm.training.data import Dataset
    from napari_fddm.training.stage1.dataset_features import DatasetFeatures

    Indices = npt.NDArray[np.int64]

FEATURES_BATCH = 256
"""Cached features that are classified at once."""
PIXELS_BATCH = 16
"""Patches whose features are computed at once."""


class HeadLoss(nn.Module):
    """Sum of the losses of the tile head and of the cell head.

    Cells without a label have no loss.

    Parameters
    ----------
    hierarchy : HierarchicalLoss or None
        Loss of the tile head; None for cross-entropy.
    """

    def __init__(self, hierarchy: HierarchicalLoss | None) -> None:
        super().__init__()
        self.hierarchy = hierarchy

    def forward(
        self, logits: TileLogits, values: torch.Tensor, cells: torch.Tensor
    ) -> torch.Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        logits : TileLogits
            Output of the network.
        values : tensor of int64, shape (n,)
            Label values of the tiles.
        cells : tensor of int64, shape (n, 8, 8)
            Label values of the cells, 0 unknown.
        """
        channels = values - 1
        tile = logits.tile.float()
        if self.hierarchy is not None:
            of_tile = self.hierarchy(torch.log_softmax(tile, dim=1), channels)
        else:
            of_tile = functional.cross_entropy(tile, channels)
        of_cells = segmentation_loss(logits.cells.float(), cells - 1)
        return torch.as_tensor(of_tile + of_cells)


class _WithLoss(nn.Module):
    """A network and its loss, whose weights are trained together."""

    def __init__(self, network: nn.Module, loss: HeadLoss) -> None:
        super().__init__()
        self.network = network
        self.loss = loss


class _ClassifierTask(ABC):
    """What `PatchTask` and `FeatureTask` have in common."""

    def __init__(
        self,
        classifier: TileClassifier,
        trained: nn.Module,
        loss: HeadLoss,
        dataset: Dataset,
        sampler: Sampler,
        compute: ComputeDevice,
        batch_size: int,
    ) -> None:
        self.classifier = classifier
        self.module: nn.Module = _WithLoss(trained, loss)
        self._loss = loss
        self._dataset = dataset
        self._sampler = sampler
        self._compute = compute
        self._batch_size = batch_size
        self._validation = dataset.indices("val")

    def after_step(self) -> None:
        """See `training_loop.Task`."""
        if self._loss.hierarchy is not None:
            self._loss.hierarchy.clamp_()

    def score(self) -> float | None:
        """Return the balanced accuracy on validation patches; None if there are none."""
        index = self._validation
        if not len(index):
            return None
        truth = self._dataset.values[index].astype(np.int64) - 1
        matrix = confusion(truth, self.predict(index), len(self._dataset.classes))
        return balanced_accuracy(matrix)

    def predict(self, indices: Indices) -> Indices:
        """Return the most probable channel of some patches."""
        found = []
        for start in range(0, len(indices), self._batch_size):
            with torch.inference_mode(), self._compute.autocast():
                logits = self._classify(indices[start : start + self._batch_size])
            found.append(logits.tile.float().argmax(dim=1).cpu().numpy())
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    @abstractmethod
    def _classify(self, indices: Indices) -> TileLogits:
        """Return the network's output for some patches."""

    def _labels(self, indices: Indices) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the label values of some patches (n,) and of their cells (n, 8, 8)."""
        values, cells = (
            torch.from_numpy(labels[indices].astype(np.int64)).to(self._compute.device)
            for labels in (self._dataset.values, self._dataset.truth)
        )
        return values, cells


class PatchTask(_ClassifierTask):
    """Trains a classifier, its adapters or all of it, on the pixels of patches.

    Parameters
    ----------
    classifier : TileClassifier
        On its device.
    loss : HeadLoss
        On the same device.
    dataset : Dataset
        Patches.
    sampler : Sampler
        Draws training samples.
    compute : ComputeDevice
        Device and precision.
    augmentation : Augmentation
        How patches are varied.
    batch_size : int
        Patches that are classified at once in a validation.
    """

    def __init__(
        self,
        classifier: TileClassifier,
        loss: HeadLoss,
        dataset: Dataset,
        sampler: Sampler,
        compute: ComputeDevice,
        augmentation: Augmentation,
        batch_size: int,
    ) -> None:
        super().__init__(classifier, classifier, loss, dataset, sampler, compute, batch_size)
        self._augmentation = augmentation

    def loss(self, rng: np.random.Generator, batch_size: int) -> torch.Tensor:
        """See `training_loop.Task`."""
        index = self._sampler.draw(rng, batch_size)
        values, cells = self._labels(index)
        pixels, cells = augment(self._pixels(index), cells, rng, self._augmentation)
        return torch.as_tensor(self._loss(self.classifier(pixels), values, cells))

    def features(self, indices: Indices) -> TileFeatures:
        """Return the features of some patches, on the device."""
        made = compute_features(
            self._dataset, indices, self.classifier, self._compute, PIXELS_BATCH
        )
        device, radiomics = self._compute.device, made.radiomics
        return TileFeatures(
            made.pooled.to(device),
            made.cells.to(device),
            None if radiomics is None else radiomics.to(device),
        )

    def _classify(self, indices: Indices) -> TileLogits:
        logits: TileLogits = self.classifier(self._pixels(indices))
        return logits

    def _pixels(self, indices: Indices) -> torch.Tensor:
        return torch.from_numpy(self._dataset.read(indices)).to(self._compute.device)


class FeatureTask(_ClassifierTask):
    """Trains the heads alone, on features that were computed once.

    Parameters
    ----------
    classifier : TileClassifier
        Its backbone is not called.
    loss : HeadLoss
        On the same device.
    dataset : Dataset
        Patches.
    cache : DatasetFeatures
        Their features.
    sampler : Sampler
        Draws training samples.
    compute : ComputeDevice
        Device and precision.
    """

    def __init__(
        self,
        classifier: TileClassifier,
        loss: HeadLoss,
        dataset: Dataset,
        cache: DatasetFeatures,
        sampler: Sampler,
        compute: ComputeDevice,
    ) -> None:
        heads = nn.ModuleDict({n: getattr(classifier, n) for n in classifier.head_names})
        super().__init__(classifier, heads, loss, dataset, sampler, compute, FEATURES_BATCH)
        self._cache = cache

    def loss(self, rng: np.random.Generator, batch_size: int) -> torch.Tensor:
        """See `training_loop.Task`."""
        index = self._sampler.draw(rng, batch_size)
        values, cells = self._labels(index)
        return torch.as_tensor(self._loss(self._classify(index), values, cells))

    def features(self, indices: Indices) -> TileFeatures:
        """Return the cached features of some patches, on the device."""
        return self._cache.read(indices, self._compute.device)

    def _classify(self, indices: Indices) -> TileLogits:
        return self.classifier.classify_features(self.features(indices))


class RegionTask:
    """Trains a segmenter on windows of regions that are as large as the tiles of a run.

    Parameters
    ----------
    segmenter : TileSegmenter
        On its device.
    dataset : Dataset
        Regions of at least the size of a tile.
    compute : ComputeDevice
        Device and precision.
    augmentation : Augmentation
        How windows are varied.
    """

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
        last = truth.shape[1] - TILE_PX
        corners = rng.integers(0, last + 1, (batch_size, 2))
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
        """Nothing has to follow a step."""

    def score(self) -> float | None:
        """Return the mean IoU over the classes in the pixels of the validation regions."""
        matrix = self.count("val")
        return mean_iou(matrix) if matrix.any() else None

    def count(self, split: str) -> npt.NDArray[np.int64]:
        """Return the confusion of all labeled pixels of a split, shape (classes, classes)."""
        n = len(self._dataset.classes)
        matrix = np.zeros((n, n), np.int64)
        for index in self._dataset.indices(split):
            pixels, truth = self._dataset.read([index])[0], self._dataset.truth[index]
            for y, x in np.ndindex(*(s // TILE_PX for s in truth.shape)):
                window = (
                    slice(y * TILE_PX, (y + 1) * TILE_PX),
                    slice(x * TILE_PX, (x + 1) * TILE_PX),
                )
                predicted = self._predict(pixels[window])
                known = truth[window] > 0
                matrix += confusion(truth[window][known] - 1, predicted[known], n)
        return matrix

    def _predict(self, pixels: npt.NDArray[np.uint8]) -> Indices:
        """Return the most probable channel of each pixel of an image (h, w, 3)."""
        batch = torch.from_numpy(pixels[None]).to(self._compute.device)
        with torch.inference_mode(), self._compute.autocast():
            channels: Indices = self.module.pixels(batch)[0].argmax(dim=0).cpu().numpy()
        return channels
