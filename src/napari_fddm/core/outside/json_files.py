"""Read JSON and TOML that others wrote."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any, TypeVar

from napari_fddm.core.errors import FddmError, StoreError
from napari_fddm.core.outside.files import MOST_TEXT, decoded, read_bytes, read_text
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import visible

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

_RESTORE = "Restore it from a backup."


def parse_json(
    text: str | bytes,
    place: Path | str,
    *,
    what: str = "JSON",
    error: type[FddmError] = StoreError,
    hint: str = _RESTORE,
    constants: bool = False,
) -> Any:
    """Return the value of a JSON text.

    ``NaN`` and ``Infinity`` are no JSON (RFC 8259, section 6), but some programs write them;
    with ``constants`` they are read, and the caller looks at each number that it uses.

    Raises
    ------
    FddmError
        If it is no JSON or nested too deeply.
    """
    with reading(what, place, error=error, hint=hint):
        if isinstance(text, bytes):
            text = decoded(text, place, what, error=error)
        return json.loads(text, parse_constant=float if constants else _refuse_constant)


def read_json_value(
    path: Path,
    *,
    what: str = "JSON",
    error: type[FddmError] = StoreError,
    hint: str = _RESTORE,
    most: int = MOST_TEXT,
    constants: bool = False,
) -> Any:
    """Return the value of a JSON file, which may have a byte order mark or be a ``.gz``."""
    data = read_bytes(path, what, most=most, error=error)
    return parse_json(data, path, what=what, error=error, hint=hint, constants=constants)


def read_json(path: Path, *, error: type[FddmError] = StoreError) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    FddmError
        If the file is missing, unreadable or not a JSON object.
    """
    return as_object(read_json_value(path, error=error), path, error=error)


def as_object(
    value: Any, place: Path | str, *, error: type[FddmError] = StoreError
) -> dict[str, Any]:
    """Return a value that must be a JSON object."""
    if not isinstance(value, dict):
        raise error(
            f"{visible(place)} cannot be read: expected a JSON object, not {kind_of(value)}.",
            hint=_RESTORE,
        )
    return value


def field(
    values: dict[str, Any],
    key: str,
    kind: type[T],
    place: Path | str,
    *,
    error: type[FddmError] = StoreError,
) -> T:
    """Return a value of a JSON object that must be there and of one type.

    ``float`` takes whole numbers, too; a bool is no number.
    """
    value = values.get(key)
    wanted = (int, float) if kind is float else kind
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
        found = f"is {kind_of(value)}" if key in values else "is missing"
        raise error(f"{visible(place)} is damaged: {key!r} {found}.", hint=_RESTORE)
    return kind(value)  # type: ignore[call-arg]


def read_toml(path: Path, *, error: type[FddmError], hint: str = "Correct the file.") -> Any:
    """Return the tables of a TOML file."""
    text = read_text(path, "TOML", error=error)
    with reading("TOML", path, error=error, hint=hint):
        return tomllib.loads(text)


def kind_of(value: Any) -> str:
    """Return in words what a JSON value is, for messages."""
    if value is None:
        return "null"
    names = {bool: "true or false", dict: "an object", list: "a list", str: "a text"}
    return names.get(type(value), "a number")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")
