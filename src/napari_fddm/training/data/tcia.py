"""Makes a manifest of the public TCIA collection Osteosarcoma-Tumor-Assessment.

1144 H&E tiles of 1024 × 1024 px at 10× from four patients, in ``Training-Set-1`` and
``Training-Set-2``, and ``ML_Features_1144.csv`` with the columns ``image.name`` and
``classification`` (doi:10.7937/tcia.2019.bvhjhdas, CC BY 3.0). The table writes names
with other blanks and hyphens than the files, so they are compared word by word;
comparing digits alone would let two tiles collide (``docs/algorithm.md#mixed-tiles``).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_fddm.core.errors import DataError
from napari_fddm.core.outside.tables import Table, read_table
from napari_fddm.core.outside.text import quoted, visible
from napari_fddm.training.data.manifest import write_manifest

if TYPE_CHECKING:
    from pathlib import Path

TILE_MPP = 1.0
"""µm per px, assumed for 10×: the collection has no pixel size."""
COLUMNS = ("tile", "label", "case", "mpp")
_NAME_COLUMNS = ("image name", "file", "image", "tile")
_LABEL_COLUMNS = ("classification", "label")
_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}


@dataclass(frozen=True, slots=True)
class Collection:
    """Images of the collection matched with their labels.

    Attributes
    ----------
    tiles : tuple of (Path, str, str)
        Image, label as in the table, case.
    unlabeled : tuple of Path
        Images that are not in the table.
    absent : tuple of str
        Names in the table without an image.
    nameless : int
        Rows of the table without a name.
    """

    tiles: tuple[tuple[Path, str, str], ...]
    unlabeled: tuple[Path, ...]
    absent: tuple[str, ...]
    nameless: int = 0


def read_collection(folder: Path, table: Path | None = None) -> Collection:
    """Match the images of a folder, subfolders included, with the table of labels.

    Raises
    ------
    DataError
        If there is no table or no image, or two images have the same name.
    """
    labels, nameless = _read_labels(_find_table(folder) if table is None else _opened(table))
    images: dict[str, Path] = {}
    for path in sorted(p for p in folder.rglob("[!.]*") if p.suffix.lower() in _SUFFIXES):
        name = _words(path.stem)
        if name in images:
            raise DataError(f"{visible(images[name])} and {visible(path)} have the same name.")
        images[name] = path
    found = [
        (path, labels[name][1], case_of(path.stem))
        for name, path in images.items()
        if name in labels
    ]
    if not found:
        raise DataError(
            f"no image in {folder} is named in the table of labels.",
            hint="Give the folder with Training-Set-1, Training-Set-2 and ML_Features_1144.csv.",
        )
    return Collection(
        tuple(found),
        tuple(path for name, path in images.items() if name not in labels),
        tuple(original for name, (original, _) in labels.items() if name not in images),
        nameless,
    )


def write_collection(collection: Collection, path: Path) -> None:
    """Write a collection as a manifest, with the labels of the table."""
    base = path.absolute().parent
    rows = [
        {"tile": _relative(image, base), "label": label, "case": case, "mpp": TILE_MPP}
        for image, label, case in collection.tiles
    ]
    write_manifest(path, rows, COLUMNS)


def case_of(name: str) -> str:
    """Return the patient of a tile: ``Case-3-A15-2939-11262`` is of Case-3, ``P9-…`` of P9.

    Raises
    ------
    DataError
        If the name begins with no case.
    """
    match = re.match(r"(case)[\s_-]*(\d+)(?!\d)|(p)[\s_-]*(\d+)(?!\d)", name.strip(), re.IGNORECASE)
    if match is None:
        raise DataError(
            f"{name!r} does not begin with a case, as Case-3 or P9.",
            hint="Write a manifest with a column case by hand.",
        )
    return f"Case-{match[2]}" if match[1] else f"P{match[4]}"


def _find_table(folder: Path) -> tuple[Path, Table]:
    fitting, unreadable = [], []
    for path in sorted(folder.rglob("[!.]*.csv")):
        try:
            table = read_table(path, "a table of labels")
        except DataError as error:
            unreadable.append(error.message)
            continue
        if _columns(table) is not None:
            fitting.append((path, table))
    if len(fitting) != 1:
        found = ", ".join(visible(path.name) for path, _ in fitting) or "none"
        raise DataError(
            f"{visible(folder)} must hold one table of labels; found {found}."
            f"{' ' if unreadable else ''}{' '.join(unreadable)}",
            hint="Name it with --table: ML_Features_1144.csv.",
        )
    return fitting[0]


def _opened(path: Path) -> tuple[Path, Table]:
    return path, read_table(path, "a table of labels")


def _columns(table: Table) -> tuple[str, str] | None:
    by_name = {_words(column): column for column in table.header}
    name = next((by_name[c] for c in _NAME_COLUMNS if c in by_name), None)
    label = next((by_name[c] for c in _LABEL_COLUMNS if c in by_name), None)
    return (name, label) if name and label else None


def _read_labels(found: tuple[Path, Table]) -> tuple[dict[str, tuple[str, str]], int]:
    """Return (name as in the table, label) by the words of the name; rows without a name."""
    path, table = found
    columns = _columns(table)
    if columns is None:
        raise DataError(
            f"{visible(path)} lacks the columns image.name and classification ({table.seen})."
        )
    labels: dict[str, tuple[str, str]] = {}
    nameless = 0
    for _, row in table:
        written, label = row[columns[0]], row[columns[1]]
        stem = re.sub(r"\.(jpe?g|png|tiff?)$", "", written.rsplit("/", 1)[-1], flags=re.I)
        name = _words(stem)
        if not name:
            nameless += 1
            continue
        if labels.get(name, (written, label))[1] != label:
            raise DataError(f"{visible(path.name)} gives {quoted(written)} two labels.")
        labels[name] = (written, label)
    return labels, nameless


def _words(name: str) -> str:
    """Return the words and numbers of a file's name, without what stands between them."""
    return " ".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFC", name).casefold()))


def _relative(path: Path, base: Path) -> str:
    absolute = path.absolute()
    return absolute.relative_to(base).as_posix() if absolute.is_relative_to(base) else str(absolute)
