"""`read_table`: the one way to read a table of text, as people's spreadsheets write it."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_fddm.core.errors import DataError, FddmError
from napari_fddm.core.outside.files import read_bytes
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import unquoted_cell, visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_LONGEST_CELL = 1 << 20


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text.

    Attributes
    ----------
    header : tuple of str
        Names of the columns, without blanks around them; none is empty.
    rows : tuple of (int, dict)
        Line in the file (counted from 1), and the text of each column, stripped. Rows
        without any text are left out.
    encoding : str
        "utf-8", "utf-16" or "cp1252".
    separator : str
        One character of `SEPARATORS`.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]
    encoding: str
    separator: str

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Iterate over the rows."""
        return iter(self.rows)


def read_table(path: Path, what: str = "a table", *, error: type[FddmError] = DataError) -> Table:
    """Read a table: separated by comma, semicolon, tab or bar, in UTF-8, UTF-16 or Windows-1252.

    A first line ``sep=;`` names the separator, as spreadsheets write it. Empty rows, and
    separators behind the last column, are passed over.

    Parameters
    ----------
    path : Path
        A text file, or one compressed by gzip.
    what : str
        What it is read as, for messages.
    error : type of FddmError
        The error to raise.

    Raises
    ------
    FddmError
        If it cannot be read, has no header, a column twice, or a row with more cells than
        the header; the message names the line, the separator and the encoding that were seen.
    """
    text, encoding = _decoded(read_bytes(path, what, error=error))
    with reading(what, path, error=error, hint="Save it again as CSV with the encoding UTF-8."):
        separator, skipped = _separator(text)
        csv.field_size_limit(_LONGEST_CELL)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader][skipped:]
    lines = [(line, row) for line, row in lines if any(row)]
    seen = f"read as {encoding} with the separator {SEPARATORS[separator]}"
    if not lines:
        raise error(f"{visible(path)} holds no header and no rows ({seen}).")
    header = _header(lines[0][1], path, seen, error)
    rows = tuple((line, _row(row, header, line, path, seen, error)) for line, row in lines[1:])
    return Table(header, rows, encoding, separator)


def _decoded(data: bytes) -> tuple[str, str]:
    for mark, name in _BOMS.items():
        if data.startswith(mark):
            return data.decode(name, errors="replace"), name.removesuffix("-sig")
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        # What spreadsheets of Western Europe write; it has a character for almost every byte.
        return data.decode("cp1252", errors="replace"), "cp1252"


def _separator(text: str) -> tuple[str, int]:
    """Return the separator, and how many rows before the header only say which it is."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    named = first.strip().strip('"').lower()
    if named.startswith("sep=") and named[4:5] in SEPARATORS:
        return named[4:5], 1
    if first.strip().lower() == "sep=":  # a tab, which was stripped
        return "\t", 1
    counts = {mark: first.count(mark) for mark in SEPARATORS}
    return max(counts, key=lambda mark: counts[mark]), 0


def _header(row: list[str], path: Path, seen: str, error: type[FddmError]) -> tuple[str, ...]:
    while row and not row[-1]:
        row = row[:-1]
    names = tuple(row)
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        raise error(f"{visible(path)} has the column {visible(twice)!r} twice ({seen}).")
    return names


def _row(
    row: list[str],
    header: tuple[str, ...],
    line: int,
    path: Path,
    seen: str,
    error: type[FddmError],
) -> dict[str, str]:
    if any(row[len(header) :]):
        raise error(
            f"line {line} of {visible(path.name)} has {len(row)} cells, "
            f"but there are {len(header)} columns ({seen}).",
            hint="Put text that holds the separator into double quotes.",
        )
    padded = [*row, *[""] * (len(header) - len(row))]
    return {name: unquoted_cell(cell) for name, cell in zip(header, padded, strict=False) if name}
