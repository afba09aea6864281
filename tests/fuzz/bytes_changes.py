"""Changes of bytes that know nothing of a format."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from random import Random


class Changed(NamedTuple):
    """Changed bytes.

    Attributes
    ----------
    data : bytes
        All of them.
    words : str
        What was done.
    start, end : int
        Which of the former bytes are others now, or have moved: up to the end, if the length
        is another.
    """

    data: bytes
    words: str
    start: int
    end: int


def change_bytes(data: bytes, rng: Random, *, within: tuple[int, int] | None = None) -> Changed:
    """Change a few bytes, or many.

    Parameters
    ----------
    data : bytes
        At least one.
    rng : Random
        Chooses how and where.
    within : (int, int), optional
        Where the change begins; by default anywhere.
    """
    low, high = within or (0, len(data))
    at = rng.randrange(low, max(high, low + 1)) if data else 0
    how = rng.choice((_flip, _flip, _flip, _set, _run, _cut, _insert, _remove, _splice, _append))
    return how(data, at, rng)


def _flip(data: bytes, at: int, rng: Random) -> Changed:
    bit = rng.randrange(8)
    return _with(data, at, bytes([data[at] ^ 1 << bit]), f"bit {bit} of byte {at} flipped")


def _set(data: bytes, at: int, rng: Random) -> Changed:
    value = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return _with(data, at, bytes([value]), f"byte {at} set to {value}")


def _run(data: bytes, at: int, rng: Random) -> Changed:
    length = min(rng.choice((2, 4, 16, 64, 1024)), len(data) - at)
    fill = rng.choice((0, 0xFF))
    return _with(data, at, bytes([fill]) * length, f"{length} bytes from {at} set to {fill}")


def _cut(data: bytes, at: int, rng: Random) -> Changed:
    at = rng.choice((at, at, len(data) - 1))
    return Changed(data[:at], f"cut off at byte {at} of {len(data)}", at, len(data))


def _insert(data: bytes, at: int, rng: Random) -> Changed:
    new = rng.choice((b"\x00", b"\xff" * 4, rng.randbytes(rng.choice((1, 7, 64)))))
    words = f"{len(new)} bytes put in at {at}"
    return Changed(data[:at] + new + data[at:], words, at, len(data))


def _remove(data: bytes, at: int, rng: Random) -> Changed:
    length = min(rng.choice((1, 2, 16, 100)), len(data) - at)
    words = f"{length} bytes taken out at {at}"
    return Changed(data[:at] + data[at + length :], words, at, len(data))


def _splice(data: bytes, at: int, rng: Random) -> Changed:
    length = min(rng.choice((4, 16, 64, 512)), len(data) - at)
    source = rng.randrange(max(1, len(data) - length + 1))
    piece = data[source : source + length]
    return _with(data, at, piece, f"{length} bytes from {source} copied over {at}")


def _append(data: bytes, at: int, rng: Random) -> Changed:
    new = rng.choice((b"\x00" * 16, b"\n", data[at : at + 64], rng.randbytes(9)))
    return Changed(data + new, f"{len(new)} bytes put behind the end", len(data), len(data))


def _with(data: bytes, at: int, new: bytes, words: str) -> Changed:
    return Changed(data[:at] + new + data[at + len(new) :], words, at, at + len(new))
