"""A mask and its runs are the same cells, whichever is asked for and when."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_fddm.core.cells import ChangedCells
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import Window

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)).filter(np.any)
places = st.tuples(st.integers(0, 9), st.integers(0, 9))


def cells_of(mask, place):
    window = Window(*place, *mask.shape)
    shape = (place[0] + mask.shape[0] + 2, place[1] + mask.shape[1] + 3)
    return ChangedCells.of_mask(mask.copy(), window, shape)


@given(masks, places)
def test_runs_say_what_the_mask_says(mask, place):
    cells = cells_of(mask, place)
    assert np.array_equal(cells.mask(), mask)
    assert cells.count == mask.sum() == cells.lengths.sum()
    covered = np.zeros(cells.shape, bool)
    for start, length in zip(cells.starts, cells.lengths, strict=True):
        covered.reshape(-1)[start : start + length] = True
    full = np.zeros(cells.shape, bool)
    full[cells.window.slices] = mask
    assert np.array_equal(covered, full)
    assert np.array_equal(cells.mask(), mask)


@given(masks, places)
def test_runs_are_as_long_as_can_be_and_make_the_same_cells_again(mask, place):
    cells = cells_of(mask, place)
    ends = cells.starts + cells.lengths
    touching = cells.starts[1:] == ends[:-1]
    assert (cells.starts[1:][touching] % cells.shape[1] == 0).all()
    again = ChangedCells.of_runs(cells.starts, cells.lengths, cells.window, cells.shape)
    assert again.count == cells.count
    assert np.array_equal(again.mask(), mask)


def test_what_is_handed_out_is_sealed():
    cells = cells_of(np.ones((2, 3), bool), (1, 1))
    for array in (cells.mask(), cells.starts, cells.lengths):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_runs_that_leave_the_window_are_refused():
    with pytest.raises(ConfigError, match="leaves its window"):
        ChangedCells.of_runs(np.array([2]), np.array([4]), Window(0, 0, 3, 5), (8, 8))


def test_threads_may_ask_for_mask_and_runs_at_once():
    mask = np.random.default_rng(0).random((300, 300)) < 0.5
    for _ in range(30):
        cells, found = cells_of(mask, (2, 2)), []
        start = threading.Barrier(4)

        def ask(cells=cells, found=found, start=start):
            start.wait()
            found.append((cells.lengths.sum(), cells.mask().sum()))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [(mask.sum(), mask.sum())] * 4
