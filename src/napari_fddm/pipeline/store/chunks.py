"""Which chunks of a store's arrays are there, and what is lost with those that are not.

zarr reads a missing chunk as its fill value, which for labels means "not analyzed" and for
probabilities nothing at all. The marks of what is done say which chunks have to exist.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import StoreError
from napari_fddm.core.files import storage_errors
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import visible
from napari_fddm.interop.levels import for_writing
from napari_fddm.interop.pyramids import nearest_index

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry

    Mask = npt.NDArray[np.bool_]

AGAIN = "Restore it from a backup, or run the analysis again: what is lost is computed anew."


def stored_chunks(folder: Path, array: Any) -> Mask:
    """Return which chunks (shards, where there are any) of an array exist.

    Parameters
    ----------
    folder : Path
        The array's folder.
    array : Array
        Its last two axes are cut into chunks.

    Returns
    -------
    array of bool, shape (rows of chunks, columns of chunks)
    """
    size = _chunk_size(array)
    grid = np.zeros([-(-n // c) for n, c in zip(array.shape[-2:], size, strict=True)], np.bool_)
    place = _chunks_folder(folder, array)
    with reading("an array", folder, error=StoreError):
        for row in range(len(grid)):
            try:
                entries = list(os.scandir(place / str(row)))
            except FileNotFoundError:
                continue
            for entry in entries:
                if entry.name.isdecimal() and int(entry.name) < grid.shape[1] and entry.is_file():
                    grid[row, int(entry.name)] = True
    return grid


def lost_cells(
    stored: Mask, array: Any, geometry: MapGeometry, done: Mask, done_geometry: MapGeometry
) -> Mask:
    """Return the cells that are marked as done but whose data lies in a chunk that is missing.

    Parameters
    ----------
    stored : array of bool
        From `stored_chunks`.
    array : Array
        The data.
    geometry, done_geometry : MapGeometry
        Grids of the data and of the marks.
    done : array of bool, shape of ``done_geometry``
        The marks.

    Returns
    -------
    array of bool, shape of ``done_geometry``
    """
    lost = np.zeros_like(done)
    if stored.all():
        return lost
    rows, cols = nearest_index(done_geometry, geometry)
    height, width = _chunk_size(array)
    for y, x in np.argwhere(~stored):
        place = np.ix_(
            _inside(rows[y * height : (y + 1) * height], len(done)),
            _inside(cols[x * width : (x + 1) * width], done.shape[1]),
        )
        lost[place] = done[place]
    return lost


def lost_error(path: Path, key: str, stored: Mask, array: Any, mm2: float) -> StoreError:
    """Return the error that some chunks of an array are missing.

    Parameters
    ----------
    path : Path
        The store.
    key : str
        The array's path within it.
    stored : array of bool
        From `stored_chunks`.
    array : Array
        The array.
    mm2 : float
        Area that is lost with them, mm²; 0 where none is.
    """
    y, x = np.argwhere(~stored)[0].tolist()
    first = _chunks_folder(Path(key), array) / str(y) / str(x)
    area = f": {mm2:.3g} mm² that were analyzed are lost" if mm2 else ""
    return StoreError(
        f"{visible(path)} is damaged: chunks of {key} are missing, such as "
        f"{first.as_posix()}{area}.",
        hint=AGAIN,
    )


def damaged_chunks(folder: Path, array: Any) -> Iterator[tuple[Path, Exception]]:
    """Read all chunks that exist; yield the file of each that cannot be decoded, and why."""
    height, width = _chunk_size(array)
    for y, x in np.argwhere(stored_chunks(folder, array)).tolist():
        part = (slice(y * height, (y + 1) * height), slice(x * width, (x + 1) * width))
        try:
            array[(..., *part)]
        except Exception as fault:  # noqa: BLE001 - damaged data makes codecs raise anything
            yield _chunks_folder(folder, array) / str(y) / str(x), fault


def read_whole(path: Path, key: str, array: Any) -> npt.NDArray[Any]:
    """Read an array whole.

    Raises
    ------
    StoreError
        Naming the file of the first chunk that cannot be decoded.
    """
    try:
        return np.require(array[...], requirements="W")
    except Exception as fault:
        for file, why in damaged_chunks(path / key, array):
            with reading("a chunk of an analysis", file, hint=AGAIN, error=StoreError):
                raise why from fault
        with reading("an array", path / key, hint=AGAIN, error=StoreError):
            raise


def fill_missing(folder: Path, array: Any) -> None:
    """Write the chunks of an array that were never written, so that all of them exist."""
    height, width = _chunk_size(array)
    writable = for_writing(array)
    for y, x in np.argwhere(~stored_chunks(folder, array)).tolist():
        part = (slice(y * height, (y + 1) * height), slice(x * width, (x + 1) * width))
        with storage_errors("write", folder):
            writable[(..., *part)] = array.fill_value


def _chunk_size(array: Any) -> tuple[int, int]:
    height, width = (array.shards or array.chunks)[-2:]
    return int(height), int(width)


def _chunks_folder(folder: Path, array: Any) -> Path:
    return Path(folder, "c", *["0"] * (array.ndim - 2))


def _inside(index: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    return np.unique(index[(index >= 0) & (index < size)])
