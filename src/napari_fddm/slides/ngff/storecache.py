"""A zarr store that caches the answers of a slow one; importing this module imports zarr."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.storage import WrapperStore

from napari_fddm.core.errors import SlideError
from napari_fddm.core.outside.text import visible

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest, Store
    from zarr.core.buffer import Buffer, BufferPrototype

_KEY_BYTES = 200
"""Cost of an entry beside its content, so that cached answers "nothing there" are bounded too."""


class CachedStore(WrapperStore["Store"]):  # type: ignore[misc]  # zarr is not looked into
    """A read-only store in front of a slow one.

    Answers are kept as they came (compressed), also "nothing there", up to a number of
    bytes; errors are not.

    Parameters
    ----------
    store : Store
        Where the answers come from.
    limit : int
        Bytes to keep.
    lists : bool
        Whether it can be asked cheaply which keys it has.
    """

    def __init__(self, store: Store, limit: int = 0, *, lists: bool = True) -> None:
        super().__init__(store)
        self._lists = lists
        self._limit = limit
        self._bytes = 0
        self._answers: OrderedDict[tuple[str, ByteRequest | None], Buffer | None] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def supports_listing(self) -> bool:
        """Whether it can be asked cheaply which keys it has."""
        return self._lists

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Return the content of a key, from the cache where it is there."""
        from zarr.core.buffer import default_buffer_prototype

        asked = (key, byte_range)
        with self._lock:
            if asked in self._answers:
                self._answers.move_to_end(asked)
                return self._answers[asked]
        answer = await self._store.get(key, prototype or default_buffer_prototype(), byte_range)
        if answer is not None and len(answer) > _most(byte_range):
            # A server that ignores ranges sends the whole file, whose begin is another part.
            raise SlideError(
                f"{visible(key)} cannot be read in parts: its server sends more than asked for.",
                hint="Download the slide first.",
            )
        with self._lock:
            if asked not in self._answers:
                self._answers[asked] = answer
                self._bytes += _cost(answer)
            while self._bytes > self._limit:
                self._bytes -= _cost(self._answers.popitem(last=False)[1])
        return answer


def _most(byte_range: ByteRequest | None) -> float:
    """Return how many bytes an answer can have."""
    if isinstance(byte_range, RangeByteRequest):
        return float(byte_range.end - byte_range.start)
    return float(byte_range.suffix) if isinstance(byte_range, SuffixByteRequest) else math.inf


def _cost(answer: Buffer | None) -> int:
    return _KEY_BYTES + (0 if answer is None else len(answer))
