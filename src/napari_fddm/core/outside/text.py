"""Text from outside is text: nothing in it is obeyed by a terminal, a browser or a spreadsheet."""

from __future__ import annotations

import unicodedata
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_HARMLESS = "\n\t"
_OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of characters that are not seen but change what is seen: control,
format (among them those that turn the direction of writing), half surrogates, line breaks."""
_LONGEST_NAME = 120
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def visible(text: Path | str) -> str:
    r"""Return a text with control characters, and bytes that are not UTF-8, as escapes.

    ``"\x1b[2J"`` becomes ``"\\x1b[2J"``; line breaks and tabs stay. A file name that is not
    UTF-8 (Python keeps its bytes as half surrogates) shows them as ``\xe4``.
    """
    return "".join(_seen(c) if _hidden(c) else c for c in str(text))


def visible_line(text: Path | str) -> str:
    """Return a text as `visible` does, line breaks and tabs as blanks."""
    return visible(" ".join(str(text).split()))


def quoted(text: Path | str) -> str:
    """Return a name in quotes for a message, with escapes, and cut if it is very long."""
    name = str(text)
    return repr(name) if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]!r} …"


def html(text: Path | str) -> str:
    """Return a text for an HTML page: as it is written, with nothing that a browser obeys."""
    return escape(visible(text))


def csv_cell(value: object) -> object:
    """Return a value for a cell of a table; text that a spreadsheet takes for a formula is quoted.

    A single quote before it is what spreadsheets use for text. Numbers stay numbers.
    """
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def uncelled(text: str) -> str:
    """Return the text of a cell without the single quote that `csv_cell` puts before formulas."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text


def _hidden(character: str) -> bool:
    return character not in _HARMLESS and unicodedata.category(character) in _OBEYED


def _seen(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as os.fsdecode keeps it
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
