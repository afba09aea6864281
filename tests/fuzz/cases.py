"""What a case is, what comes of it, and which of that is right."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

REFUSED, SAID, SAME, OTHER, FAILED = "refused", "said", "same", "other", "failed"
"""Verdicts: an error of ours; other numbers and a sentence that says so; the same numbers;
other numbers of a file that does not let one see it; and what must not be."""


class Mutation(NamedTuple):
    """What was done to a seed.

    Attributes
    ----------
    words : str
        In words, for the log.
    judged : bool
        Whether the file lets one see it, so that other numbers need a sentence. False for
        pixel data and for values that could be meant.
    """

    words: str
    judged: bool


class Outcome(NamedTuple):
    """What a reader was told.

    Attributes
    ----------
    numbers : dict
        Numbers, texts, or arrays of numbers; None says that there is none.
    words : frozenset of str
        Warnings and notes that stand beside them.
    """

    numbers: dict[str, Any]
    words: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Result:
    """What became of a case."""

    kind: str
    case: int
    verdict: str
    judged: bool
    seed: str = ""
    mutation: str = ""
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Kind(ABC):
    """A kind of file: how seeds are made, changed and read."""

    name: str
    tolerance: float = 0.0
    """By which numbers may differ and still be the same: of lossy pixels, in gray levels."""

    @abstractmethod
    def build(self, folder: Path) -> None:
        """Write the seeds, each a folder of its own."""

    @abstractmethod
    def mutate(self, work: Path, seed: str, rng: Random) -> Mutation:
        """Change the copy of a seed in place."""

    @abstractmethod
    def read(self, work: Path, seed: str) -> Outcome:
        """Read it as a user does; FddmError refuses it."""


def compare(
    reference: Outcome, found: Outcome, *, judged: bool, tolerance: float
) -> tuple[str, str]:
    """Return the verdict on what was read of a changed seed, and what differs."""
    changed = [
        key
        for key in sorted(reference.numbers.keys() | found.numbers.keys())
        if not _same(reference.numbers.get(key), found.numbers.get(key), tolerance)
    ]
    if not changed:
        return SAME, ""
    detail = "; ".join(
        f"{key}: {_shown(reference.numbers.get(key))} became {_shown(found.numbers.get(key))}"
        for key in changed
    )
    silent = [key for key in changed if found.numbers.get(key) is not None]
    if found.words - reference.words or not silent:
        return SAID, detail
    return (FAILED, f"other numbers without a word: {detail}") if judged else (OTHER, detail)


def _same(first: Any, second: Any, tolerance: float) -> bool:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        if first.shape != second.shape or first.dtype != second.dtype:
            return False
        if not tolerance:
            return bool(np.array_equal(first, second))
        return bool((np.abs(first - second) <= tolerance).all())
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return False
    if isinstance(first, float) and isinstance(second, float):
        return first == second or abs(first - second) <= 1e-9 * max(abs(first), abs(second))
    return type(first) is type(second) and bool(first == second)


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array {value.shape} with mean {value.mean():g}" if value.size else "no array"
    text = repr(value)
    return text if len(text) < 200 else f"{text[:200]} …"
