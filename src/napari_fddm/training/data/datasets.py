"""Datasets on disk: patches or regions, in one part per image that is memory-mapped.

::

    DIR/dataset.json            settings, classes, and image, case and split of each part
    DIR/parts/<key>.pixels.npy  uint8 (n, s, s, 3)
    DIR/parts/<key>.truth.npz   truth (n, …), values (n,), places (n, 2)

The key of a part is a digest of the image, its annotation and the settings. So a build
that was stopped continues with the parts that are missing, and an image whose annotation
has changed is cut again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import DataError
from napari_fddm.core.files import whole_file, write_json
from napari_fddm.training.data.counts import ClassCounts
from napari_fddm.training.data.patches import (
    PatchSettings,
    RegionSettings,
    samples_of,
    settings_record,
)
from napari_fddm.training.data.splits import image_key
from napari_fddm.training.loop.identity import digest
from napari_fddm.training.loop.progress import JobProgress

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_fddm.core.class_names import ClassNames
    from napari_fddm.training.data.manifest import Manifest, Source
    from napari_fddm.training.data.patches import Sample

INDEX = "dataset.json"
VERSION = 1
"""Version of the cutting; raised when other samples are cut, so that old parts are not used."""


@dataclass(frozen=True, slots=True)
class Part:
    """The samples of one image.

    Attributes
    ----------
    key : str
        Digest that names its files.
    image, case, split : str
        As in the manifest.
    count : int
        Number of samples.
    """

    key: str
    image: str
    case: str
    split: str
    count: int


@dataclass(frozen=True, eq=False)
class Dataset:
    """Patches or regions of all images of a manifest.

    Attributes
    ----------
    folder : Path
        The dataset's folder.
    settings : dict
        How samples were cut, see `patches.settings_record`.
    classes : tuple of str
        Abbreviations by label value.
    parts : tuple of Part
        In the order of the manifest.
    """

    folder: Path
    settings: dict[str, Any]
    classes: tuple[str, ...]
    parts: tuple[Part, ...]

    @cached_property
    def values(self) -> npt.NDArray[np.uint8]:
        """Dominant label value of every sample, shape (n,)."""
        return self._joined("values", np.zeros(0, np.uint8))

    @cached_property
    def truth(self) -> npt.NDArray[np.uint8]:
        """Label values of cells (n, 8, 8) or pixels (n, s, s), 0 unknown."""
        return self._joined("truth", np.zeros((0, 8, 8), np.uint8))

    @cached_property
    def part_of(self) -> npt.NDArray[np.int64]:
        """Index of the part that each sample is in, shape (n,)."""
        return np.repeat(np.arange(len(self.parts)), [p.count for p in self.parts])

    @property
    def splits(self) -> tuple[str, ...]:
        """Split of every sample."""
        return tuple(self.parts[i].split for i in self.part_of)

    @property
    def cases(self) -> npt.NDArray[np.str_]:
        """Case of every sample, shape (n,)."""
        names = np.array([p.case for p in self.parts] or [""])
        return np.asarray(names[self.part_of])

    def indices(self, split: str) -> npt.NDArray[np.int64]:
        """Return the indices of the samples of a split."""
        chosen = np.array([p.split == split for p in self.parts] or [False])
        return np.flatnonzero(chosen[self.part_of])

    def counts(self) -> ClassCounts:
        """Return the number of samples of each class in each split."""
        return ClassCounts.of(self.values, self.splits, unit=self.settings["kind"])

    def read(self, indices: npt.NDArray[np.integer] | Sequence[int]) -> npt.NDArray[np.uint8]:
        """Return the pixels of some samples, uint8 (n, s, s, 3)."""
        starts = np.concatenate([[0], np.cumsum([p.count for p in self.parts])])
        owners = self.part_of[np.asarray(indices)]
        pairs = zip(indices, owners, strict=True)
        return np.stack([self._pixels[o][i - starts[o]] for i, o in pairs])

    @cached_property
    def fingerprint(self) -> str:
        """Digest that changes with the samples and their splits."""
        return digest([self.settings, [(p.key, p.case, p.split, p.count) for p in self.parts]])

    @cached_property
    def _pixels(self) -> list[Any]:
        return [
            np.load(_pixel_file(self.folder, p.key), mmap_mode="r") if p.count else None
            for p in self.parts
        ]

    def _joined(self, name: str, empty: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        found = []
        for part in self.parts:
            if part.count:
                with np.load(_truth_file(self.folder, part.key)) as stored:
                    found.append(stored[name])
        return np.concatenate(found) if found else empty


def build_dataset(
    manifest: Manifest,
    folder: Path,
    settings: PatchSettings | RegionSettings,
    names: ClassNames,
) -> Generator[JobProgress, None, Dataset]:
    """Cut the samples of every image of a manifest; parts that exist are kept.

    Parameters
    ----------
    manifest : Manifest
        With a split for every image.
    folder : Path
        The dataset's folder.
    settings : PatchSettings or RegionSettings
        How samples are cut.
    names : ClassNames
        Classes of the labels in annotations.

    Yields
    ------
    JobProgress
        After each image.

    Raises
    ------
    FddmError
        If an image cannot be cut.
    """
    parts_folder = folder / "parts"
    try:
        parts_folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror}.") from error
    record = settings_record(settings)
    parts = []
    for number, source in enumerate(manifest.sources, start=1):
        parts.append(_build_part(source, folder, settings, names, record))
        yield JobProgress(source.name, number, len(manifest.sources))
    write_json(
        folder / INDEX,
        {
            "format": VERSION,
            "settings": record,
            "classes": list(names.table.shorts),
            "parts": [{k: getattr(p, k) for k in Part.__slots__} for p in parts],
        },
    )
    return open_dataset(folder)


def open_dataset(folder: Path) -> Dataset:
    """Open a dataset that `build_dataset` has written.

    Raises
    ------
    DataError
        If the folder holds none, or it is damaged or of another version.
    """
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if index["format"] != VERSION:
            raise DataError(f"{folder} was made by another version.", hint="Build it again.")
        parts = tuple(Part(**part) for part in index["parts"])
        classes = tuple(index["classes"])
        settings = index["settings"]
    except FileNotFoundError:
        raise DataError(
            f"{folder} holds no {INDEX}, so it is no dataset.",
            hint="Make one with `napari-fddm dataset build MANIFEST --out DIR`.",
        ) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"the dataset {folder} is damaged: {error}.", hint="Build it again."
        ) from error
    if classes != OSTEOSARCOMA.shorts:
        raise DataError(f"the dataset {folder} has the classes {', '.join(classes)}.")
    missing = [p.image for p in parts if p.count and not _pixel_file(folder, p.key).is_file()]
    if missing:
        raise DataError(
            f"the dataset {folder} lacks the part of {missing[0]}.", hint="Build it again."
        )
    return Dataset(folder, settings, classes, parts)


def _build_part(
    source: Source,
    folder: Path,
    settings: PatchSettings | RegionSettings,
    names: ClassNames,
    record: dict[str, object],
) -> Part:
    identity, samples = samples_of(source, settings, names)
    key = digest([VERSION, image_key(source.image), source.mpp, identity, record])[:32]
    truth_file = _truth_file(folder, key)
    if not truth_file.is_file():
        _write_part(list(samples), folder, key)
    with np.load(truth_file) as stored:
        count = len(stored["values"])
    return Part(key, source.image, source.case, source.split or "train", count)


def _write_part(samples: list[Sample], folder: Path, key: str) -> None:
    """Write the pixels, then the truth: if it exists, the part is complete."""
    if samples:
        with whole_file(_pixel_file(folder, key)) as part:
            np.save(part, np.stack([s.pixels for s in samples]))
    truth = [s.truth for s in samples]
    with whole_file(_truth_file(folder, key)) as part:
        np.savez_compressed(
            part,
            truth=np.stack(truth) if truth else np.zeros((0, 8, 8), np.uint8),
            values=np.array([s.value for s in samples], np.uint8),
            places=np.array([s.place for s in samples], np.float64).reshape(-1, 2),
        )


def _pixel_file(folder: Path, key: str) -> Path:
    return folder / "parts" / f"{key}.pixels.npy"


def _truth_file(folder: Path, key: str) -> Path:
    return folder / "parts" / f"{key}.truth.npz"
