"""What stage 1 learns from: patches through the whole network, or cached features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from napari_fddm.diffusion.losses import segmentation_loss
from napari_fddm.training.data.augmentation import Augmentation, augment
from napari_fddm.training.stage1.scores import balanced_accuracy, confusion

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.models.classifier import TileClassifier, TileFeatures, TileLogits
    from napari_fddm.models.device import ComputeDevice
    from napari_fddm.models.hierarchy import HierarchicalLoss
    from napari_fddm.training.data.datasets import Dataset
    from napari_fddm.training.data.sampling import Sampler
    from napari_fddm.training.stage1.dataset_features import DatasetFeatures

    Indices = npt.NDArray[np.int64]


class HeadLoss(nn.Module):
    """Loss of both heads.

    Cells whose class nobody said teach nothing.

    Parameters
    ----------
    hierarchy : HierarchicalLoss or None
        Loss of the tile's head instead of cross-entropy.
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
            Of the network.
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


class _Trainee(nn.Module):
    """A network and its loss, whose weights are trained together."""

    def __init__(self, network: nn.Module, loss: HeadLoss) -> None:
        super().__init__()
        self.network = network
        self.loss = loss


class PatchTask:
    """Trains a classifier, adapters or all of it, on patches.

    Parameters
    ----------
    classifier : TileClassifier
        On its device.
    loss : HeadLoss
        On the same.
    dataset : Dataset
        Patches.
    sampler : Sampler
        Draws training samples.
    compute : ComputeDevice
        Where.
    augmentation : Augmentation
        How patches are varied.
    batch_size : int
        Of the validation.
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
        self.classifier = classifier
        self.module: nn.Module = _Trainee(classifier, loss)
        self._loss = loss
        self._dataset = dataset
        self._sampler = sampler
        self._compute = compute
        self._augmentation = augmentation
        self._batch_size = batch_size
        self._val = dataset.indices("val")

    def loss(self, rng: np.random.Generator, batch_size: int) -> torch.Tensor:
        """See `training_loop.Task`."""
        index = self._sampler.draw(rng, batch_size)
        device = self._compute.device
        pixels = torch.from_numpy(self._dataset.read(index)).to(device)
        cells = torch.from_numpy(self._dataset.truth[index].astype(np.int64)).to(device)
        values = torch.from_numpy(self._dataset.values[index].astype(np.int64)).to(device)
        pixels, cells = augment(pixels, cells, rng, self._augmentation)
        return torch.as_tensor(self._loss(self.classifier(pixels), values, cells))

    def after_step(self) -> None:
        """See `training_loop.Task`."""
        if self._loss.hierarchy is not None:
            self._loss.hierarchy.clamp_()

    def score(self) -> float | None:
        """Return the balanced accuracy on validation patches."""
        predicted = self.predict(self._val)
        return _balanced(self._dataset, self._val, predicted)

    def predict(self, indices: Indices) -> Indices:
        """Return the most probable channel of some patches."""
        found = []
        for start in range(0, len(indices), self._batch_size):
            batch = torch.from_numpy(self._dataset.read(indices[start : start + self._batch_size]))
            with torch.inference_mode(), self._compute.autocast():
                logits = self.classifier(batch.to(self._compute.device))
            found.append(logits.tile.float().argmax(dim=1).cpu().numpy())
        return np.concatenate(found) if found else np.zeros(0, np.int64)


class FeatureTask:
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
        Where.
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
        self.classifier = classifier
        heads = nn.ModuleDict({n: getattr(classifier, n) for n in classifier.head_names})
        self.module: nn.Module = _Trainee(heads, loss)
        self._loss = loss
        self._dataset = dataset
        self._cache = cache
        self._sampler = sampler
        self._compute = compute
        self._val = dataset.indices("val")

    def loss(self, rng: np.random.Generator, batch_size: int) -> torch.Tensor:
        """See `training_loop.Task`."""
        index = self._sampler.draw(rng, batch_size)
        device = self._compute.device
        cells = torch.from_numpy(self._dataset.truth[index].astype(np.int64)).to(device)
        values = torch.from_numpy(self._dataset.values[index].astype(np.int64)).to(device)
        return torch.as_tensor(self._loss(self._classify(index), values, cells))

    def after_step(self) -> None:
        """See `training_loop.Task`."""
        if self._loss.hierarchy is not None:
            self._loss.hierarchy.clamp_()

    def score(self) -> float | None:
        """Return the balanced accuracy on validation patches."""
        return _balanced(self._dataset, self._val, self.predict(self._val))

    def predict(self, indices: Indices) -> Indices:
        """Return the most probable channel of some patches."""
        found = []
        for start in range(0, len(indices), 256):
            with torch.inference_mode(), self._compute.autocast():
                logits = self._classify(indices[start : start + 256])
            found.append(logits.tile.float().argmax(dim=1).cpu().numpy())
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def _classify(self, indices: Indices) -> TileLogits:
        return self.classifier.classify_features(self.features(indices))

    def features(self, indices: Indices) -> TileFeatures:
        """Return cached features on the device."""
        return self._cache.read(indices, self._compute.device)


def _balanced(dataset: Dataset, indices: Indices, predicted: Indices) -> float | None:
    if not len(indices):
        return None
    truth = dataset.values[indices].astype(np.int64) - 1
    return balanced_accuracy(confusion(truth, predicted, len(dataset.classes)))
