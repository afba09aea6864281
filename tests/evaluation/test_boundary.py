"""The boundary score: analytic on shifted squares, and equal to a slow reference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fddm.core.errors import ConfigError
from napari_fddm.evaluation import boundary
from napari_fddm.evaluation.boundary import count_boundaries, f_score_of

VT, NC = 2, 3
SIDE = 12

small = st.binary(min_size=120, max_size=120).map(
    lambda raw: (np.frombuffer(raw, np.uint8) % 4).reshape(10, 12)
)


def square(shift: int) -> np.ndarray:
    labels = np.full((40, 60), NC, np.uint8)
    labels[10 : 10 + SIDE, 15 + shift : 15 + shift + SIDE] = VT
    return labels


def score(truth: np.ndarray, said: np.ndarray, tolerance: float, cell: float = 4.0) -> np.ndarray:
    scored = (truth != 0) & (said != 0)
    return count_boundaries(truth, said, scored, cell_um=cell, tolerance_um=tolerance).f_score()


def slow_counts(truth: np.ndarray, said: np.ndarray, reach: float) -> np.ndarray:
    scored = (truth != 0) & (said != 0)
    maps = [np.where(scored, m, 0) for m in (truth, said)]
    height, width = truth.shape

    def border(labels: np.ndarray, value: int) -> list[tuple[int, int]]:
        found = []
        for y in range(height):
            for x in range(width):
                near = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
                near = [p for p in near if 0 <= p[0] < height and 0 <= p[1] < width]
                if labels[y, x] == value and any(labels[p] not in (0, value) for p in near):
                    found.append((y, x))
        return found

    def within(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> int:
        return sum(any(math.dist(a, b) <= reach + 1e-9 for b in others) for a in some)

    rows = []
    for value in range(1, 8):
        one, other = (border(m, value) for m in maps)
        rows.append([len(one), within(one, other), len(other), within(other, one)])
    return np.array(rows)


@pytest.mark.parametrize("shift", [0, 1, 3, 7])
def test_a_shifted_square_is_right_within_its_shift(shift: int):
    truth, said = square(0), square(shift)
    assert score(truth, said, 4.0 * shift)[VT - 1] == 1.0
    if shift > 1:
        # without tolerance only the shared part of the upper and lower side is right
        expected = 2 * (SIDE - shift) / (4 * SIDE - 4)
        assert score(truth, said, 0.0)[VT - 1] == pytest.approx(expected)


def test_the_tolerance_is_in_micrometers():
    truth, said = square(0), square(3)
    assert score(truth, said, 12.0, cell=4.0)[VT - 1] == 1.0
    assert score(truth, said, 12.0, cell=8.0)[VT - 1] < 1.0
    assert score(truth, said, 24.0, cell=8.0)[VT - 1] == 1.0


@given(small, small, st.sampled_from([0.0, 1.0, 1.5, 2.3]))
def test_counts_are_those_of_all_pairs_of_cells(truth: np.ndarray, said: np.ndarray, reach: float):
    scored = (truth != 0) & (said != 0)
    found = count_boundaries(truth, said, scored, cell_um=1.0, tolerance_um=reach)
    assert np.array_equal(found.counts, slow_counts(truth, said, reach))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(2)
    maps = [np.kron(rng.integers(1, 8, (20, 12)), np.ones((5, 7))).astype(np.uint8) for _ in "ab"]
    scored = np.ones(maps[0].shape, bool)
    whole = count_boundaries(*maps, scored, cell_um=4.0, tolerance_um=20.0)
    monkeypatch.setattr(boundary, "_BLOCK", 1)
    assert np.array_equal(
        count_boundaries(*maps, scored, cell_um=4.0, tolerance_um=20.0).counts, whole.counts
    )


def test_the_edge_of_the_map_is_no_border():
    truth = np.full((10, 10), VT, np.uint8)
    counts = count_boundaries(truth, truth, truth != 0, cell_um=1.0, tolerance_um=1.0).counts
    assert not counts.any()
    assert np.isnan(f_score_of(counts)).all()
    truth[:, 5:] = 0  # not analyzed: nobody's border either
    assert not count_boundaries(truth, truth, truth != 0, cell_um=1.0).counts.any()


def test_a_class_that_one_map_lacks_scores_0():
    found = score(square(0), np.full((40, 60), NC, np.uint8), 8.0)
    assert found[VT - 1] == 0.0


def test_slides_add_up():
    one = count_boundaries(square(0), square(5), np.ones((40, 60), bool), cell_um=4.0)
    twice = one + one
    np.testing.assert_array_equal(twice.f_score(), one.f_score())
    assert twice.counts.sum() == 2 * one.counts.sum()


@pytest.mark.parametrize(("cell", "tolerance"), [(0.0, 1.0), (1.0, -1.0), (1.0, math.nan)])
def test_impossible_numbers_are_refused(cell: float, tolerance: float):
    ones = np.ones((2, 2), np.uint8)
    with pytest.raises(ConfigError, match="cannot be compared"):
        count_boundaries(ones, ones, ones > 0, cell_um=cell, tolerance_um=tolerance)
