"""`read_table`: the one way to read a table, as people's spreadsheets write it."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_fddm.core.errors import DataError, FddmError
from napari_fddm.core.outside.files import read_bytes, require_regular
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import unquoted_cell, visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_LONGEST_CELL = 1 << 20
_MOST_PARQUET = 1 << 30
_NO_TEXT = {
    b"PK\x03\x04": "a ZIP archive, as Excel and LibreOffice write",
    b"\xd0\xcf\x11\xe0": "a file of an old Excel",
}
PARQUET = "parquet"
WESTERN = "cp1252"
_SAVE = "Save it again as CSV with the encoding UTF-8."


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
        "utf-8", "utf-16" or "cp1252"; `PARQUET` for a table that is no text.
    separator : str
        One character of `SEPARATORS`; empty for parquet.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]
    encoding: str
    separator: str

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Iterate over the rows."""
        return iter(self.rows)

    def number(self, text: str) -> float:
        """Return the number in a cell; a comma is a decimal one where commas separate no cells.

        Raises
        ------
        ValueError
            If it is no finite number.
        """
        if self.separator in (";", "\t", "|") and text.count(",") == 1 and "." not in text:
            text = text.replace(",", ".")
        value = float(text)
        if not math.isfinite(value) or "_" in text:
            raise ValueError(f"{text!r} is no number")
        return value

    @property
    def seen(self) -> str:
        """How it was read, for messages."""
        separator = SEPARATORS.get(self.separator)
        return f"read as {self.encoding}" + (
            f" with the separator {separator}" if separator is not None else ""
        )


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
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path, what, error)
    text, encoding = _decoded(read_bytes(path, what, error=error), path, what, error)
    with reading(what, path, error=error, hint=_SAVE):
        csv.field_size_limit(_LONGEST_CELL)
        separator, skipped = _separator(text)
        # Strict, since a quote that is never closed would swallow the rows behind it.
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        lines = [(reader.line_num, [unquoted_cell(cell.strip()) for cell in row]) for row in reader]
    lines = [(line, row) for line, row in lines if any(row)][skipped:]
    seen = f"read as {encoding} with the separator {SEPARATORS[separator]}"
    if not lines:
        raise error(f"{visible(path)} holds no header and no rows ({seen}).")
    header = _header(lines[0][1], path, seen, error)
    rows = tuple((line, _row(row, header, line, path, seen, error)) for line, row in lines[1:])
    return Table(header, rows, encoding, separator)


def _decoded(data: bytes, path: Path, what: str, error: type[FddmError]) -> tuple[str, str]:
    for mark, kind in _NO_TEXT.items():
        if data.startswith(mark):
            raise error(f"{visible(path)} is {kind}, not CSV.", hint=_SAVE)
    tried = next((name for mark, name in _BOMS.items() if data.startswith(mark)), "")
    for encoding in (tried,) if tried else (*_utf_16_without_mark(data), "utf-8", WESTERN):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as fault:
            last = data.count(b"\n", 0, fault.start) + 1
            continue
        if "\0" in text:
            raise error(f"{visible(path)} is no text: it holds NUL characters.", hint=_SAVE)
        return text, "utf-16" if encoding.startswith("utf-16") else encoding.removesuffix("-sig")
    raise error(
        f"{visible(path)} cannot be read as {what}: line {last} is neither "
        f"{tried.removesuffix('-sig') or 'utf-8'} nor {WESTERN}.",
        hint=_SAVE,
    )


def _utf_16_without_mark(data: bytes) -> tuple[str, ...]:
    """Return the order of bytes if every other one of the first letters is zero."""
    first = data[:64]
    if len(first) >= 4 and not any(first[1::2]) and all(first[0::2]):
        return ("utf-16-le",)
    return ("utf-16-be",) if len(first) >= 4 and not any(first[0::2]) and all(first[1::2]) else ()


def _separator(text: str) -> tuple[str, int]:
    """Return the separator, and how many rows before the header only say which it is."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    named = first.strip().strip('"').lower()
    if named.startswith("sep=") and named[4:5] in SEPARATORS:
        return named[4:5], 1
    if named == "sep=":  # a tab, which was stripped
        return "\t", 1
    counts = {mark: len(next(csv.reader([first], delimiter=mark), ())) for mark in SEPARATORS}
    return max(counts, key=lambda mark: counts[mark]), 0


def _read_parquet(path: Path, what: str, error: type[FddmError]) -> Table:
    try:
        from pyarrow import parquet
    except ImportError:
        raise error(
            f"{visible(path.name)} is parquet, which needs pyarrow.",
            hint="pip install pyarrow, or save it as CSV.",
        ) from None
    require_regular(path, what, error=error)
    with reading(what, path, error=error), parquet.ParquetFile(path) as file:
        size = sum(file.metadata.row_group(n).total_byte_size for n in range(file.num_row_groups))
        if size > _MOST_PARQUET:
            raise error(f"{visible(path)} unpacks to {size / 2**30:,.1f} GiB: that is too much.")
        table = file.read()
        rows = [
            {k: "" if v is None else str(v).strip() for k, v in r.items()}
            for r in table.to_pylist()
        ]
    header = _header([str(name).strip() for name in table.column_names], path, PARQUET, error)
    found = tuple((line, row) for line, row in enumerate(rows, start=2) if any(row.values()))
    return Table(header, found, PARQUET, "")


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
    return {name: cell for name, cell in zip(header, padded, strict=False) if name}
