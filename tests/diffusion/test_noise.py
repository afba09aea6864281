"""Noise keyed by place: windows agree, and the numbers are normal and unrelated."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import Window
from napari_fddm.diffusion.noise import _absorb, cell_noise

if TYPE_CHECKING:
    import numpy.typing as npt

FIELD = Window(-137, -251, 300, 400)
N = FIELD.height * FIELD.width
FIVE_SIGMA = 5 / math.sqrt(N)

places = st.integers(-(10**9), 10**9)
lengths = st.integers(0, 40)
counters = st.integers(-(2**70), 2**70)


def field(
    seed: int = 1, sample: int = 0, step: int = 0, channels: int = 1
) -> npt.NDArray[np.float64]:
    noise = cell_noise(FIELD, channels=channels, seed=seed, sample=sample, step=step)
    return noise.astype(np.float64)


def correlation(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@settings(deadline=None)
@given(
    window=st.builds(Window, places, places, lengths, lengths),
    margins=st.tuples(*[st.integers(0, 9)] * 4),
    channels=st.integers(1, 8),
    seed=counters,
    sample=st.integers(0, 100),
    step=st.integers(0, 1000),
)
def test_a_window_is_the_crop_of_a_larger_one(
    window: Window,
    margins: tuple[int, int, int, int],
    channels: int,
    seed: int,
    sample: int,
    step: int,
) -> None:
    top, left, bottom, right = margins
    larger = Window(
        window.y - top,
        window.x - left,
        window.height + top + bottom,
        window.width + left + right,
    )
    small = cell_noise(window, channels=channels, seed=seed, sample=sample, step=step)
    large = cell_noise(larger, channels=channels, seed=seed, sample=sample, step=step)
    crop = large[:, top : top + window.height, left : left + window.width]
    assert small.shape == (channels, window.height, window.width)
    assert small.dtype == np.float32
    np.testing.assert_array_equal(small, crop)


def test_fewer_channels_are_the_first_of_more() -> None:
    window = Window(3, -4, 9, 11)
    few, many = (cell_noise(window, channels=c, seed=5) for c in (2, 7))
    np.testing.assert_array_equal(few, many[:2])


@pytest.mark.parametrize("seed", [0, 1, -1, 2**64 - 2, 12345])
def test_the_marginal_is_standard_normal(seed: int) -> None:
    noise = field(seed)
    assert abs(noise.mean()) < FIVE_SIGMA
    assert abs(noise.var() - 1) < FIVE_SIGMA * math.sqrt(2)
    assert abs((noise**3).mean()) < FIVE_SIGMA * math.sqrt(15)
    assert abs((noise**4).mean() - 3) < FIVE_SIGMA * math.sqrt(96)


def test_the_distribution_function_is_normal() -> None:
    noise = np.sort(field(7).ravel())
    expected = np.array([0.5 * (1 + math.erf(z / math.sqrt(2))) for z in noise])
    empirical = (np.arange(N) + 0.5) / N
    # Kolmogorov–Smirnov: 1.95 / sqrt(n) is the critical distance at 0.1 %.
    assert np.abs(empirical - expected).max() < 1.95 / math.sqrt(N)


@pytest.mark.parametrize("shift", [(0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0), (16, 0)])
@pytest.mark.parametrize("power", [1, 2])
def test_neighboring_cells_are_uncorrelated(shift: tuple[int, int], power: int) -> None:
    noise = field(11)[0] ** power
    dy, dx = shift
    moved = np.roll(noise, (dy, dx), axis=(0, 1))
    assert abs(correlation(noise, moved)) < FIVE_SIGMA


@pytest.mark.parametrize("power", [1, 2])
def test_channels_steps_samples_and_seeds_are_uncorrelated(power: int) -> None:
    fields = [
        *field(3, channels=3),
        field(3, step=1)[0],
        field(3, step=2)[0],
        field(3, sample=1)[0],
        field(3, sample=1, step=1)[0],
        field(4)[0],
        field(-3)[0],
    ]
    table = np.corrcoef([f.ravel() ** power for f in fields])
    assert np.abs(table - np.eye(len(fields))).max() < FIVE_SIGMA


def test_counters_do_not_stand_in_for_each_other() -> None:
    assert abs(correlation(field(1, sample=2, step=3), field(1, sample=3, step=2))) < FIVE_SIGMA
    assert abs(correlation(field(2, sample=1), field(1, sample=2))) < FIVE_SIGMA
    square = cell_noise(Window(-50, -50, 100, 100), channels=1, seed=1)[0].astype(np.float64)
    assert abs(correlation(square, square.T)) < 5 / 100
    assert abs(correlation(square, square[::-1])) < 5 / 100


def test_row_and_column_means_are_as_scattered_as_chance() -> None:
    noise = field(21)[0]
    for axis in (0, 1):
        means = noise.mean(axis=axis) * math.sqrt(noise.shape[axis])
        assert means.var() == pytest.approx(1.0, abs=5 * math.sqrt(2 / means.size))


def test_no_two_cells_share_their_numbers() -> None:
    bits = cell_noise(Window(-200, -200, 400, 400), channels=2, seed=9)
    # Float32 collides by chance (about 2⁻²⁴ per pair), whole rows never do.
    assert len({row.tobytes() for channel in bits for row in channel}) == 800


def test_the_hash_is_splitmix64() -> None:
    outputs = _absorb(np.zeros(1, np.uint64), np.arange(3, dtype=np.uint64))
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [int(z) for z in outputs] == published


def test_the_numbers_of_a_seed_never_change() -> None:
    """Provenance records the seed, so an old analysis must be repeatable."""
    noise = cell_noise(Window(-1, 5, 2, 2), channels=2, seed=42, sample=1, step=3)
    expected = [
        1.1776246,
        0.18094122,
        0.34375253,
        -0.47189561,
        0.18163216,
        0.077057369,
        2.0095623,
        -0.075466678,
    ]
    np.testing.assert_allclose(noise.ravel(), expected, rtol=1e-6)


def test_empty_windows_are_fine_and_negative_sizes_are_not() -> None:
    assert cell_noise(Window(0, 0, 0, 5), channels=7, seed=1).shape == (7, 0, 5)
    with pytest.raises(ConfigError):
        cell_noise(Window(0, 0, -1, 5), channels=7, seed=1)
    with pytest.raises(ConfigError):
        cell_noise(Window(0, 0, 1, 5), channels=-1, seed=1)
