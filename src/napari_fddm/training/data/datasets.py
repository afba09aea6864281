"""Datasets on disk: patches or regions, in one part per image that is memory-mapped.

::

    DIR/dataset.json            settings, classes, and image, case and split of each part;
                                what was left out of each, and of the manifest
    DIR/parts/<key>.pixels.npy  uint8 (n, s, s, 3)
    DIR/parts/<key>.truth.npz   truth (n, …), values (n,), places (n, 2), left_out (JSON)

The key of a part is a digest of the image, its annotation and the settings. So a build
that was stopped continues with the parts that are missing, and an image whose annotation
has changed is cut again.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import DataError
from napari_fddm.core.files import whole_file, write_json
from napari_fddm.core.naming.case_ids import refuse_twice_spelled
from napari_fddm.core.outside.arrays import map_array, read_arrays
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.json_files import as_object, parse_json, read_json
from napari_fddm.core.outside.json_files import field as field_of
from napari_fddm.core.outside.text import visible
from napari_fddm.training.data.counts import ClassCounts
from napari_fddm.training.data.manifest import SPLITS
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
    from collections.abc import Generator, Mapping, Sequence

    import numpy.typing as npt

    from napari_fddm.core.class_names import ClassNames
    from napari_fddm.training.data.manifest import Manifest, Source
    from napari_fddm.training.data.patches import Sample

INDEX = "dataset.json"
KINDS = {"patches": "patch", "regions": "region"}
"""What a dataset may hold, and one of them."""
PART = "a part of a dataset"
_KEY = re.compile(r"[0-9a-f]{32}")
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
    left_out : mapping of str to int
        Samples that were not kept, by the reason.
    notes : tuple of str
        What of its annotation is left out, see `annotations.Annotation`.
    """

    key: str
    image: str
    case: str
    split: str
    count: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


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
    notes : tuple of str
        What was left out of the manifest, see `manifest.Manifest`.
    distinct_cases : bool
        Whether the user said that case ids which look alike are of several patients.
    """

    folder: Path
    settings: dict[str, Any]
    classes: tuple[str, ...]
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()
    distinct_cases: bool = False

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

    def said(self) -> tuple[str, ...]:
        """Return what was left out of the images, of the manifest, and of the samples."""
        found = list(self.notes)
        for part in self.parts:
            name = visible(Path(part.image).name)
            found += [f"{name}: {note}" for note in part.notes]
            if not part.count:
                found.append(f"{name}: no sample of it is kept")
        total = Counter[str]()
        for part in self.parts:
            total.update(part.left_out)
        several = str(self.settings["kind"])
        return (
            *found,
            *(
                f"{n:,} {KINDS[several] if n == 1 else several} {reason} left out"
                for reason, n in total.items()
                if n
            ),
        )

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
            map_array(_pixel_file(self.folder, p.key), PART) if p.count else None
            for p in self.parts
        ]

    def _joined(self, name: str, empty: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        found = []
        for part in self.parts:
            if part.count:
                array = read_arrays(_truth_file(self.folder, part.key), (name,), PART)[name]
                if len(array) != part.count:
                    raise DataError(
                        f"the dataset {self.folder} lists {part.count} samples of {part.image}, "
                        f"its part holds {len(array)}.",
                        hint="Build it again.",
                    )
                found.append(array)
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
    _refuse_empty(parts, record)
    write_json(
        folder / INDEX,
        {
            "format": VERSION,
            "settings": record,
            "classes": list(names.table.shorts),
            "notes": list(manifest.notes),
            "distinct_cases": manifest.distinct_cases,
            "parts": [asdict(part) for part in parts],
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
    path = folder / INDEX
    if not path.is_file():
        raise DataError(
            f"{folder} holds no {INDEX}, so it is no dataset.",
            hint="Make one with `napari-fddm dataset build MANIFEST --out DIR`.",
        )
    index = read_json(path, error=DataError)
    if field_of(index, "format", int, path, error=DataError) != VERSION:
        raise DataError(f"{folder} was made by another version.", hint="Build it again.")
    with reading("a dataset", path, hint="Build it again."):
        parts = tuple(_part(p, path) for p in field_of(index, "parts", list, path, error=DataError))
        classes = tuple(field_of(index, "classes", list, path, error=DataError))
        settings = field_of(index, "settings", dict, path, error=DataError)
        notes = tuple(str(note) for note in index.get("notes", ()))
    if field_of(settings, "kind", str, path, error=DataError) not in KINDS:
        raise DataError(f"{path} is damaged: its kind is {settings.get('kind')!r}.")
    distinct = index.get("distinct_cases") is True
    if not distinct:
        refuse_twice_spelled(((p.case, p.image) for p in parts), str(folder))
    if classes != OSTEOSARCOMA.shorts:
        raise DataError(f"the dataset {folder} has the classes {', '.join(map(str, classes))}.")
    missing = [p.image for p in parts if p.count and not _pixel_file(folder, p.key).is_file()]
    if missing:
        raise DataError(
            f"the dataset {folder} lacks the part of {missing[0]}.", hint="Build it again."
        )
    return Dataset(folder, settings, classes, parts, notes, distinct)


def _build_part(
    source: Source,
    folder: Path,
    settings: PatchSettings | RegionSettings,
    names: ClassNames,
    record: dict[str, object],
) -> Part:
    cut = samples_of(source, settings, names)
    key = digest([VERSION, image_key(source.image), source.mpp, cut.identity, record])[:32]
    truth_file = _truth_file(folder, key)
    stored = _stored(truth_file)
    if stored is None:
        samples = list(cut.samples)
        stored = len(samples), {reason: n for reason, n in cut.left_out.items() if n}
        _write_part(samples, folder, key, stored[1])
    count, left_out = stored
    return Part(key, source.image, source.case, source.split or "train", count, left_out, cut.notes)


def _stored(truth_file: Path) -> tuple[int, dict[str, int]] | None:
    """Return the samples of a part that was cut before and those left out; None: cut it.

    Parts of earlier versions do not say what they left out, so they are cut again.
    """
    if not truth_file.is_file():
        return None
    found = read_arrays(truth_file, ("values",), PART, optional=("left_out",))
    if "left_out" not in found:
        return None
    left_out = parse_json(str(found["left_out"]), truth_file, error=DataError)
    return len(found["values"]), as_object(left_out, truth_file, error=DataError)


def _refuse_empty(parts: Sequence[Part], record: Mapping[str, object]) -> None:
    """Refuse a dataset without samples: images with labels must give some."""
    if any(part.count for part in parts):
        return
    total = Counter[str]()
    for part in parts:
        total.update(part.left_out)
    found = [f"{n:,} {reason}" for reason, n in total.items()]
    reasons = "; ".join(found) or f"none of their {record['kind']} has a label"
    raise DataError(
        f"no sample could be cut from {len(parts)} images: {reasons}.",
        hint="Check that masks and images belong together, and the pixel size.",
    )


def _part(values: Any, path: Path) -> Part:
    """Return a part as the index has it."""
    part = as_object(values, path, error=DataError)
    key, image, case, split = (
        field_of(part, name, str, path, error=DataError)
        for name in ("key", "image", "case", "split")
    )
    count = field_of(part, "count", int, path, error=DataError)
    if _KEY.fullmatch(key) is None or split not in SPLITS or count < 0:
        raise DataError(
            f"{visible(path)} is damaged: {key!r}, {split!r}, {count} describe no part.",
            hint="Build it again.",
        )
    left_out = as_object(part.get("left_out", {}), path, error=DataError)
    counts = {reason: field_of(left_out, reason, int, path, error=DataError) for reason in left_out}
    notes = tuple(str(note) for note in part.get("notes", ()))
    return Part(key, image, case, split, count, counts, notes)


def _write_part(samples: list[Sample], folder: Path, key: str, left_out: Mapping[str, int]) -> None:
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
            left_out=np.array(json.dumps(left_out)),
        )


def _pixel_file(folder: Path, key: str) -> Path:
    return folder / "parts" / f"{key}.pixels.npy"


def _truth_file(folder: Path, key: str) -> Path:
    return folder / "parts" / f"{key}.truth.npz"
