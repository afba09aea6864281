"""Manifests: tables of images with their labels or masks, patients and splits.

A table (CSV as spreadsheets write it, or parquet where pyarrow is installed), one row per image:

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
Relative paths are relative to the manifest's folder. Other columns and empty rows are ignored.
"""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_fddm.core.class_names import MIXED, ClassNames, spelled
from napari_fddm.core.errors import DataError
from napari_fddm.core.geometry import Mpp
from napari_fddm.core.naming.case_ids import refuse_twice_spelled, said_distinct
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.tables import WESTERN, Table, read_table
from napari_fddm.core.outside.text import csv_cell, quoted, visible

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
    notes : tuple of str
        What is left out or read otherwise than it is written, a phrase for each.
    distinct_cases : bool
        Whether the user said that case ids which look alike are of several patients.
    """

    path: Path
    sources: tuple[Source, ...]
    left_out: int = 0
    notes: tuple[str, ...] = ()
    distinct_cases: bool = False

    @property
    def cases(self) -> tuple[str, ...]:
        """The names of all cases, sorted."""
        return tuple(sorted({s.case for s in self.sources}))

    def with_splits(self, split_of: Mapping[str, str]) -> Manifest:
        """Return the manifest with a split for each case."""
        return replace(
            self, sources=tuple(replace(s, split=split_of[s.case]) for s in self.sources)
        )


def read_manifest(
    path: Path, names: ClassNames | None = None, *, distinct_cases: bool = False
) -> Manifest:
    """Read and check a manifest.

    Parameters
    ----------
    path : Path
        The table.
    names : ClassNames, optional
        Classes of the labels.
    distinct_cases : bool
        Take case ids that look alike for several patients, instead of refusing them.

    Raises
    ------
    DataError
        If it cannot be read, lacks a column, names a missing file, has a label that
        belongs to no class, or a patient that seems to be spelled twice.
    """
    names = names or ClassNames()
    table = read_table(path, "a manifest")
    columns = _find_columns(table, path)
    sources: list[Source] = []
    left_out, notes = Counter[str](), dict.fromkeys(_said_of(table))
    for line, row in table:
        where = f"line {line} of {visible(path.name)}"
        cells = {k: row.get(c, "") for k, c in columns.items()}
        source = _source(cells, path.parent, names, where, line, table)
        if source is None:
            left_out[cells["label"]] += 1
        else:
            sources.append(source)
        if cells.get("label") and not cells.get("mask"):
            notes[names.meaning(cells["label"], where=where).note] = None
    for label, n in left_out.items():
        option = "--mixed" if spelled(label) in MIXED else "--label"
        notes[f"{n} image{'' if n == 1 else 's'} labeled {quoted(label)} left out ({option})"] = (
            None
        )
    total = sum(left_out.values())
    if not sources:
        raise DataError(
            f"{visible(path)} names no image to learn from ({table.seen}).",
            hint=f"{total} images were left out, labeled {', '.join(map(quoted, left_out))}; "
            "see --mixed and --label."
            if total
            else "",
        )
    if not distinct_cases:
        refuse_twice_spelled(((s.case, f"line {s.line}") for s in sources), path.name)
    notes |= dict.fromkeys(said_distinct(s.case for s in sources))
    said = tuple(note for note in notes if note)
    return Manifest(path, tuple(sources), total, said, distinct_cases)


def _said_of(table: Table) -> tuple[str, ...]:
    if table.encoding != WESTERN:
        return ()
    return ("the manifest is not UTF-8; it was read as Windows-1252",)


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
            writer.writerows({k: csv_cell(v) for k, v in row.items()} for row in rows)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}.") from error


def _find_columns(table: Table, path: Path) -> dict[str, str]:
    by_name = {spelled(name): name for name in table.header}
    found = {}
    for column, spellings in _COLUMNS.items():
        matches = [by_name[s] for s in spellings if s in by_name]
        if len(matches) > 1:
            _refuse_two(table, matches, path)
        if matches:
            found[column] = matches[0]
    if "tile" not in found and "slide" not in found:
        raise DataError(
            f"{visible(path.name)} has neither a column 'tile' nor 'slide' ({table.seen}).",
            hint="One row per image: tile,label,case or slide,mask,case.",
        )
    if "case" not in found:
        raise DataError(
            f"{visible(path.name)} has no column 'case' ({table.seen}).",
            hint="Name the patient of each image: tiles of one patient must not lie on both "
            "sides of a split.",
        )
    return found


def _refuse_two(table: Table, matches: Sequence[str], path: Path) -> None:
    """Refuse two columns for one thing, unless they say the same in every row."""
    for line, row in table:
        if len({row[name] for name in matches}) > 1:
            raise DataError(
                f"{visible(path.name)} has the columns {' and '.join(map(repr, matches))}, which "
                f"mean the same here but differ in line {line}.",
                hint="Keep the one that is meant, and rename or remove the other.",
            )


def _source(
    cells: dict[str, str], folder: Path, names: ClassNames, where: str, line: int, table: Table
) -> Source | None:
    if not cells["case"]:
        raise DataError(f"{where} names no case.")
    tile, slide = cells.get("tile", ""), cells.get("slide", "")
    label, mask = cells.get("label", ""), cells.get("mask", "")
    split, mpp = _split(cells.get("split", ""), where), _mpp(cells.get("mpp", ""), where, table)
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
    with reading("a file name", where, hint="Check the table."):
        path = folder / Path(text).expanduser()
        if not path.exists():
            raise DataError(f"{where}: there is no file {visible(path)}.")
        return str(path.absolute())


def _split(text: str, where: str) -> str | None:
    if not text:
        return None
    split = _SPLIT_NAMES.get(text.lower(), text.lower())
    if split not in SPLITS:
        raise DataError(f"{where}: the split {quoted(text)} is none of {', '.join(SPLITS)}.")
    return split


def _mpp(text: str, where: str, table: Table) -> float | None:
    if not text:
        return None
    low, high = Mpp.PLAUSIBLE
    try:
        value = table.number(text)
    except ValueError:
        value = 0.0
    if not low <= value <= high:
        raise DataError(
            f"{where}: the mpp {quoted(text)} is no number from {low:g} to {high:g}.",
            hint="It is the size of a pixel in micrometers, such as 0.5.",
        )
    return value
