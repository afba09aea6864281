"""Features of a frozen backbone, computed once per image and kept on disk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_fddm.core.files import whole_file
from napari_fddm.models.classifier import TileFeatures
from napari_fddm.training.loop.progress import JobProgress

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    import numpy.typing as npt

    from napari_fddm.models.classifier import TileClassifier
    from napari_fddm.models.device import ComputeDevice
    from napari_fddm.training.data.datasets import Dataset, Part

KINDS = ("pooled", "cells", "radiomics")


@dataclass(frozen=True, eq=False)
class DatasetFeatures:
    """Features of every sample of a dataset.

    Attributes
    ----------
    folder : Path
        Holds ``<part>.<kind>.npy``: float16, radiomics float32.
    dataset : Dataset
        What they are of.
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
                np.load(feature_file(self.folder, p, kind), mmap_mode="r") if p.count else None
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
    """Compute what is not on disk yet.

    Parameters
    ----------
    dataset : Dataset
        Patches.
    classifier : TileClassifier
        On its device, ready to judge.
    compute : ComputeDevice
        Where and how.
    folder : Path
        Named after the backbone and its input, because nothing else decides features.
    batch_size : int
        Tiles per call.
    """
    folder.mkdir(parents=True, exist_ok=True)
    classifier.eval()
    offset = 0
    for number, part in enumerate(dataset.parts, start=1):
        index = np.arange(offset, offset + part.count)
        offset += part.count
        if part.count and not feature_file(folder, part, "pooled").is_file():
            _write(_features(dataset, index, classifier, compute, batch_size), folder, part)
        yield JobProgress(part.image, number, len(dataset.parts))
    return DatasetFeatures(folder, dataset, bool(classifier.radiomics))


def feature_file(folder: Path, part: Part, kind: str) -> Path:
    """Return where the features of one kind of an image lie."""
    return folder / f"{part.key}.{kind}.npy"


def _features(
    dataset: Dataset,
    index: npt.NDArray[np.int64],
    classifier: TileClassifier,
    compute: ComputeDevice,
    batch_size: int,
) -> dict[str, npt.NDArray[Any]]:
    rows: list[TileFeatures] = []
    for start in range(0, len(index), batch_size):
        batch = torch.from_numpy(dataset.read(index[start : start + batch_size]))
        with torch.inference_mode(), compute.autocast():
            found = classifier.features(batch.to(compute.device))
        measured = None if found.radiomics is None else found.radiomics.cpu()
        rows.append(TileFeatures(found.pooled.float().cpu(), found.cells.float().cpu(), measured))
    made = {
        "pooled": torch.cat([r.pooled for r in rows]).numpy().astype(np.float16),
        "cells": torch.cat([r.cells for r in rows]).numpy().astype(np.float16),
    }
    all_measured = [r.radiomics for r in rows if r.radiomics is not None]
    if all_measured:
        made["radiomics"] = torch.cat(all_measured).numpy()
    return made


def _write(made: dict[str, npt.NDArray[Any]], folder: Path, part: Part) -> None:
    """Write the pooled features last: their presence says that the others are whole."""
    for kind in reversed(KINDS):
        if kind in made:
            with whole_file(feature_file(folder, part, kind)) as unfinished:
                np.save(unfinished, made[kind])
