"""Changes of tables of text: cells, separators, quotes, encodings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz.bytes_changes import change_bytes
from tests.fuzz.cases import Mutation

if TYPE_CHECKING:
    from random import Random

_CELLS = (
    "", " ", "\u200b", "x" * 5_000, "=1+1", "a\0b", "../../../etc/passwd", "7", "-1", "nan",
    "1e400", "Necrosis", "\u202eabc", "\x1b[2J", "1,5", "NULL", "synthetic:9999999999x9999999999",
    "~nobody/x", "https://example.invalid/x?token=1",
)  # fmt: skip


def change_csv(text: str, rng: Random) -> tuple[bytes, Mutation]:
    """Change a table with commas; all cells are plain."""
    return rng.choice((_cell, _cell, _cell, _line, _line, _form, _form, _bytes))(text, rng)


def _cell(text: str, rng: Random) -> tuple[bytes, Mutation]:
    rows = [line.split(",") for line in text.splitlines()]
    row = rng.randrange(len(rows))
    col = rng.randrange(len(rows[row]))
    new = rng.choice((*_CELLS, '"', 'a"b', '"open', "a,b", rows[row - 1][0]))
    rows[row][col] = new
    out = "\n".join(",".join(cells) for cells in rows) + "\n"
    # A quote that is not closed swallows the rows behind it; too many cells show in the line.
    judged = new in ('"', '"open', "a,b")
    words = f"line {row + 1}, cell {col + 1} set to {new[:40]!r}"
    return out.encode("utf-8", "surrogatepass"), Mutation(words, judged)


def _line(text: str, rng: Random) -> tuple[bytes, Mutation]:
    lines = text.splitlines()
    at = rng.randrange(len(lines))
    ways = {
        "taken out": (lines[:at] + lines[at + 1 :], False),
        "there twice": (lines[: at + 1] + lines[at:], at == 0),
        "with another cell": ([*lines[:at], f"{lines[at]},more", *lines[at + 1 :]], at > 0),
        "with a cell less": ([*lines[:at], lines[at].rpartition(",")[0], *lines[at + 1 :]], False),
        "an empty line before it": ([*lines[:at], "", *lines[at:]], True),
        "only separators before it": ([*lines[:at], ",,,", *lines[at:]], at > 0),
        "all behind it taken out": (lines[:at], False),
    }
    words = rng.choice(sorted(ways))
    new, judged = ways[words]
    return ("\n".join(new) + "\n").encode(), Mutation(f"line {at + 1} {words}", judged)


def _form(text: str, rng: Random) -> tuple[bytes, Mutation]:
    """Write the same table as other programs do: it is read the same, or refused."""
    ways = {
        "semicolons": text.replace(",", ";").encode(),
        "tabs": text.replace(",", "\t").encode(),
        "sep= before it": b"sep=,\n" + text.encode(),
        "a wrong sep= before it": b"sep=;\n" + text.encode(),
        "a byte order mark": text.encode("utf-8-sig"),
        "UTF-16": text.encode("utf-16"),
        "UTF-16 without a mark": text.encode("utf-16-le"),
        "UTF-32": text.encode("utf-32"),
        "lines of old Macs": text.replace("\n", "\r").encode(),
        "lines of Windows": text.replace("\n", "\r\n").encode(),
        "separators at the ends": text.replace("\n", ",,\n").encode(),
        "every cell in quotes": "\n".join(
            ",".join(f'"{c}"' for c in line.split(",")) for line in text.splitlines()
        ).encode(),
    }
    words = rng.choice(sorted(ways))
    return ways[words], Mutation(f"written with {words}", judged=True)


def _bytes(text: str, rng: Random) -> tuple[bytes, Mutation]:
    changed = change_bytes(text.encode(), rng)
    return changed.data, Mutation(changed.words, judged=False)
