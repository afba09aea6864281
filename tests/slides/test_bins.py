"""Where output pixels lie on a level: whole bins, edges that do not depend on the region."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.slides.bins import (
    BLOCK,
    Bins,
    bin_edges,
    cells_on_stored,
    iter_blocks,
    touched_pixels,
    whole_bins,
)


@pytest.mark.parametrize(
    ("start", "downsample", "scale", "count", "expected"),
    [
        (8, 4, 1, 10, Bins(8, 4, 40)),
        (8, 4, 2, 10, Bins(4, 2, 20)),
        (9, 4, 2, 10, None),  # begins between pixels
        (8, 3, 2, 10, None),  # a bin is a pixel and a half
        (-4, 4, 1, 10, None),  # begins before the level
        (80, 4, 1, 10, None),  # ends behind it
        (8, 1, 2, 10, None),  # finer than the level
    ],
)
def test_bins_are_whole_and_inside_or_none(start, downsample, scale, count, expected):
    assert whole_bins(start, downsample, scale, count, length=100) == expected


def test_too_many_pixels_are_no_bins():
    assert whole_bins(0, 2, 1, BLOCK // 2, length=10 * BLOCK) == Bins(0, 2, BLOCK)
    assert whole_bins(0, 2, 1, BLOCK // 2 + 1, length=10 * BLOCK) is None


def test_a_place_has_the_same_edge_whatever_region_it_is_read_with():
    step, scale = 0.7310585786300049, 3.0000000001
    whole = bin_edges(0.0, step, 1000, scale)
    for first in (1, 17, 640):
        assert np.array_equal(bin_edges(first * step, step, 100, scale), whole[first : first + 101])


@pytest.mark.parametrize(("rows", "cols", "step"), [(1, 1, 1.0), (700, 900, 9.3), (5, 3, 5000.0)])
def test_blocks_cover_everything_once_and_are_small(rows, cols, step):
    y_edges, x_edges = np.arange(rows + 1) * step, np.arange(cols + 1) * step
    covered = np.zeros((rows, cols), int)
    for y, x in iter_blocks(y_edges, x_edges):
        covered[y, x] += 1
        assert (y.stop - y.start) * step <= max(BLOCK, step)
        assert (x.stop - x.start) * step <= max(BLOCK, step)
    assert (covered == 1).all()


def test_touched_pixels_stay_inside():
    edges = np.array([2.5, 4.0, 5.5])
    assert touched_pixels(edges, 100, 0) == (2, 6)
    assert touched_pixels(edges, 100, 3) == (0, 9)
    assert touched_pixels(edges, 5, 1) == (1, 5)


def test_a_cell_on_a_lost_tile_is_not_stored():
    stored = np.array([[True, False, True], [True, True, True]])
    found = cells_on_stored(stored, (64, 64), (4, 6), (128, 192))
    assert found.tolist() == [[True, True, False, False, True, True]] * 2 + [[True] * 6] * 2
    # The last tile is cut: the extent ends within it.
    assert cells_on_stored(stored, (64, 64), (1, 3), (50, 150)).tolist() == [[True, False, False]]
    assert cells_on_stored(stored[:, ::2], (64, 64), (3, 3), (100, 100)).all()


def test_cells_of_any_size_agree_with_every_pixel():
    rng = np.random.default_rng(0)
    stored = rng.random((7, 9)) < 0.7
    pixels = stored.repeat(16, 0).repeat(16, 1)[:100, :130]
    for shape in ((13, 17), (100, 130), (5, 3), (1, 1)):
        found = cells_on_stored(stored, (16, 16), shape, (100, 130))
        ys, xs = (np.arange(n + 1) * size / n for n, size in zip(shape, (100, 130), strict=True))
        for i in range(shape[0]):
            for j in range(shape[1]):
                part = pixels[
                    int(ys[i]) : -int(-ys[i + 1] // 1), int(xs[j]) : -int(-xs[j + 1] // 1)
                ]
                assert found[i, j] == part.all()
