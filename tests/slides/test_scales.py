from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fddm.core.errors import SlideError
from napari_fddm.slides.scales import level_scales, measured_scales
from tests.support.slides import binned, noise, stained, stretched


@pytest.mark.parametrize(
    ("shape", "full", "scanner", "unknown"),
    [
        ((100, 150), (400, 600), (4, 4), (4, 4)),
        ((100, 150), (403, 600), (4, 4), ((4 + 4.03) / 2, 4)),  # cut
        ((101, 150), (403, 600), (4, 4), ((4 + 403 / 101) / 2, 4)),  # padded
        ((1250, 1875), (4000, 6000), (3.2, 3.2), (3.2, 3.2)),
        ((10000, 10000), (39990, 39990), (3.999, 3.999), (3.999, 3.999)),
    ],
)
def test_scales_from_shapes(
    shape: tuple[int, int],
    full: tuple[int, int],
    scanner: tuple[float, float],
    unknown: tuple[float, float],
) -> None:
    assert level_scales([full, shape], binned=True)[1] == pytest.approx(scanner)
    assert level_scales([full, shape])[1] == pytest.approx(unknown)
    assert level_scales([full, shape])[0] == (1, 1)


@given(st.integers(2, 32), st.floats(2, 40), st.floats(2, 40))
def test_scales_are_within_half_a_pixel_of_cut_and_of_stretched(
    factor: int, tall: float, wide: float
) -> None:
    full = int(factor * factor * tall), int(factor * factor * wide)
    level = full[0] // factor, full[1] // factor
    scales = level_scales([full, level])[1]
    for length, size, scale in zip(full, level, scales, strict=True):
        for true in (factor, length / size):
            assert size * abs(true - scale) / true <= 0.5 + 1e-9


@pytest.mark.parametrize("shapes", [[], [(0, 5)], [(10, 10), (0, 1)], [(10, 10), (20, 20)]])
def test_impossible_pyramids_are_refused(shapes: list[tuple[int, int]]) -> None:
    with pytest.raises(SlideError):
        level_scales(shapes)


def texture(height: int, width: int) -> np.ndarray:
    """Return noise that has something to see at several scales."""
    image = np.full((height, width, 3), 128.0)
    for factor in (4, 16, 48):
        coarse = noise(height // factor + 1, width // factor + 1, seed=factor).astype(float)
        image += np.kron(coarse - 128, np.ones((factor, factor, 1)))[:height, :width] / 3
    return image.clip(0, 255).astype(np.uint8)


def measured(levels: list[np.ndarray]) -> list[tuple[float, float]]:
    def read(level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        return levels[level][y : y + height, x : x + width]

    return list(measured_scales([a.shape[:2] for a in levels], read))


def test_pixels_tell_cut_from_stretched() -> None:
    full = texture(1999, 1543)
    cut = [full, binned(full, 2), binned(full, 8)]
    assert measured(cut)[1:] == [(2, 2), (8, 8)]
    fitted = [full, stretched(full, (999, 771)), stretched(full, (249, 192))]
    assert measured(fitted)[1:] == [(1999 / 999, 1543 / 771), (1999 / 249, 1543 / 192)]


def test_without_texture_the_mean_stays() -> None:
    white = np.full((1999, 1543, 3), 255, np.uint8)
    levels = [white, binned(white, 2)]
    assert measured(levels) == list(level_scales([a.shape[:2] for a in levels]))


def test_levels_without_doubt_are_not_read() -> None:
    def refuse(*_: int) -> np.ndarray:
        raise AssertionError

    shapes = [(2048, 1024), (512, 256), (640, 320)]
    assert measured_scales(shapes, refuse) == level_scales(shapes)


def test_tiny_levels_stay_undecided() -> None:
    image = stained(61, 45)
    levels = [image, binned(image, 4)]
    assert measured(levels) == list(level_scales([a.shape[:2] for a in levels]))
