"""JSON objects of ours that carry a checksum of themselves: no value changes without a word.

The checksum is the SHA-256 of the canonical form of the rest: keys sorted, no blanks, ASCII.
So a file may be indented otherwise, but a digit that a failing disk changed is noticed.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import FddmError, StoreError
from napari_fddm.core.files import write_json
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.json_files import read_json
from napari_fddm.core.outside.text import visible

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CHECKSUM = "sha256"
"""Key of the checksum in the object that it is of."""


def write_checked(path: Path, values: Mapping[str, Any]) -> None:
    """Replace a JSON file atomically; it carries a checksum of itself.

    Raises
    ------
    StoreError
        If it cannot be written or a value has no JSON form.
    """
    write_json(path, with_checksum(values, path))


def read_checked(
    path: Path, *, error: type[FddmError] = StoreError, required: bool = True
) -> dict[str, Any]:
    """Read what `write_checked` wrote, without the checksum.

    Parameters
    ----------
    path : Path
        The file.
    error : type of FddmError
        The error to raise.
    required : bool
        Whether an object without a checksum is refused, too. Earlier versions wrote none.

    Raises
    ------
    FddmError
        If the file is missing, unreadable, no JSON object, or differs from its checksum.
    """
    return verified(read_json(path, error=error), path, error=error, required=required)


def with_checksum(values: Mapping[str, Any], place: Path | str) -> dict[str, Any]:
    """Return a JSON object with its checksum as a last field; an older one is replaced.

    Raises
    ------
    StoreError
        If a value has no JSON form.
    """
    rest = {key: value for key, value in values.items() if key != CHECKSUM}
    try:
        return {**rest, CHECKSUM: _checksum(rest)}
    except (TypeError, ValueError, RecursionError) as fault:
        raise StoreError(
            f"cannot write {place}: {fault}.", hint="Give plain numbers, text, lists and mappings."
        ) from fault


def verified(
    values: Mapping[str, Any],
    place: Path | str,
    *,
    error: type[FddmError] = StoreError,
    required: bool = True,
) -> dict[str, Any]:
    """Return an object of `with_checksum` without its checksum, which must be right.

    Raises
    ------
    FddmError
        If it is not, or if there is none although it is required.
    """
    rest = {key: value for key, value in values.items() if key != CHECKSUM}
    if CHECKSUM in values or required:
        missing = CHECKSUM not in values
        with reading("JSON", place, error=error):
            right = not missing and values[CHECKSUM] == _checksum(rest)
        if not right:
            fault = "its checksum is missing" if missing else "it differs from its checksum"
            raise error(
                f"{visible(place)} is damaged: {fault}.",
                hint="Restore it from a backup. It must not be edited by hand.",
            )
    return rest


def _checksum(values: Mapping[str, Any]) -> str:
    """Return the checksum of the object as it is after it was written and read."""
    # A value that was just parsed is plain already, but one to be written may hold tuples
    # and keys that are no text, which only the first pass makes what they will be.
    plain = json.loads(json.dumps(values))
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
