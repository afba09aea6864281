"""Open safetensors files that others made; the header is checked before anything is read."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import FddmError, WeightsError
from napari_fddm.core.outside.files import open_file, require_regular
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.json_files import as_object, parse_json
from napari_fddm.core.outside.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHAT = "safetensors"
LARGEST_HEADER = 32 << 20
"""Bytes. A network of ten thousand tensors has 1 MB."""
_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
    "BOOL": 1,
}  # fmt: skip
_AGAIN = "Copy the model's files again."


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """What the header says of a tensor.

    Attributes
    ----------
    dtype : str
        The format's name: "F16", "BF16" …
    shape : tuple of int
        Its shape.
    """

    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path, *, error: type[FddmError] = WeightsError) -> dict[str, TensorEntry]:
    """Return what a safetensors file says of its tensors; no tensor is read.

    Raises
    ------
    FddmError
        If it is no such file, or types, shapes and places do not fit each other and the size
        of the file.
    """
    size = require_regular(path, WHAT, error=error)
    with open_file(path, WHAT, error=error) as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, LARGEST_HEADER):
            raise _damaged(path, "its header has an impossible length", error)
        text = file.read(length)
    parsed = parse_json(text, path, what=WHAT, error=error, hint=_AGAIN)
    values = as_object(parsed, path, error=error)
    values.pop("__metadata__", None)
    found, ends = {}, []
    for name, entry in values.items():
        found[name], begin, end = _entry(name, entry, path, error)
        ends.append((begin, end))
    reached = 0
    for begin, end in sorted(ends):
        if begin != reached:
            raise _damaged(path, "its tensors overlap or leave gaps", error)
        reached = end
    if reached != size - 8 - length:
        raise _damaged(path, "its tensors do not fill the file", error)
    return found


@contextmanager
def open_tensors(path: Path, *, error: type[FddmError] = WeightsError) -> Iterator[Any]:
    """Open a safetensors file whose header was found sound, for reading torch's tensors.

    Yields
    ------
    safe_open
        With ``keys`` and ``get_tensor``.

    Raises
    ------
    FddmError
        If it cannot be read.
    """
    from safetensors import safe_open

    read_header(path, error=error)
    with reading(WHAT, path, error=error, hint=_AGAIN), safe_open(path, framework="pt") as file:
        yield file


def _entry(
    name: str, entry: Any, path: Path, error: type[FddmError]
) -> tuple[TensorEntry, int, int]:
    values = entry if isinstance(entry, dict) else {}
    dtype, shape, place = (values.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in _BYTES:
        raise _damaged(path, f"the type of {visible(name)!r} is not known", error)
    sides, places = _whole(shape), _whole(place)
    if sides is None or places is None or len(places) != 2:
        raise _damaged(path, f"shape or place of {visible(name)!r} is no list of numbers", error)
    begin, end = places
    if math.prod(sides) * _BYTES[dtype] != end - begin:
        raise _damaged(path, f"shape and size of {visible(name)!r} differ", error)
    return TensorEntry(dtype, sides), begin, end


def _whole(values: Any) -> tuple[int, ...] | None:
    if not isinstance(values, list) or len(values) > 16:
        return None
    right = all(type(value) is int and 0 <= value < 1 << 48 for value in values)
    return tuple(values) if right else None


def _damaged(path: Path, why: str, error: type[FddmError]) -> FddmError:
    return error(f"{visible(path)} cannot be read as {WHAT}: {why}.", hint=_AGAIN)
