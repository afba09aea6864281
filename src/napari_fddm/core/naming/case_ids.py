"""Case ids: one patient whose id was written in two ways is found before the data are divided."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from napari_fddm.core.errors import DataError, FddmError
from napari_fddm.core.outside.text import quoted, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

DISTINCT = "--distinct-cases"
"""The option with which a user says that ids which look alike are of several patients."""
_FLOAT = re.compile(r"(\d+)[.,]0+")
"""What a spreadsheet makes of a whole number."""
_PART = re.compile(r"\d+|[^\W\d_]+|[^\w\s]", re.UNICODE)
_MOST_SHOWN = 3


def alike(case: str) -> str:
    """Return what case ids share that one patient may have been given.

    Case, blanks, dashes, underscores, leading zeros, ``.0`` behind a number, the form of
    Unicode, and characters that cannot be seen make no difference; letters, digits, accents
    and other signs do. For comparison only: a case keeps the id that it was given.
    """
    text = unicodedata.normalize("NFKC", case).casefold().strip()
    text = "".join(c for c in text if unicodedata.category(c) not in {"Cf", "Cc"})
    number = _FLOAT.fullmatch(text)
    parts = _PART.findall(number[1] if number else text)
    return " ".join(_without_zeros(part) for part in parts if not _is_dash(part))


def twice_spelled(cases: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of different ids that look alike, each in the order given."""
    groups: dict[str, dict[str, None]] = {}
    for case in cases:
        groups.setdefault(alike(case), {})[case] = None
    return [tuple(group) for group in groups.values() if len(group) > 1]


def refuse_twice_spelled(
    cases: Iterable[tuple[str, str]],
    place: str,
    *,
    error: type[FddmError] = DataError,
    way_out: str = f"If they are several patients, say {DISTINCT}.",
) -> None:
    """Refuse case ids that look like one patient spelled twice.

    Parameters
    ----------
    cases : iterable of (str, str)
        Each id, and where it stands, for the message: "line 3".
    place : str
        The table or folder they are in.
    error : type of FddmError
        The error to raise.
    way_out : str
        What to do if they are several patients.

    Raises
    ------
    FddmError
        With both spellings and where they stand.
    """
    first: dict[str, str] = {}
    for case, where in cases:
        first.setdefault(case, where)
    groups = twice_spelled(first)
    if not groups:
        return
    listed = [" and ".join(f"{quoted(c)} ({visible(first[c])})" for c in group) for group in groups]
    more = len(listed) - _MOST_SHOWN
    raise error(
        f"{visible(place)}: these look like one patient spelled twice: "
        f"{'; '.join(listed[:_MOST_SHOWN])}{f'; and {more} more' if more > 0 else ''}.",
        hint=f"Write the id of a patient in one way everywhere. {way_out}",
    )


def said_distinct(cases: Iterable[str]) -> tuple[str, ...]:
    """Return a note for each group of ids that look alike and count as several patients."""
    return tuple(
        f"{' and '.join(map(quoted, group))} count as {len(group)} patients ({DISTINCT})"
        for group in twice_spelled(cases)
    )


def _without_zeros(part: str) -> str:
    if not part.isdecimal():
        return part
    return "".join(str(unicodedata.digit(c)) for c in part).lstrip("0") or "0"


def _is_dash(part: str) -> bool:
    return part == "\N{MINUS SIGN}" or unicodedata.category(part[0]) == "Pd"
