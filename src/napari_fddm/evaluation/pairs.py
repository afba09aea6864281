"""Match predictions with truths and cases: from two files, two folders or a manifest (CSV)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.naming.case_ids import refuse_twice_spelled, said_distinct
from napari_fddm.core.outside.files import real_path
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.tables import WESTERN, Table, read_table
from napari_fddm.core.outside.text import visible
from napari_fddm.evaluation.reading import LABELS, SYNTHETIC, is_label_source

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS = ("pred", "truth", "case", "slide", "annotation", "tissue", "mpp")
NEEDED = ("pred", "truth", "case")
_NEEDED = "Without TRUTH, PRED is a CSV file with the columns pred, truth and case."
READER = "reader:"
"""Columns that begin with it hold label maps of further raters."""
_SUFFIXES = re.compile(
    r"(\.fddm)?\.(ome\.zarr|ozx|ome\.tiff?|png|tiff?|zarr|geojson(\.gz)?)$"
    r"|\.(svs|ndpi|mrxs|scn|bif|dcm|vsi|czi)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A slide's prediction and truth.

    Attributes
    ----------
    slide, case : str
        Their names.
    pred, truth : str
        What `reading.read_label_input` takes.
    annotation, tissue : str or None
        Mask pictures: what was annotated, where tissue is.
    mpp : float or None
        µm per pixel of its pictures.
    readers : tuple of (str, str)
        Name and label map of further raters.
    """

    slide: str
    case: str
    pred: str
    truth: str
    annotation: str | None = None
    tissue: str | None = None
    mpp: float | None = None
    readers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Pairs:
    """All slides of an evaluation.

    Attributes
    ----------
    pairs : tuple of Pair
        One for each slide.
    cases_known : bool
        Whether the user gave the case (patient) of the slides. If not, each slide is
        its own case, and no intervals over cases may be computed.
    notes : tuple of str
        How the manifest was read, where that is worth a word.
    """

    pairs: tuple[Pair, ...]
    cases_known: bool
    notes: tuple[str, ...] = ()


def find_pairs(
    pred: str,
    truth: str | None,
    *,
    case_pattern: str | None = None,
    distinct_cases: bool = False,
) -> Pairs:
    """Find the pairs that two arguments name.

    Parameters
    ----------
    pred : str
        A label map, a folder of them, or, alone, a manifest (CSV).
    truth : str or None
        The same for the truth; None with a manifest.
    case_pattern : str or None
        For folders: regular expression whose first group, or whole match, is the case
        in the name of a slide.
    distinct_cases : bool
        Take case ids that look alike for several patients, instead of refusing them.

    Raises
    ------
    ConfigError
        If nothing is found, a side is missing, a slide occurs twice, or a patient seems to
        be spelled twice.
    """
    if truth is None:
        return read_manifest(Path(pred), distinct_cases=distinct_cases)
    folders = [not p.startswith(SYNTHETIC) and _is_folder(Path(p)) for p in (pred, truth)]
    if folders[0] != folders[1]:
        raise ConfigError(
            f"one of {pred} and {truth} is a folder of label maps, the other is not.",
            hint="Give two label maps or two folders.",
        )
    if folders[0]:
        found = _of_folders(Path(pred), Path(truth), case_pattern)
        if not found.cases_known:
            return found
        named = [(pair.case, pair.slide) for pair in found.pairs]
        return _checked(found, named, "--case-pattern", distinct_cases)
    name = _name_of(pred if truth.startswith(SYNTHETIC) else truth)
    return Pairs((Pair(name, name, pred, truth),), cases_known=True)


def slide_name(file_name: str) -> str:
    """Return a file's name without the endings of slides, stores and pictures."""
    while (shorter := _SUFFIXES.sub("", file_name)) != file_name:
        file_name = shorter
    return file_name


def _name_of(source: str) -> str:
    """Return the slide's name, derived from the path of a label map."""
    path = Path(source)
    return slide_name(path.parent.parent.name if path.parent.name == LABELS else path.name)


def read_manifest(path: Path, *, distinct_cases: bool = False) -> Pairs:
    """Read pairs from a CSV file with a head line; paths are relative to its folder.

    Columns ``pred``, ``truth`` and ``case``, and optionally ``slide`` (name),
    ``annotation`` and ``tissue`` (masks), ``mpp`` (µm per pixel of pictures) and
    ``reader:NAME`` (label map of a further rater).

    Raises
    ------
    ConfigError
        If it cannot be read, lacks a column or has an unknown one, lists a slide twice, or
        seems to spell a patient twice.
    """
    try:
        table = read_table(path, "a manifest", error=ConfigError)
    except ConfigError as error:
        raise ConfigError(error.message, hint=f"{error.hint} {_NEEDED}".strip()) from error
    unknown = [c for c in table.header if c and c not in COLUMNS and not c.startswith(READER)]
    missing = [c for c in NEEDED if c not in table.header]
    if not table.rows or missing or unknown:
        what = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(unknown)}"
        raise ConfigError(
            f"the manifest {visible(path.name)} {visible(what) if table.rows else 'has no rows'} "
            f"({table.seen}).",
            hint=f"Columns are {', '.join(NEEDED)}, optionally "
            f"{', '.join(c for c in COLUMNS if c not in NEEDED)} and {READER}NAME.",
        )
    lines = [line for line, _ in table]
    pairs = tuple(_of_row(row, line, path, table) for line, row in table)
    _refuse_repeats(pairs, lines, path.name)
    notes = ("the manifest is not UTF-8; it was read as Windows-1252",)
    found = Pairs(pairs, cases_known=True, notes=notes if table.encoding == WESTERN else ())
    named = [(pair.case, f"line {line}") for pair, line in zip(pairs, lines, strict=True)]
    return _checked(found, named, path.name, distinct_cases)


def _checked(
    found: Pairs, cases: Sequence[tuple[str, str]], place: str, distinct_cases: bool
) -> Pairs:
    """Refuse a patient spelled twice, or note that the user took them for several."""
    if not distinct_cases:
        refuse_twice_spelled(cases, place, error=ConfigError)
    return replace(found, notes=(*found.notes, *said_distinct(case for case, _ in cases)))


def _of_row(row: dict[str, str], number: int, path: Path, table: Table) -> Pair:
    for column in NEEDED:
        if not row.get(column):
            raise ConfigError(
                f"line {number} of {visible(path.name)} has no {column}.", hint="Fill it in."
            )

    def place(value: str) -> str:
        return value if value.startswith(SYNTHETIC) else str(path.parent / value)

    readers = tuple(
        (key.removeprefix(READER), place(value))
        for key, value in row.items()
        if key.startswith(READER) and value
    )
    return Pair(
        row.get("slide") or _name_of(row["truth"]),
        row["case"],
        place(row["pred"]),
        place(row["truth"]),
        place(row["annotation"]) if row.get("annotation") else None,
        place(row["tissue"]) if row.get("tissue") else None,
        _number(row.get("mpp"), number, path, table),
        readers,
    )


def _number(text: str | None, line: int, path: Path, table: Table) -> float | None:
    if not text:
        return None
    try:
        return table.number(text)
    except ValueError as error:
        raise ConfigError(
            f"line {line} of {visible(path.name)}: mpp {text!r} is no number.",
            hint="Write for instance 0.5.",
        ) from error


def _refuse_repeats(pairs: tuple[Pair, ...], lines: list[int], manifest: str) -> None:
    """Refuse a truth or a prediction that is listed twice; content is compared later."""
    for attribute in ("truth", "pred"):
        seen: dict[str, int] = {}
        for number, pair in zip(lines, pairs, strict=True):
            source = getattr(pair, attribute)
            with reading(
                "a file name", f"line {number} of {manifest}", error=ConfigError, hint="Correct it."
            ):
                key = source if source.startswith(SYNTHETIC) else str(real_path(Path(source)))
            if key in seen:
                raise ConfigError(
                    f"lines {seen[key]} and {number} of {visible(manifest)} have the same "
                    f"{attribute}: a slide counts once.",
                    hint="Remove one of them; compare methods in evaluations of their own, or "
                    f"as columns {READER}NAME.",
                )
            seen[key] = number


def _of_folders(pred: Path, truth: Path, case_pattern: str | None) -> Pairs:
    found = [_by_name(folder) for folder in (pred, truth)]
    lone = sorted(set(found[0]) ^ set(found[1]))
    if lone or not found[0]:
        shown = ", ".join(lone[:5]) or "there is none in either"
        raise ConfigError(
            f"label maps without a partner in {pred} and {truth}: {shown}"
            f"{' …' if len(lone) > 5 else ''}.",
            hint="Names must agree up to their endings; or write a manifest (CSV).",
        )
    pattern = _compiled(case_pattern)
    pairs = []
    for name, source in sorted(found[0].items()):
        case = name
        if pattern is not None:
            match = pattern.search(name)
            if match is None:
                raise ConfigError(
                    f"--case-pattern finds no case in {name!r}.",
                    hint="Its first group, or all of it, must match in every slide's name.",
                )
            case = match[1] if pattern.groups else match[0]
        pairs.append(Pair(name, case, str(source), str(found[1][name])))
    return Pairs(tuple(pairs), cases_known=pattern is not None)


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern) if pattern else None
    except re.error as error:
        raise ConfigError(
            f"--case-pattern {pattern!r} is no regular expression: {error}.",
            hint="Write for instance '^([^_]+)_'; special characters need a backslash.",
        ) from None


def _by_name(folder: Path) -> dict[str, Path]:
    names: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not is_label_source(path):
            continue
        name = slide_name(path.name)
        if name in names:
            raise ConfigError(
                f"{folder} has two label maps of {name}: {names[name].name} and {path.name}.",
                hint="Keep one, or write a manifest (CSV).",
            )
        names[name] = path
    return names


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not is_label_source(path) and path.parent.name != LABELS
