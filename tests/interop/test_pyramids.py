from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_fddm.core.geometry import MapGeometry, Window
from napari_fddm.interop.pyramids import (
    blocks_of,
    coarser_window,
    finer_window,
    mean_halved,
    mode_halved,
    resample_nearest,
)

sizes = st.integers(1, 9)


@given(sizes, sizes, st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_mode_takes_a_most_frequent_value_the_first_one_in_a_tie(rows, cols, values, seed):
    labels = np.random.default_rng(seed).integers(0, values, (rows, cols)).astype(np.uint8)
    halved = mode_halved(labels)
    assert halved.shape == (-(-rows // 2), -(-cols // 2))
    for (y, x), value in np.ndenumerate(halved):
        block = labels[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel().tolist()
        # Counter.most_common keeps the order of first appearance among equals.
        assert value == Counter(block).most_common(1)[0][0]


def test_a_tie_is_decided_by_place_not_by_class():
    for line, ground in ((5, 1), (1, 5)):
        labels = np.full((8, 8), ground, np.uint8)
        labels[:, 2] = line
        assert (mode_halved(labels)[:, 1] == line).all()
        labels[:, 2:4] = ground, line
        assert (mode_halved(labels)[:, 1] == ground).all()


@given(sizes, sizes, st.integers(0, 2**32 - 1))
def test_mean_is_the_rounded_mean_of_what_a_block_has(rows, cols, seed):
    image = np.random.default_rng(seed).integers(0, 256, (3, rows, cols)).astype(np.uint8)
    halved = mean_halved(image)
    for (c, y, x), value in np.ndenumerate(halved):
        block = image[c, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        assert abs(float(value) - block.mean()) <= 0.5


@given(
    st.builds(Window, st.integers(-5, 40), st.integers(-5, 40), st.integers(0, 30), sizes),
    st.integers(1, 33),
    st.integers(1, 33),
)
def test_the_coarser_window_holds_all_that_a_change_can_reach(window, rows, cols):
    shape = (rows, cols)
    before = np.zeros(shape, np.uint8)
    after = before.copy()
    after[window.clipped(shape).slices] = 1
    dirty = coarser_window(window, shape)
    changed = mode_halved(before) != mode_halved(after)
    outside = changed.copy()
    outside[dirty.slices] = False
    assert not outside.any()
    assert finer_window(dirty, shape).clipped(shape) == finer_window(dirty, shape)


@given(st.builds(Window, sizes, sizes, st.integers(0, 30), st.integers(0, 30)), st.integers(1, 12))
def test_blocks_tile_a_window_without_overlap(window, edge):
    hits = np.zeros((60, 60), int)
    for block in blocks_of(window, edge):
        assert max(block.height, block.width) <= edge
        hits[block.slices] += 1
    expected = np.zeros_like(hits)
    expected[window.slices] = 1
    assert np.array_equal(hits, expected)


@given(
    st.floats(0.3, 40),
    st.floats(0.3, 40),
    st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
    st.integers(0, 2**32 - 1),
)
def test_resampling_reads_the_cell_under_each_center(source_cell, target_cell, origin, seed):
    source = MapGeometry((5, 6), source_cell, 0.25)
    target = MapGeometry((4, 7), target_cell, 0.25, origin)
    labels = np.random.default_rng(seed).integers(1, 8, source.shape).astype(np.uint8)
    result = resample_nearest(labels, source, target)
    for (row, col), value in np.ndenumerate(result):
        y = int((origin[0] + (row + 0.5) * target_cell) // source_cell)
        x = int((origin[1] + (col + 0.5) * target_cell) // source_cell)
        inside = 0 <= y < 5 and 0 <= x < 6
        assert value == (labels[y, x] if inside else 0)
