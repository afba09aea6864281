"""Calibration of predicted probabilities: reliability, ECE, Brier score, log loss.

On cells of the truth's grid: each has the probabilities of the model's cell it lies in.
Sums over cells, so that slides can be pooled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import StoreError

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.maps import ProbabilityMap

BINS = 15
"""Equal bins of confidence, 0 to 1, as usual since Guo et al., ICML 2017."""
LEAST = 2.0**-24
"""The smallest positive float16: a stored 0 may have been anything below it."""
_SUM_TOLERANCE = 0.02
"""Probabilities are stored as float16."""
_BAND = 1 << 20
"""Cells handled at once."""


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationSums:
    """Sums over cells.

    Attributes
    ----------
    cells : array of int64, shape (bins,)
        Cells by the probability of their most probable class.
    confidence, hits : array of float64, shape (bins,)
        Sum of that probability; cells where that class is the true one.
    brier, nll : float
        Sums of the Brier score Σ_c (p_c − [c true])² and of −ln p_true.
    clipped : int
        Cells whose true class had probability 0, taken as `LEAST`.
    """

    cells: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    hits: npt.NDArray[np.float64]
    brier: float
    nll: float
    clipped: int

    @classmethod
    def empty(cls) -> CalibrationSums:
        """Return the sums over no cell."""
        return cls(np.zeros(BINS, np.int64), np.zeros(BINS), np.zeros(BINS), 0.0, 0.0, 0)

    def __add__(self, other: CalibrationSums) -> CalibrationSums:
        """Pool two sets of cells."""
        return CalibrationSums(
            self.cells + other.cells,
            self.confidence + other.confidence,
            self.hits + other.hits,
            self.brier + other.brier,
            self.nll + other.nll,
            self.clipped + other.clipped,
        )

    @property
    def total(self) -> int:
        """Cells in all bins."""
        return int(self.cells.sum())

    def ece(self) -> float | None:
        """Return the expected calibration error Σ_b n_b / n · |accuracy − confidence|."""
        return float(np.abs(self.hits - self.confidence).sum()) / self.total if self.total else None

    def mean_brier(self) -> float | None:
        """Return the Brier score by cell: 0 perfect, 2 sure and wrong."""
        return self.brier / self.total if self.total else None

    def mean_nll(self) -> float | None:
        """Return the log loss by cell, nats."""
        return self.nll / self.total if self.total else None


def check_probabilities(given: ProbabilityMap, name: str) -> None:
    """Refuse values that are no probabilities.

    Raises
    ------
    StoreError
        If covered cells hold values that are not finite, are negative or do not add
        up to 1, with their number and the first place.
    """
    probs, covered = given.probs, given.coverage
    for start in range(0, covered.shape[0], step := max(1, _BAND // max(1, covered.shape[1]))):
        rows = slice(start, start + step)
        part = probs[:, rows].astype(np.float32)
        with np.errstate(invalid="ignore"):
            good = (part >= 0).all(axis=0) & (np.abs(part.sum(axis=0) - 1) <= _SUM_TOLERANCE)
        bad = covered[rows] & ~good
        if bad.any():
            row, col = np.argwhere(bad)[0].tolist()
            values = ", ".join(f"{p:.3g}" for p in part[:, row, col])
            raise StoreError(
                f"{name}: the probabilities of {np.count_nonzero(bad)} cells are none, first in "
                f"row {start + row}, column {col}: {values}.",
                hint="Run the analysis again, or give --no-calibration.",
            )


def sum_calibration(
    given: ProbabilityMap,
    rows: npt.NDArray[np.int64],
    cols: npt.NDArray[np.int64],
    truth: npt.NDArray[np.uint8],
    scored: npt.NDArray[np.bool_],
) -> CalibrationSums:
    """Compare probabilities with the truth on the truth's grid.

    Parameters
    ----------
    given : ProbabilityMap
        Checked by `check_probabilities`.
    rows, cols : array of int64, shapes (H,) and (W,)
        Cell of the probability map by row and column of the truth, −1 outside.
    truth : array of uint8, shape (H, W)
        Label values.
    scored : array of bool, shape (H, W)
        The evaluated cells.
    """
    total = CalibrationSums.empty()
    step = max(1, _BAND // max(1, truth.shape[1]))
    columns = np.flatnonzero(cols >= 0)
    for start in range(0, len(rows), step):
        band = np.arange(start, min(start + step, len(rows)))
        band = band[rows[band] >= 0]
        here = np.ix_(rows[band], cols[columns])
        wanted = scored[np.ix_(band, columns)] & given.coverage[here]
        picked = np.ix_(np.arange(len(given.probs)), rows[band], cols[columns])
        probs = given.probs[picked][:, wanted].astype(np.float64)  # (classes, cells)
        total = total + _sums_of(probs, truth[np.ix_(band, columns)][wanted].astype(np.int64) - 1)
    return total


def _sums_of(probs: npt.NDArray[np.float64], channel: npt.NDArray[np.int64]) -> CalibrationSums:
    if not channel.size:
        return CalibrationSums.empty()
    probs = probs / probs.sum(axis=0)
    predicted, top = probs.argmax(axis=0), probs.max(axis=0)
    index = np.minimum((top * BINS).astype(np.int64), BINS - 1)
    right = probs[channel, np.arange(channel.size)]
    return CalibrationSums(
        np.bincount(index, minlength=BINS),
        np.bincount(index, weights=top, minlength=BINS).astype(np.float64),
        np.bincount(index, weights=predicted == channel, minlength=BINS).astype(np.float64),
        float(((probs**2).sum(axis=0) - 2 * right + 1).sum()),
        float(-np.log(np.maximum(right, LEAST)).sum()),
        int(np.count_nonzero(right < LEAST)),
    )
