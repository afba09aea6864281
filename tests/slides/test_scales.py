from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fddm.core.errors import SlideError
from napari_fddm.slides.scales import level_scales


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(400, 600), (100, 150)], (4.0, 4.0)),
        ([(401, 601), (100, 150)], (4.0, 4.0)),  # cut
        ([(399, 599), (100, 150)], (4.0, 4.0)),  # padded
        ([(403, 600), (100, 150)], ((4 + 4.03) / 2, 4.0)),  # cut or stretched: in between
        ([(402, 601), (101, 150)], (4.0, 4.0)),  # one rounded up, one down
        ([(4000, 6000), (1250, 1875)], (3.2, 3.2)),
        ([(39990, 39990), (10000, 10000)], (3.999, 3.999)),
    ],
)
def test_scales_from_shapes(shapes: list[tuple[int, int]], expected: tuple[float, float]) -> None:
    assert level_scales(shapes)[1] == pytest.approx(expected)


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
