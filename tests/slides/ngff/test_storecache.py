"""Answers of a slow store are kept up to a bound, those without content too, errors not."""

from __future__ import annotations

import asyncio

import pytest
from zarr.abc.store import RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from napari_fddm.core.errors import SlideError
from napari_fddm.slides.ngff.storecache import CachedStore


class Slow(MemoryStore):
    """A store that counts what it is asked for, and fails when it is told to."""

    def __init__(self):
        buffer = default_buffer_prototype().buffer
        super().__init__({k: buffer.from_bytes(k.encode() * 100) for k in "abc"})
        self.asked, self.broken = [], False

    async def get(self, key, prototype=None, byte_range=None):
        self.asked.append(key)
        if self.broken:
            raise OSError("no route")
        return await super().get(key, prototype, byte_range)


def ask(store, keys):
    """Ask for keys, one after another; None where nothing is."""
    answers = [asyncio.run(store.get(key)) for key in keys]
    return [None if answer is None else answer.to_bytes()[:1].decode() for answer in answers]


def test_an_answer_is_asked_for_once_and_nothing_there_is_an_answer():
    slow = Slow()
    assert ask(CachedStore(slow, limit=10_000), "axax") == ["a", None, "a", None]
    assert slow.asked == ["a", "x"]


def test_what_was_not_asked_for_longest_goes_first():
    slow = Slow()
    store = CachedStore(slow, limit=700)  # two answers of 100 bytes and what each costs beside
    assert ask(store, "abacab") == list("abacab")
    assert slow.asked == ["a", "b", "c", "b"]


def test_without_room_nothing_is_kept():
    slow = Slow()
    assert ask(CachedStore(slow), "aa") == ["a", "a"]
    assert slow.asked == ["a", "a"]


def test_an_error_is_not_kept():
    slow = Slow()
    store = CachedStore(slow, limit=10_000)
    slow.broken = True
    with pytest.raises(OSError, match="no route"):
        ask(store, "a")
    slow.broken = False
    assert ask(store, "a") == ["a"]


def test_more_than_was_asked_for_is_no_answer():
    class Whole(Slow):
        """Ignores ranges, as some servers do."""

        async def get(self, key, prototype=None, byte_range=None):
            return await super().get(key, prototype)

    store = CachedStore(Whole(), limit=10_000)
    for part in (RangeByteRequest(10, 20), SuffixByteRequest(10)):
        with pytest.raises(SlideError, match="more than asked for"):
            asyncio.run(store.get("a", byte_range=part))
    assert ask(store, "a") == ["a"]
