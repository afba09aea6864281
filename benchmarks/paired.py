"""Time several functions in turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Outcome:
    """What one contender reached over all rounds.

    Attributes
    ----------
    name : str
        The contender.
    rate : float
        Median of work per second.
    ratio : float
        Median of its rate over the reference's in the same round.
    lowest, highest : float
        The extremes of that ratio.
    """

    name: str
    rate: float
    ratio: float
    lowest: float
    highest: float


def compare(contenders: Mapping[str, Callable[[], float]], *, rounds: int) -> list[Outcome]:
    """Let contenders take turns; each does its work and returns its rate.

    The first is the reference. Each round runs all of them, in turned order, so that
    nobody always goes first; a round before them warms up and does not count.

    Parameters
    ----------
    contenders : mapping of str to callable
        ``work() -> units per second``.
    rounds : int
        Rounds that count.
    """
    names = list(contenders)
    rates: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        contenders[name]()
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            rates[name].append(contenders[name]())
    reference = rates[names[0]]
    return [_outcome(name, rates[name], reference) for name in names]


def rate_of(work: Callable[[], int]) -> float:
    """Return the units per second of a piece of work that says how many it did."""
    started = time.perf_counter()
    units = work()
    return units / (time.perf_counter() - started)


def _outcome(name: str, rates: list[float], reference: list[float]) -> Outcome:
    ratios = [mine / theirs for mine, theirs in zip(rates, reference, strict=True)]
    return Outcome(
        name, statistics.median(rates), statistics.median(ratios), min(ratios), max(ratios)
    )
