"""Confidence intervals by the percentile bootstrap over cases.

Cells, regions and slides of one patient share their stain, their tumor and the model's
errors on it, so only whole cases are drawn (``docs/algorithm.md#intervals``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import ConfigError
from napari_fddm.evaluation.metrics import mean_of_known

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Values = npt.NDArray[np.float64]
    Weights = npt.NDArray[np.int64]

FEW_CASES = 10
"""With fewer cases a percentile interval is known to be too narrow, which reports note."""
_ENOUGH = 0.9
"""Share of the draws that must have a value."""


@dataclass(frozen=True, slots=True)
class BootstrapSettings:
    """How intervals are made.

    Attributes
    ----------
    resamples : int
        Draws of cases, 100 or more: a percentile needs them.
    level : float
        Nominal coverage, between 0 and 1.
    seed : int
        Of the draws.
    """

    resamples: int = 2000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that give no interval."""
        if self.resamples < 100 or not 0 < self.level < 1 or self.seed < 0:
            raise ConfigError(
                f"a bootstrap of {self.resamples} resamples at level {self.level} with seed "
                f"{self.seed} is impossible.",
                hint="Take 100 resamples or more, a level between 0 and 1 and a seed from 0.",
            )


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of one number.

    Attributes
    ----------
    low, high : float
        Its ends.
    """

    low: float
    high: float


class CaseBootstrap:
    """Bootstrap draws of cases, the same for every number of an evaluation.

    Parameters
    ----------
    cases : sequence of str
        The case of each slide.
    settings : BootstrapSettings
        Resamples, level, seed.

    Attributes
    ----------
    names : tuple of str
        Cases, in the order of their first slide.
    reason : str
        Why there are no intervals; empty if there are.
    """

    def __init__(self, cases: Sequence[str], settings: BootstrapSettings) -> None:
        self.settings = settings
        self.names = tuple(dict.fromkeys(cases))
        self.reason = ""
        if len(self.names) < 2:
            self.reason = (
                f"no intervals: they come from drawing cases again, and there is "
                f"{len(self.names)} case"
            )
        count = len(self.names)
        rng = np.random.default_rng(settings.seed)
        equal = np.full(count, 1 / max(1, count))
        self._by_case: Weights = rng.multinomial(count, equal, settings.resamples)
        self._member = np.array([self.names.index(case) for case in cases], np.int64)

    @property
    def case_weights(self) -> Weights:
        """How often each case was drawn, shape (resamples, cases)."""
        return self._by_case

    @property
    def slide_weights(self) -> Weights:
        """How often each slide was drawn with its case, shape (resamples, slides)."""
        return self._by_case[:, self._member]

    def interval(self, drawn: Values) -> Interval | None:
        """Return the percentile interval of drawn values, shape (resamples,).

        None without intervals, and where too many draws have no value, e.g. because a
        class occurs in one case only.
        """
        known = drawn[~np.isnan(drawn)]
        if self.reason or len(known) < _ENOUGH * len(drawn):
            return None
        tail = (1 - self.settings.level) / 2
        low, high = np.quantile(known, [tail, 1 - tail])
        return Interval(float(low), float(high))

    def interval_of_mean(self, values: Sequence[float | None]) -> Interval | None:
        """Return the interval of the mean of one number for each case, None left out."""
        numbers = np.array([np.nan if v is None else v for v in values], np.float64)
        spread = np.where(self._by_case > 0, numbers, np.nan)
        known = ~np.isnan(spread)
        total = np.where(known, spread * self._by_case, 0.0).sum(axis=1)
        count = (known * self._by_case).sum(axis=1)
        means = np.full(len(total), np.nan)
        np.divide(total, count, out=means, where=count > 0)
        return self.interval(means)


def known_mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of what is known, None if nothing is."""
    numbers = np.array([np.nan if v is None else v for v in values], np.float64)
    mean = float(mean_of_known(numbers, axis=0))
    return None if np.isnan(mean) else mean
