"""Features of a dataset's patches by a frozen backbone, computed once and kept on disk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_fddm.core.files import whole_file
from napari_fddm.core.outside.arrays import map_array
from napari_fddm.models.classifier import TileFeatures
from napari_fddm.training.loop.progress import JobProgress

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    import numpy.typing as npt

    from napari_fddm.models import ComputeDevice, TileClassifier
    from napari_fddm.training.data import Dataset
    from napari_fddm.training.data.datasets import Part

KINDS = ("pooled", "cells", "radiomics")


@dataclass(frozen=True, eq=False)
class DatasetFeatures:
    """Features of every sample of a dataset.

    Attributes
    ----------
    folder : Path
        Holds ``<part>.<kind>.npy``: float16, radiomics float32.
    dataset : Dataset
        The patches.
    has_radiomics : bool
        Whether there are radiomic features.
    """

    folder: Path
    dataset: Dataset
    has_radiomics: bool

    def read(self, indices: npt.NDArray[np.int64], device: torch.device) -> TileFeatures:
        """Return the features of some samples as float32."""
        part = self.dataset.part_of[indices]
        starts = np.concatenate([[0], np.cumsum([p.count for p in self.dataset.parts])])
        within = indices - starts[part]
        kinds = KINDS if self.has_radiomics else KINDS[:2]
        return TileFeatures(
            *(
                torch.from_numpy(
                    np.stack(
                        [self._arrays[kind][p][i] for p, i in zip(part, within, strict=True)]
                    ).astype(np.float32)
                ).to(device)
                for kind in kinds
            )
        )

    @cached_property
    def _arrays(self) -> dict[str, list[Any]]:
        kinds = KINDS if self.has_radiomics else KINDS[:2]
        return {
            kind: [
                map_array(feature_file(self.folder, p, kind), "features of patches")
                if p.count
                else None
                for p in self.dataset.parts
            ]
            for kind in kinds
        }


def build_features(
    dataset: Dataset,
    classifier: TileClassifier,
    compute: ComputeDevice,
    folder: Path,
    *,
    batch_size: int = 16,
) -> Generator[JobProgress, None, DatasetFeatures]:
    """Compute the features of those images that are not on disk yet.

    Parameters
    ----------
    dataset : Dataset
        Patches.
    classifier : TileClassifier
        On its device.
    compute : ComputeDevice
        Device and precision.
    folder : Path
        One for each backbone and input size, on which features depend.
    batch_size : int
        Patches per call.

    Yields
    ------
    JobProgress
        After each image.
    """
    folder.mkdir(parents=True, exist_ok=True)
    classifier.eval()
    offset = 0
    for number, part in enumerate(dataset.parts, start=1):
        index = np.arange(offset, offset + part.count)
        offset += part.count
        if part.count and not feature_file(folder, part, "pooled").is_file():
            made = compute_features(dataset, index, classifier, compute, batch_size)
            _write(_as_arrays(made), folder, part)
        yield JobProgress(part.image, number, len(dataset.parts))
    return DatasetFeatures(folder, dataset, bool(classifier.radiomics))


def feature_file(folder: Path, part: Part, kind: str) -> Path:
    """Return the path of the features of an image, of one of the `KINDS`."""
    return folder / f"{part.key}.{kind}.npy"


def compute_features(
    dataset: Dataset,
    indices: npt.NDArray[np.int64],
    classifier: TileClassifier,
    compute: ComputeDevice,
    batch_size: int,
) -> TileFeatures:
    """Return the features of some samples, on the CPU in float32.

    Parameters
    ----------
    dataset : Dataset
        Patches.
    indices : array of int64, shape (n,)
        Which of them, one at least.
    classifier : TileClassifier
        On its device, in evaluation mode.
    compute : ComputeDevice
        Device and precision.
    batch_size : int
        Patches per call.
    """
    batches: list[TileFeatures] = []
    for start in range(0, len(indices), batch_size):
        pixels = torch.from_numpy(dataset.read(indices[start : start + batch_size]))
        with torch.inference_mode(), compute.autocast():
            batches.append(classifier.features(pixels.to(compute.device)))
    radiomics = [b.radiomics.cpu() for b in batches if b.radiomics is not None]
    return TileFeatures(
        torch.cat([b.pooled.float().cpu() for b in batches]),
        torch.cat([b.cells.float().cpu() for b in batches]),
        torch.cat(radiomics) if radiomics else None,
    )


def _as_arrays(features: TileFeatures) -> dict[str, npt.NDArray[Any]]:
    """Return what is kept on disk, by kind."""
    arrays = {
        "pooled": features.pooled.numpy().astype(np.float16),
        "cells": features.cells.numpy().astype(np.float16),
    }
    if features.radiomics is not None:
        arrays["radiomics"] = features.radiomics.numpy()
    return arrays


def _write(made: dict[str, npt.NDArray[Any]], folder: Path, part: Part) -> None:
    """Write the pooled features last: if they exist, the others are complete."""
    for kind in reversed(KINDS):
        if kind in made:
            with whole_file(feature_file(folder, part, kind)) as unfinished:
                np.save(unfinished, made[kind])
