"""Arrays of a pyramid: create them, write windows, derive the coarser levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import StoreError
from napari_fddm.core.files import storage_errors
from napari_fddm.core.geometry import Window
from napari_fddm.core.outside.zarr_files import read_window
from napari_fddm.interop.pyramids import (
    blocks_of,
    coarser_window,
    finer_window,
    mean_halved,
    mode_halved,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    import zarr
    from zarr.core.array_spec import ArrayConfigParams

    from napari_fddm.core.geometry import MapGeometry

CHUNK = 512
"""Cells per side of a chunk: a brush stroke rewrites 256 KB before compression."""
SHARD = 2048
"""Pixels per side of a shard; used for images only, because painting rewrites a whole shard."""
_SHARD_FROM = 8 * SHARD
"""Images with a longer side than this are sharded: 1024 chunks are enough files."""
_BLOCK = 2 * CHUNK
"""Cells per side written at once while a pyramid is built: whole chunks. A shard, where
there are any, is written whole as well."""


_WRITING: ArrayConfigParams = {"write_empty_chunks": True}


def create_array(group: zarr.Group, name: str, **options: Any) -> zarr.Array[Any]:
    """Create an array whose chunks carry a checksum and exist once they were written.

    So a damaged chunk cannot be read by mistake, and one that is missing is known to be
    lost, not empty. Nothing is written yet: an array of any size costs one small file.

    Parameters
    ----------
    group : Group
        Where to create it.
    name : str
        Its name.
    **options
        As `zarr.Group.create_array` takes them.
    """
    from zarr.codecs import Crc32cCodec, ZstdCodec

    compressors = (ZstdCodec(level=3, checksum=True), Crc32cCodec())
    return group.create_array(name, compressors=compressors, config=_WRITING, **options)


def for_writing(array: Any) -> Any:
    """Return an array that was opened anew, so that chunks full of its fill value are written."""
    return array.with_config(_WRITING)


def create_level(group: zarr.Group, index: int, level: MapGeometry, *, channels: bool) -> None:
    """Create one empty level: labels (y, x) filled with 0, or RGB (c, y, x) filled white."""
    sharded = channels and max(level.shape) > _SHARD_FROM
    depth = (3,) if channels else ()
    create_array(
        group,
        str(index),
        shape=(*depth, *level.shape),
        chunks=(*depth, CHUNK, CHUNK),
        shards=(*depth, SHARD, SHARD) if sharded else None,
        dtype="uint8",
        fill_value=255 if channels else 0,
        dimension_names=("c", "y", "x") if channels else ("y", "x"),
    )


def write_window(
    group: zarr.Group, level: str, window: Window, values: npt.NDArray[np.uint8]
) -> None:
    """Write a window of a level; cells outside the level are ignored.

    Parameters
    ----------
    group : Group
        The pyramid.
    level : str
        Name of the array.
    window : Window
        Cells of that level.
    values : array of uint8, shape (h, w) or (3, h, w)
        Values of the window.

    Raises
    ------
    StoreError
        If the shapes differ or the store cannot be written.
    """
    if values.shape[-2:] != (window.height, window.width) or values.dtype != np.uint8:
        raise StoreError(
            f"expected uint8 values for a window of {(window.height, window.width)}, "
            f"got {values.shape} in {values.dtype}."
        )
    array = for_writing(group[level])
    inside = window.clipped(array.shape[-2:])
    if inside.is_empty:
        return
    moved = Window(inside.y - window.y, inside.x - window.x, inside.height, inside.width)
    with storage_errors("write", f"{group.store_path}/{level}"):
        array[(..., *inside.slices)] = values[(..., *moved.slices)]


def rebuild_levels(group: zarr.Group, window: Window | None, *, channels: bool) -> None:
    """Derive the coarser levels from the finest, where a window of it changed (None: all).

    Raises
    ------
    StoreError
        If the store cannot be read or written.
    """
    halve = mean_halved if channels else mode_halved
    finer: Any = group["0"]
    dirty = window or Window(0, 0, *finer.shape[-2:])
    for index in range(1, sum(1 for _ in group.array_keys())):
        coarser = for_writing(group[str(index)])
        shape = finer.shape[-2:]
        dirty = coarser_window(dirty, shape)
        for block in blocks_of(dirty, SHARD if coarser.shards else _BLOCK):
            values = read_window(finer, (..., *finer_window(block, shape).slices))
            with storage_errors("write", f"{group.store_path}/{index}"):
                coarser[(..., *block.slices)] = halve(values)
        finer = coarser
