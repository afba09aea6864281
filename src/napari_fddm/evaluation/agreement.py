"""Agreement of raters on a number or a grade: ICC, Bland and Altman, weighted kappa.

Sources: Shrout & Fleiss, Psychol Bull 1979;86:420 (ICC forms and their intervals);
Bland & Altman, Lancet 1986;1:307; Cohen, Psychol Bull 1968;70:213.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Ratings = npt.NDArray[np.float64]

GRADES = ("I", "II", "III", "IV")
_TINY = 1e-12
"""Mean squares below this share of the largest are rounding."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval, or the reason why there is none.

    Attributes
    ----------
    value, low, high : float or None
        None where there is none.
    reason : str
        Why; empty if all are there.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _MeanSquares:
    """Two-way analysis of variance: subjects, raters, residual."""

    subjects: float
    raters: float
    residual: float
    n: int
    k: int

    @classmethod
    def of(cls, ratings: Ratings) -> _MeanSquares:
        n, k = ratings.shape
        mean = ratings.mean()
        by_subject, by_rater = ratings.mean(axis=1), ratings.mean(axis=0)
        subjects = k * float(((by_subject - mean) ** 2).sum()) / (n - 1)
        raters = n * float(((by_rater - mean) ** 2).sum()) / (k - 1)
        rest = ratings - by_subject[:, None] - by_rater + mean
        residual = float((rest**2).sum()) / ((n - 1) * (k - 1))
        parts = [subjects, raters, residual]
        floor = _TINY * max(*parts, _TINY)
        subjects, raters, residual = (0.0 if part <= floor else part for part in parts)
        return cls(subjects, raters, residual, n, k)


def icc_agreement(ratings: Ratings, *, level: float = 0.95) -> Estimate:
    """Return ICC(2,1): absolute agreement of single ratings, raters drawn at random.

    Parameters
    ----------
    ratings : array of float, shape (subjects, raters)
        Every rater on every subject.
    level : float
        Of the interval.
    """
    if reason := _why_no_icc(ratings):
        return Estimate(None, reason=reason)
    ms = _MeanSquares.of(ratings)
    n, k = ms.n, ms.k
    below = ms.subjects + (k - 1) * ms.residual + k * (ms.raters - ms.residual) / n
    if below <= 0:
        return Estimate(None, reason="the ratings do not differ")
    value = (ms.subjects - ms.residual) / below
    if ms.residual == 0:
        return Estimate(value, reason="no interval: the raters differ by a constant")
    from scipy.special import fdtri

    ratio = ms.raters / ms.residual
    a = k * value * ratio
    b = n * (1 + (k - 1) * value) - k * value
    freedom = (k - 1) * (n - 1) * (a + b) ** 2 / ((n - 1) * a**2 + b**2)
    quantile = 1 - (1 - level) / 2
    lower, upper = (np.float64(fdtri(*f, quantile)) for f in ((n - 1, freedom), (freedom, n - 1)))
    common = k * ms.raters + (k * n - k - n) * ms.residual
    with np.errstate(invalid="ignore", divide="ignore"):  # subjects as alike as chance
        low = n * (ms.subjects - lower * ms.residual) / (lower * common + n * ms.subjects)
        high = n * (upper * ms.subjects - ms.residual) / (common + n * upper * ms.subjects)
    return _with_interval(value, float(low), float(high))


def icc_consistency(ratings: Ratings, *, level: float = 0.95) -> Estimate:
    """Return ICC(3,1): consistency of single ratings by exactly these raters.

    Parameters as in `icc_agreement`.
    """
    if reason := _why_no_icc(ratings):
        return Estimate(None, reason=reason)
    ms = _MeanSquares.of(ratings)
    n, k = ms.n, ms.k
    below = ms.subjects + (k - 1) * ms.residual
    if below <= 0:
        return Estimate(None, reason="the subjects do not differ")
    value = (ms.subjects - ms.residual) / below
    if ms.residual == 0:
        return Estimate(value, reason="no interval: the raters differ by a constant")
    from scipy.special import fdtri

    ratio, rest = ms.subjects / ms.residual, (n - 1) * (k - 1)
    quantile = 1 - (1 - level) / 2
    lower = ratio / fdtri(n - 1, rest, quantile)
    upper = ratio * fdtri(rest, n - 1, quantile)
    return _with_interval(value, *(float((f - 1) / (f + k - 1)) for f in (lower, upper)))


def _with_interval(value: float, low: float, high: float) -> Estimate:
    # The interval's approximation breaks down where subjects differ less than raters do.
    if not (math.isfinite(low) and math.isfinite(high) and low <= value <= high):
        return Estimate(value, reason="no interval: the subjects are as alike as chance")
    return Estimate(value, low, high)


def _why_no_icc(ratings: Ratings) -> str:
    if ratings.ndim != 2 or not np.isfinite(ratings).all():
        raise ConfigError(f"an ICC needs finite ratings (subjects, raters), got {ratings.shape}.")
    subjects, raters = ratings.shape
    if subjects < 2 or raters < 2:
        return f"it needs 2 subjects and 2 raters, there are {subjects} and {raters}"
    return ""


@dataclass(frozen=True, slots=True)
class BlandAltman:
    """How two raters differ.

    Attributes
    ----------
    n : int
        Subjects.
    bias, sd : float
        Mean and standard deviation (n − 1) of second minus first.
    limits : tuple of float
        bias ± 1.96 sd: where 95 % of the differences would lie.
    bias_interval, low_interval, high_interval : tuple of float
        95 % intervals of bias and limits, by the t distribution.
    """

    n: int
    bias: float
    sd: float
    limits: tuple[float, float]
    bias_interval: tuple[float, float]
    low_interval: tuple[float, float]
    high_interval: tuple[float, float]


def bland_altman(first: Ratings, second: Ratings) -> BlandAltman | None:
    """Compare two raters; None with fewer than two subjects.

    Parameters
    ----------
    first, second : array of float, shape (subjects,)
        Their numbers, none missing.
    """
    difference = second - first
    n = len(difference)
    if n < 2:
        return None
    from scipy.special import stdtrit

    bias, sd = float(difference.mean()), float(difference.std(ddof=1))
    t = float(stdtrit(n - 1, 0.975))
    low, high = bias - 1.96 * sd, bias + 1.96 * sd
    wide, wider = t * sd / math.sqrt(n), t * sd * math.sqrt(3 / n)
    return BlandAltman(
        n,
        bias,
        sd,
        (low, high),
        (bias - wide, bias + wide),
        (low - wider, low + wider),
        (high - wider, high + wider),
    )


def grade_table(first: Sequence[str], second: Sequence[str]) -> npt.NDArray[np.int64]:
    """Count pairs of Huvos grades, first rater in rows, shape (4, 4)."""
    table = np.zeros((len(GRADES), len(GRADES)), np.int64)
    for one, other in zip(first, second, strict=True):
        table[GRADES.index(one), GRADES.index(other)] += 1
    return table


def weighted_kappa(table: npt.NDArray[np.int64]) -> Estimate:
    """Return Cohen's kappa with quadratic weights of a table (k, k) of counts."""
    total = table.sum()
    if total == 0:
        return Estimate(None, reason="no subject was graded by both")
    k = len(table)
    weights = (np.subtract.outer(np.arange(k), np.arange(k)) / (k - 1)) ** 2
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / total
    by_chance = float((weights * expected).sum())
    if by_chance == 0:
        return Estimate(None, reason="both give all subjects the same grade")
    return Estimate(1 - float((weights * table).sum()) / by_chance)
