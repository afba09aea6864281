"""Open zarr groups and arrays that others made, and read windows of them."""

from __future__ import annotations

import math
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import FddmError, StoreError
from napari_fddm.core.outside.archives import open_zip
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    import zarr
    from zarr.abc.store import Store

MOST_SIDE = 1 << 31
"""Cells per side. No scanner writes more, and sums of products stay exact."""
MOST_WHOLE = 1 << 32
"""Bytes of an array that is read as a whole: four times the largest map of labels that makes sense,
32 768 cells squared."""
MOST_CHUNK = 1 << 30
"""Bytes of a decoded chunk: one is decoded as a whole, whatever is read of it."""
_AGAIN = "Copy it again, or write it again with the program it came from."


def open_group(
    place: Path | Store,
    inside: str = "",
    *,
    mode: str = "r",
    zarr_format: int | None = None,
    error: type[FddmError] = StoreError,
    shown: str = "",
) -> zarr.Group:
    """Open a zarr group.

    Parameters
    ----------
    place : Path or Store
        A folder or an open store.
    inside : str
        Path of the group within it.
    mode : str
        "r" or "r+".
    zarr_format : int, optional
        2 or 3; by default whichever it is.
    error : type of FddmError
        The error to raise.
    shown : str
        What messages call it; by default its place.

    Raises
    ------
    FddmError
        If it is not there, damaged, or no group.
    """
    import zarr

    from napari_fddm.core.outside.zarr_local import RegularFiles

    shown = shown or f"{place}/{inside}".rstrip("/")
    with reading("a zarr group", shown, error=error, hint=_AGAIN):
        if isinstance(place, Path):
            place = RegularFiles(place, read_only=mode == "r")
        return zarr.open_group(place, path=inside or None, mode=mode, zarr_format=zarr_format)


@contextmanager
def open_zip_store(path: Path, *, error: type[FddmError] = StoreError) -> Iterator[Store]:
    """Open a zarr store that is one ZIP archive, after a look at what the archive holds.

    Raises
    ------
    FddmError
        As `archives.open_zip`.
    """
    from zarr.storage import ZipStore

    with open_zip(path, "a zipped zarr store", error=error):
        pass
    with reading("a zipped zarr store", path, error=error, hint=_AGAIN):
        store = ZipStore(path, mode="r", read_only=True)
    try:
        yield store
    finally:
        store.close()


def child_array(
    group: zarr.Group,
    name: str,
    *,
    dims: tuple[int, ...] = (),
    error: type[FddmError] = StoreError,
    shown: str = "",
) -> zarr.Array[Any]:
    """Return an array of a group whose shape and chunks are of a size that can be.

    Parameters
    ----------
    group : Group
        From `open_group`.
    name : str
        Path within the group.
    dims : tuple of int
        Numbers of dimensions that are allowed; empty: any.
    error : type of FddmError
        The error to raise.
    shown : str
        What messages call the group; by default its place.

    Raises
    ------
    FddmError
        If it is missing, is no array, or its shape, chunks or type cannot be.
    """
    import zarr

    where = f"{shown or group.store_path}/{name}"
    with reading("a zarr array", where, error=error, hint=_AGAIN):
        found = group[name]
    if not isinstance(found, zarr.Array):
        raise error(f"{visible(where)} is no zarr array.", hint=_AGAIN)
    check_array(found, where, dims=dims, error=error)
    return found


def check_array(
    array: zarr.Array[Any],
    where: str,
    *,
    dims: tuple[int, ...] = (),
    error: type[FddmError] = StoreError,
) -> None:
    """Refuse an array whose dimensions, sides or chunks cannot be; nothing is read of it."""
    if dims and array.ndim not in dims:
        raise error(f"{visible(where)} has {array.ndim} dimensions.", hint=_AGAIN)
    if any(side > MOST_SIDE or side < 1 for side in array.shape):
        raise error(f"{visible(where)} has an impossible shape: {array.shape}.", hint=_AGAIN)
    chunk = math.prod(array.chunks) * max(1, array.dtype.itemsize)
    if chunk > MOST_CHUNK:
        raise error(
            f"{visible(where)} has chunks of {chunk / (1 << 20):,.0f} MiB, too large to read.",
            hint="Write it again in chunks of at most 1 GiB.",
        )


def read_window(
    array: zarr.Array[Any], key: Any, *, error: type[FddmError] = StoreError
) -> np.ndarray[Any, Any]:
    """Read part of an array; a chunk that cannot be decoded becomes an error with its place."""
    with reading("zarr data", str(array.store_path), error=error, hint=_AGAIN):
        return np.asarray(array[key])


def read_whole_array(
    array: zarr.Array[Any], where: str, *, error: type[FddmError] = StoreError
) -> np.ndarray[Any, Any]:
    """Read a whole array that is not too large for that.

    Raises
    ------
    FddmError
        If it is, or a chunk cannot be decoded.
    """
    size = math.prod(array.shape) * max(1, array.dtype.itemsize)
    if size > MOST_WHOLE:
        raise error(
            f"{visible(where)} has {array.shape} cells, too many to read.",
            hint="Write it again with larger cells.",
        )
    return read_window(array, ..., error=error)
