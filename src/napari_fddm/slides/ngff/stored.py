"""Which chunks of a zarr array were stored; what is missing reads as the fill value."""

from __future__ import annotations

import asyncio
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt
    import zarr
    from zarr.abc.store import Store

MOST_CHUNKS = 1 << 24
"""Chunks of a level; a slide of 2¹⁶ chunks of 512 px has 130 000 px a side."""
_AT_ONCE = 64
"""So many keys are asked for at a time where a store cannot list them."""
_MISSING = 2**64 - 1
"""Offset and length of a chunk that is not in its shard (zarr 3, sharding-indexed)."""


@dataclass(frozen=True, slots=True)
class StoredChunks:
    """Which chunks of one level are stored.

    Attributes
    ----------
    grid : array of bool, shape (rows, columns)
        True where all channels of a chunk are stored.
    chunk : tuple of int
        Height and width of a chunk, px.
    shape : tuple of int
        Height and width of the level, px.
    """

    grid: npt.NDArray[np.bool_]
    chunk: tuple[int, int]
    shape: tuple[int, int]

    @property
    def missing(self) -> int:
        """Number of chunks that are not stored."""
        return int(self.grid.size - np.count_nonzero(self.grid))

    def mask(self, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """Return an image of a shape that is True where every pixel below it is stored."""
        sums = np.pad(np.cumsum(np.cumsum(~self.grid, 0), 1), ((1, 0), (1, 0)))
        (top, bottom), (left, right) = (
            _touched(cells, side, chunk, chunks)
            for cells, side, chunk, chunks in zip(
                shape, self.shape, self.chunk, self.grid.shape, strict=True
            )
        )
        lost = (
            sums[np.ix_(bottom, right)] - sums[np.ix_(top, right)]
            - sums[np.ix_(bottom, left)] + sums[np.ix_(top, left)]
        )  # fmt: skip
        stored: npt.NDArray[np.bool_] = lost == 0
        return stored


def stored_chunks(array: zarr.Array[Any], axes: tuple[str, ...]) -> StoredChunks:
    """Find out which chunks of a level are stored.

    A store that cannot list its keys is asked for each of them.

    Parameters
    ----------
    array : zarr.Array
        A level, checked.
    axes : tuple of str
        Names of its axes, among them "y" and "x".

    Raises
    ------
    OSError
        And errors of network libraries, if the store cannot be reached.
    """
    sizes = array.shards or array.chunks
    counts = [math.ceil(side / size) for side, size in zip(array.shape, sizes, strict=True)]
    keys = {
        array.metadata.encode_chunk_key(place): place
        for place in itertools.product(*(range(count) for count in counts))
    }
    found = _present(array.store, array.path, keys)
    inner = [size // chunk for size, chunk in zip(sizes, array.chunks, strict=True)]
    grid = np.zeros([count * n for count, n in zip(counts, inner, strict=True)], bool)
    for key in found:
        place = tuple(slice(k * n, (k + 1) * n) for k, n in zip(keys[key], inner, strict=True))
        grid[place] = True if array.shards is None else _in_shard(array, key, tuple(inner))
    used = [math.ceil(side / chunk) for side, chunk in zip(array.shape, array.chunks, strict=True)]
    grid = grid[tuple(slice(n) for n in used)]
    y, x = axes.index("y"), axes.index("x")
    channels = np.moveaxis(grid, (y, x), (0, 1)).reshape(used[y], used[x], -1)
    plane = np.asarray(channels.all(axis=2))
    return StoredChunks(plane, (array.chunks[y], array.chunks[x]), (array.shape[y], array.shape[x]))


def count_chunks(array: zarr.Array[Any]) -> int:
    """Return the number of chunks of an array."""
    pairs = zip(array.shape, array.chunks, strict=True)
    return math.prod(math.ceil(side / chunk) for side, chunk in pairs)


def _touched(
    cells: int, side: int, chunk: int, chunks: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the first chunk of each cell, and the one behind its last."""
    edges = np.arange(cells + 1) * (side / cells)
    first = np.clip(np.floor(edges[:-1] / chunk), 0, chunks - 1).astype(np.intp)
    behind = np.clip(np.ceil(edges[1:] / chunk), first + 1, chunks).astype(np.intp)
    return first, behind


def _present(store: Store, path: str, keys: Iterable[str]) -> set[str]:
    from zarr.core.sync import sync

    prefix = f"{path}/" if path else ""
    if store.supports_listing:
        there: set[str] = sync(_listed(store, prefix))
        return there & set(keys)
    found: set[str] = sync(_asked(store, prefix, list(keys)))
    return found


async def _listed(store: Store, prefix: str) -> set[str]:
    return {key.removeprefix(prefix) async for key in store.list_prefix(prefix)}


async def _asked(store: Store, prefix: str, keys: list[str]) -> set[str]:
    found: set[str] = set()
    for begin in range(0, len(keys), _AT_ONCE):
        part = keys[begin : begin + _AT_ONCE]
        answers = await asyncio.gather(*(_is_there(store, prefix + key) for key in part))
        found |= {key for key, there in zip(part, answers, strict=True) if there}
    return found


async def _is_there(store: Store, key: str) -> bool:
    """Whether a server has a key. One that only fails to answer is an error, not a gap."""
    from zarr.core.buffer import default_buffer_prototype

    if await store.exists(key):
        return True
    return await store.get(key, default_buffer_prototype()) is not None


def _in_shard(
    array: zarr.Array[Any], key: str, inner: tuple[int, ...]
) -> npt.NDArray[np.bool_] | bool:
    """Return which chunks of a shard are in it; True where its index is of another kind."""
    from zarr.abc.store import RangeByteRequest, SuffixByteRequest
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    codec = array.metadata.codecs[0]
    kinds = [type(one).__name__ for one in codec.index_codecs]
    if kinds not in (["BytesCodec"], ["BytesCodec", "Crc32cCodec"]):
        return True
    size = 16 * math.prod(inner) + 4 * (len(kinds) - 1)
    at_start = str(codec.index_location.value) == "start"
    part = RangeByteRequest(0, size) if at_start else SuffixByteRequest(size)
    place = f"{array.path}/{key}".lstrip("/")
    found = sync(array.store.get(place, default_buffer_prototype(), part))
    data = b"" if found is None else found.to_bytes()
    if len(data) < size:
        return False  # cut off: none of its chunks can be found
    index = np.frombuffer(data, "<u8", 2 * math.prod(inner)).reshape(*inner, 2)
    there: npt.NDArray[np.bool_] = ~(index == _MISSING).all(axis=-1)
    return there
