"""Gaussian noise keyed by the place on the slide, so that the order of drawing has no effect.

Each number is a function of (seed, sample, step, channel, cell row, cell column)
alone. So overlapping regions share their noise where they overlap, a viewport gets
the noise that a whole-slide run has there, and neither batches nor threads matter
(``docs/algorithm.md#cell-noise``).

The counters are hashed with the output function of SplitMix64 (Steele, Lea and
Flood, OOPSLA 2014), one counter after the other, and Box and Muller's transform
turns 64 bits into one normal number. It is computed in float64 and rounded to
float32, which also hides last-bit differences between math libraries nearly always.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.geometry import Window

    UInt64s = npt.NDArray[np.uint64]

_WEYL = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_RADIUS_BITS = 40
_ANGLE_BITS = 64 - _RADIUS_BITS


def cell_noise(
    window: Window, *, channels: int, seed: int, sample: int = 0, step: int = 0
) -> npt.NDArray[np.float32]:
    """Return standard normal noise for a window of the global cell grid.

    Parameters
    ----------
    window : Window
        Cells, in global rows and columns; they may be negative.
    channels : int
        Number of channels C.
    seed : int
        Seed of the run; any integer, taken modulo 2⁶⁴.
    sample : int
        Which of several samples of the same map.
    step : int
        Which step of the reverse process.

    Returns
    -------
    array of float32, shape (C, window.height, window.width)
        Equal, bit for bit, to the crop of the noise of any larger window. Values
        are within ±7.5, where 40 bits of radius end.

    Raises
    ------
    ConfigError
        If a size is below zero.
    """
    if channels < 0 or window.height < 0 or window.width < 0:
        raise ConfigError(f"noise needs sizes of at least 0, got {channels} channels, {window}.")
    key = np.zeros(1, dtype=np.uint64)
    for counter in (seed, sample, step):
        key = _absorb(key, np.array([counter % 2**64], dtype=np.uint64))
    rows = np.arange(window.y, window.y + window.height, dtype=np.int64)
    cols = np.arange(window.x, window.x + window.width, dtype=np.int64)
    key = _absorb(key[:, None, None], np.arange(channels, dtype=np.uint64)[:, None, None])  # c 1 1
    key = _absorb(key, _as_uint64(rows)[None, :, None])  # c h 1
    key = _absorb(key, _as_uint64(cols)[None, None, :])  # c h w
    return _standard_normal(key)


def _absorb(key: UInt64s, counter: UInt64s) -> UInt64s:
    """Hash a counter into a key: the counter-th output of the stream the key starts."""
    z = key + (counter + np.uint64(1)) * _WEYL  # modulo 2⁶⁴
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    hashed: UInt64s = z ^ (z >> np.uint64(31))
    return hashed


def _standard_normal(bits: UInt64s) -> npt.NDArray[np.float32]:
    # The half keeps both uniform numbers inside (0, 1), so the logarithm is finite.
    radius = ((bits >> np.uint64(_ANGLE_BITS)).astype(np.float64) + 0.5) * 2.0**-_RADIUS_BITS
    low = bits & np.uint64(2**_ANGLE_BITS - 1)
    angle = (low.astype(np.float64) + 0.5) * (2.0 * np.pi * 2.0**-_ANGLE_BITS)
    normal: npt.NDArray[np.float64] = np.sqrt(-2.0 * np.log(radius)) * np.cos(angle)
    return normal.astype(np.float32)


def _as_uint64(counters: npt.NDArray[np.int64]) -> UInt64s:
    # Two's complement: -1 becomes 2⁶⁴ - 1, so negative cells are counters of their own.
    return counters.astype(np.uint64)
