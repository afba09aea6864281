"""The changed cells of a label map, as a mask or as runs along rows; where two maps differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, cast

import numpy as np

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import Window

if TYPE_CHECKING:
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]
    Runs = npt.NDArray[np.int64]
    Labels = npt.NDArray[np.uint8]

_COMPARE_BLOCK = 1 << 18
"""Cells compared at once: both blocks and the result stay in the processor's cache."""
_STRIP = 256
"""Columns compared at once."""


class ChangedCells:
    """Some cells inside a window of a map, at least one.

    A stroke gives a mask of the window, and counting needs one at once. Runs along rows take
    little memory and are what is written to disk: they are computed on first use, usually by
    the thread that writes, and then replace the mask.

    Parameters
    ----------
    shape : tuple of int
        (rows, columns) of the whole map.
    window : Window
        Holds the cells; lies inside the map.
    count : int
        Number of cells.
    mask : array of bool, shape of the window, optional
        Becomes read-only.
    runs : tuple of two arrays of int64, shape (runs,), optional
        `starts` and `lengths`; become read-only. One of mask and runs is needed.

    Attributes
    ----------
    shape, window, count
        As given.
    """

    __slots__ = ("_mask", "_runs", "count", "shape", "window")

    def __init__(
        self,
        shape: tuple[int, int],
        window: Window,
        count: int,
        mask: Mask | None = None,
        runs: tuple[Runs, Runs] | None = None,
    ) -> None:
        self.shape, self.window, self.count = shape, window, count
        for array in (mask, *(runs or ())):
            if array is not None:
                array.flags.writeable = False
        self._mask, self._runs = mask, runs

    @classmethod
    def of_mask(cls, mask: Mask, window: Window, shape: tuple[int, int]) -> Self:
        """Build from a mask of a window, which must hold at least one cell."""
        return cls(shape, window, int(np.count_nonzero(mask)), mask=mask)

    @classmethod
    def of_runs(cls, starts: Runs, lengths: Runs, window: Window, shape: tuple[int, int]) -> Self:
        """Build from runs.

        Raises
        ------
        ConfigError
            If runs overlap, are empty or leave the window, or the window leaves the map.
        """
        fault = _fault_of(starts, lengths, window, shape)
        if fault:
            raise ConfigError(f"changed cells are inconsistent: {fault}.")
        return cls(shape, window, int(lengths.sum()), runs=(starts, lengths))

    @property
    def starts(self) -> Runs:
        """Flat row-major index in the whole map of each run's first cell, ascending."""
        return self._as_runs()[0]

    @property
    def lengths(self) -> Runs:
        """Number of cells of each run; a run never crosses the end of a row."""
        return self._as_runs()[1]

    def mask(self) -> Mask:
        """Return which cells of the window changed, shape of the window; read-only."""
        mask = self._mask
        return mask if mask is not None else self._mask_of_runs()

    def _as_runs(self) -> tuple[Runs, Runs]:
        # Read in this order: another thread sets the runs before it drops the mask.
        mask, runs = self._mask, self._runs
        if runs is None:
            runs = _runs_of(cast("Mask", mask), self.window, self.shape[1])
            self._runs, self._mask = runs, None
        return runs

    def _mask_of_runs(self) -> Mask:
        starts, lengths = self._as_runs()
        window = self.window
        rows, cols = np.divmod(starts, self.shape[1])
        first = (rows - window.y) * window.width + (cols - window.x)
        steps = np.zeros(window.height * window.width + 1, np.int8)
        steps[first] += 1
        steps[first + lengths] -= 1
        inside = np.cumsum(steps[:-1], dtype=np.int8).view(np.bool_)
        return inside.reshape(window.height, window.width)


def _runs_of(changed: Mask, window: Window, columns: int) -> tuple[Runs, Runs]:
    first, last = changed.copy(), changed.copy()
    first[:, 1:] &= ~changed[:, :-1]
    last[:, :-1] &= ~changed[:, 1:]
    rows, cols = np.nonzero(first)
    starts = ((rows + window.y) * columns + (cols + window.x)).astype(np.int64)
    lengths = (np.nonzero(last)[1] - cols + 1).astype(np.int64)
    starts.flags.writeable = lengths.flags.writeable = False
    return starts, lengths


def _fault_of(starts: Runs, lengths: Runs, window: Window, shape: tuple[int, int]) -> str:
    if not starts.ndim == lengths.ndim == 1 or starts.size != lengths.size or not starts.size:
        return "as many run lengths are needed as run starts, and at least one"
    if window.is_empty or window != window.clipped(shape):
        return f"the window {window} leaves the map of {shape}"
    # Neither sum below can overflow once both are bounded.
    if lengths.max() > window.width or starts.min() < 0 or starts.max() >= shape[0] * shape[1]:
        return f"a run leaves the map or is longer than a row of {window}"
    if lengths.min() < 1 or (starts[1:] < (starts + lengths)[:-1]).any():
        return "runs are empty, overlap or are not in order"
    rows, cols = np.divmod(starts, shape[1])
    inside_rows = window.y <= rows[0] and rows[-1] < window.y + window.height
    if not inside_rows or cols.min() < window.x or (cols + lengths).max() > window.x + window.width:
        return f"a run leaves its window {window}"
    return ""


def changed_window(old: Labels, new: Labels) -> Window:
    """Return a window outside of which two maps are the same; an empty one if they are equal.

    Rows are compared eight cells at a time, so that a large map costs one pass through
    memory (some 20 ms for 156 MB, a third of a comparison by cells), then strips of
    columns within the rows that differ.

    Parameters
    ----------
    old, new : array of uint8, shape (H, W)
        The map before and after.
    """
    height, width = old.shape
    step = max(1, _COMPARE_BLOCK // max(1, width))
    rows = [y for y in range(0, height, step) if not _equal(old[y : y + step], new[y : y + step])]
    if not rows:
        return Window(0, 0, 0, 0)
    band = slice(rows[0], min(height, rows[-1] + step))
    one, other = old[band], new[band]
    starts = range(0, width, _STRIP)
    cols = [x for x in starts if not _equal(one[:, x : x + _STRIP], other[:, x : x + _STRIP])]
    return Window(
        band.start, cols[0], band.stop - band.start, min(width, cols[-1] + _STRIP) - cols[0]
    )


def _equal(one: Labels, other: Labels) -> bool:
    if not (one.flags.c_contiguous and other.flags.c_contiguous):
        return np.array_equal(one, other)
    one, other = one.reshape(-1), other.reshape(-1)
    words = one.size // 8 * 8
    return np.array_equal(
        one[:words].view(np.uint64), other[:words].view(np.uint64)
    ) and np.array_equal(one[words:], other[words:])
