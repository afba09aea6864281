"""Strokes spread through tissue that looks alike, and no further."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.spreading import spread_strokes

CLASSES, FEATURES = 7, 6
WRONG, RIGHT = 2, 3  # class values


def saying(value: int, shape: tuple[int, int], sure: float = 0.97) -> np.ndarray:
    probs = np.full((CLASSES, *shape), (1 - sure) / (CLASSES - 1), np.float32)
    probs[value - 1] = sure
    return probs


def noisy_tissue(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.5 + 0.01 * rng.standard_normal((FEATURES, *shape))).astype(np.float32)


def everywhere(shape: tuple[int, int]) -> np.ndarray:
    return np.ones(shape, bool)


@pytest.mark.parametrize("reach", [4.0, 30.0])
def test_along_a_strip_the_share_of_walkers_that_arrive_is_the_known_one(reach: float):
    """In uniform tissue p'' = p / reach², discretely, and no walker leaves the far end."""
    n = 25
    source, tissue = saying(WRONG, (1, n)), np.full((FEATURES, 1, n), 0.5, np.float32)
    strokes = np.zeros((1, n), np.uint8)
    strokes[0, 0] = RIGHT
    found = spread_strokes(source, tissue, strokes, everywhere((1, n)), reach)
    decay = np.arccosh(1 + 0.5 / reach**2)
    steps = np.arange(1, n)
    arrive = np.cosh(decay * (n - 0.5 - steps)) / np.cosh(decay * (n - 0.5))
    expected = arrive + (1 - arrive) * source[RIGHT - 1, 0, 1:]
    np.testing.assert_allclose(found[RIGHT - 1, 0, 1:], expected, atol=1e-5)


cells = st.tuples(st.integers(2, 9), st.integers(2, 9))


@settings(max_examples=30, deadline=None)
@given(cells, st.integers(0, 2**32 - 1))
def test_they_stay_probabilities_and_strokes_are_certain(shape: tuple[int, int], seed: int):
    rng = np.random.default_rng(seed)
    source = rng.dirichlet(np.ones(CLASSES), shape).transpose(2, 0, 1).astype(np.float32)
    strokes = np.where(rng.random(shape) < 0.2, rng.integers(1, 8, shape), 0).astype(np.uint8)
    analyzed = rng.random(shape) < 0.8
    before = source.copy()
    found = spread_strokes(source, noisy_tissue(shape, seed), strokes, analyzed)
    assert np.array_equal(source, before)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    painted = (strokes > 0) & analyzed
    assert (found.argmax(axis=0)[painted] + 1 == strokes[painted]).all()
    assert (found.max(axis=0)[painted] == 1).all()
    assert np.array_equal(found[:, ~analyzed], source[:, ~analyzed])


def test_without_strokes_nothing_changes():
    source = saying(WRONG, (9, 9))
    nothing = np.zeros((9, 9), np.uint8)
    assert np.array_equal(
        spread_strokes(source, noisy_tissue((9, 9)), nothing, everywhere((9, 9))), source
    )


def test_all_painted_is_all_certain():
    strokes = np.full((3, 3), RIGHT, np.uint8)
    found = spread_strokes(saying(WRONG, (3, 3)), noisy_tissue((3, 3)), strokes, everywhere((3, 3)))
    assert (found[RIGHT - 1] == 1).all()


@pytest.fixture
def halves() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return y, O and a stroke in the left half of 12 by 24 cells."""
    strokes = np.zeros((12, 24), np.uint8)
    strokes[4:8, 3:6] = RIGHT
    return saying(WRONG, (12, 24)), noisy_tissue((12, 24)), strokes


def flipped(source: np.ndarray, tissue: np.ndarray, strokes: np.ndarray) -> np.ndarray:
    found = spread_strokes(source, tissue, strokes, everywhere(strokes.shape))
    return np.asarray(found.argmax(axis=0) + 1 == RIGHT)


def test_a_stroke_fills_tissue_that_looks_alike(halves):
    filled = flipped(*halves)
    assert filled[:, :12].all()


def test_it_ends_where_the_tissue_looks_different(halves):
    source, tissue, strokes = halves
    tissue[:3, :, 12:] += 0.3
    filled = flipped(source, tissue, strokes)
    assert filled[:, :12].all()
    assert not filled[:, 12:].any()


def test_it_ends_where_stage_1_says_something_else(halves):
    source, tissue, strokes = halves
    source[:, :, 12:] = saying(5, (12, 12))
    found = spread_strokes(source, tissue, strokes, everywhere((12, 24)))
    assert (found.argmax(axis=0)[:, :12] + 1 == RIGHT).all()
    assert (found.argmax(axis=0)[:, 12:] + 1 == 5).all()


def test_it_does_not_jump_over_what_was_not_analyzed(halves):
    source, tissue, strokes = halves
    analyzed = everywhere((12, 24))
    analyzed[:, 12] = False
    found = spread_strokes(source, tissue, strokes, analyzed)
    assert np.array_equal(found[:, :, 12:], source[:, :, 12:])
    assert (found.argmax(axis=0)[:, :12] + 1 == RIGHT).all()


def test_a_stroke_over_what_is_right_stops_another_one(halves):
    source, tissue, strokes = halves
    before = flipped(source, tissue, strokes)
    strokes[:, 14:17] = WRONG
    after = flipped(source, tissue, strokes)
    assert before[:, 13].any()
    assert not after[:, 14:].any()


def test_glass_does_not_make_all_tissue_look_different():
    """Most of the neighbors are glass, exactly alike; the tissue is as noisy as elsewhere."""
    source, tissue = saying(1, (12, 60)), np.ones((FEATURES, 12, 60), np.float32)
    source[:, :, :12], tissue[:, :, :12] = saying(WRONG, (12, 12)), noisy_tissue((12, 12))
    strokes = np.zeros((12, 60), np.uint8)
    strokes[4:8, 3:6] = RIGHT
    filled = flipped(source, tissue, strokes)
    assert filled[:, :12].all()
    assert not filled[:, 12:].any()


def test_walkers_that_reach_further_spread_more(halves):
    source, tissue, strokes = halves
    shares = [
        (
            spread_strokes(source, tissue, strokes, everywhere(strokes.shape), reach).argmax(0) + 1
            == RIGHT
        ).mean()
        for reach in (2.0, 8.0, 32.0)
    ]
    assert shares == sorted(shares)
    assert shares[0] < 0.5 < shares[-1]
