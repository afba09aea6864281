"""Manifests: tables of images with their labels or masks, patients and splits.

A table (CSV, or parquet where pyarrow is installed), one row per image:

=========== ===================================================================
``tile``    an image with one label; or
``slide``   a slide, or ``synthetic:HxW?seed=…``
``label``   the class of a tile
``mask``    the annotation of a slide: an analysis of this program, GeoJSON or a mask
            image; ``truth`` for a synthetic slide
``case``    the patient: a split never divides the images of a case
``split``   optional: train, val or test
``mpp``     optional: µm per pixel, if the file does not have it
=========== ===================================================================

``file``, ``image`` and ``path`` also mean ``tile``; ``patient`` means ``case``.
Relative paths are relative to the manifest's folder. Other columns are ignored.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_fddm.core.class_names import ClassNames, plain
from napari_fddm.core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SPLITS = ("train", "val", "test")
_COLUMNS = {
    "tile": ("tile", "file", "image", "path"),
    "slide": ("slide",),
    "label": ("label", "class"),
    "mask": ("mask", "annotation"),
    "case": ("case", "patient"),
    "split": ("split",),
    "mpp": ("mpp",),
}
_SPLIT_NAMES = {"valid": "val", "validation": "val", "training": "train", "testing": "test"}
SYNTHETIC = "synthetic:"
TRUTH = "truth"
"""As a mask: the exact truth of a synthetic slide."""


@dataclass(frozen=True, slots=True)
class Source:
    """One row of a manifest: an image, its label or annotation, and its patient.

    Attributes
    ----------
    image : str
        Absolute path, or the name of a synthetic slide.
    case : str
        The patient.
    value : int or None
        Label value of a tile; None for a slide.
    mask : str or None
        Annotation of a slide; None for a tile.
    split : str or None
        "train", "val" or "test"; None before the cases are divided.
    mpp : float or None
        µm per pixel, if the manifest has it.
    line : int
        Line of the manifest, for messages.
    """

    image: str
    case: str
    value: int | None = None
    mask: str | None = None
    split: str | None = None
    mpp: float | None = None
    line: int = 0

    @property
    def name(self) -> str:
        """File name, for messages."""
        return self.image if self.image.startswith(SYNTHETIC) else Path(self.image).name


@dataclass(frozen=True, slots=True)
class Manifest:
    """All rows of a manifest.

    Attributes
    ----------
    path : Path
        The file that was read.
    sources : tuple of Source
        In the order of the rows.
    left_out : int
        Rows that are left out: mixed tiles, or labels that the user excludes.
    """

    path: Path
    sources: tuple[Source, ...]
    left_out: int = 0

    @property
    def cases(self) -> tuple[str, ...]:
        """The names of all cases, sorted."""
        return tuple(sorted({s.case for s in self.sources}))

    def with_splits(self, split_of: Mapping[str, str]) -> Manifest:
        """Return the manifest with a split for each case."""
        return replace(
            self, sources=tuple(replace(s, split=split_of[s.case]) for s in self.sources)
        )


def read_manifest(path: Path, names: ClassNames | None = None) -> Manifest:
    """Read and check a manifest.

    Raises
    ------
    DataError
        If it cannot be read, lacks a column, names a missing file, or has a label that
        belongs to no class.
    """
    names = names or ClassNames()
    header, rows = _read_table(path)
    columns = _find_columns(header, path)
    sources, left_out = [], 0
    for line, row in rows:
        where = f"line {line} of {path.name}"
        cells = {k: (row.get(c) or "").strip() for k, c in columns.items()}
        source = _source(cells, path.parent, names, where, line)
        if source is None:
            left_out += 1
        else:
            sources.append(source)
    if not sources:
        raise DataError(
            f"{path} names no image to learn from.",
            hint=f"{left_out} mixed tiles were left out; see --mixed." if left_out else "",
        )
    return Manifest(path, tuple(sources), left_out)


def write_manifest(
    path: Path, rows: Iterable[Mapping[str, object]], columns: Sequence[str]
) -> None:
    """Write a manifest as CSV.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}.") from error


def _read_table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    try:
        if path.suffix.lower() == ".parquet":
            return _read_parquet(path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, row) for row in reader]
            return list(reader.fieldnames or ()), rows
    except FileNotFoundError:
        raise DataError(f"there is no manifest {path}.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"the manifest {path} cannot be read: {error}.") from error


def _read_parquet(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise DataError(
            f"{path.name} is parquet, which needs pyarrow.",
            hint="pip install pyarrow, or save the manifest as CSV.",
        ) from None
    try:
        table = parquet.read_table(path)
    except ArrowException as error:
        raise DataError(f"the manifest {path} cannot be read: {error}.") from error
    rows = [{k: "" if v is None else str(v) for k, v in row.items()} for row in table.to_pylist()]
    return list(table.column_names), list(enumerate(rows, start=2))


def _find_columns(header: Sequence[str], path: Path) -> dict[str, str]:
    by_name = {plain(name): name for name in header if name}
    found = {}
    for column, spellings in _COLUMNS.items():
        match = next((by_name[s] for s in spellings if s in by_name), None)
        if match is not None:
            found[column] = match
    if "tile" not in found and "slide" not in found:
        raise DataError(
            f"{path.name} has neither a column 'tile' nor 'slide'.",
            hint="One row per image: tile,label,case or slide,mask,case.",
        )
    if "case" not in found:
        raise DataError(
            f"{path.name} has no column 'case'.",
            hint="Name the patient of each image: tiles of one patient must not lie on both "
            "sides of a split.",
        )
    return found


def _source(
    cells: dict[str, str], folder: Path, names: ClassNames, where: str, line: int
) -> Source | None:
    if not cells["case"]:
        raise DataError(f"{where} names no case.")
    tile, slide = cells.get("tile", ""), cells.get("slide", "")
    label, mask = cells.get("label", ""), cells.get("mask", "")
    split, mpp = _split(cells.get("split", ""), where), _mpp(cells.get("mpp", ""), where)
    if mask:
        image = slide or tile
        if not image:
            raise DataError(f"{where} names no slide.")
        place = mask if mask == TRUTH else _existing(mask, folder, where)
        return Source(_existing(image, folder, where), cells["case"], None, place, split, mpp, line)
    # A table of tiles may have a column for the slide that each was cut from.
    if not tile:
        raise DataError(
            f"{where} names {'a slide without a mask' if slide else 'no image'}.",
            hint="A slide needs a mask, a tile needs a label.",
        )
    if not label:
        raise DataError(f"{where} has no label.")
    value = names.value_of(label, where=where)
    if value is None:
        return None
    return Source(_existing(tile, folder, where), cells["case"], value, None, split, mpp, line)


def _existing(text: str, folder: Path, where: str) -> str:
    if text.startswith(SYNTHETIC):
        return text
    path = folder / Path(text).expanduser()
    if not path.exists():
        raise DataError(f"{where}: there is no file {path}.")
    return str(path.absolute())


def _split(text: str, where: str) -> str | None:
    if not text:
        return None
    split = _SPLIT_NAMES.get(text.lower(), text.lower())
    if split not in SPLITS:
        raise DataError(f"{where}: the split {text!r} is none of {', '.join(SPLITS)}.")
    return split


def _mpp(text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise DataError(f"{where}: the mpp {text!r} is no positive number.")
    return value
