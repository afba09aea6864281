from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.edits import difference
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import MapGeometry, Window
from napari_fddm.core.necrosis import count_labels
from napari_fddm.core.outlines import InsideCounter, area_px, clipped, outline_mask, ring_cells

GEOMETRY = MapGeometry((30, 40), 8.0, 0.5)
CORNER = st.tuples(st.floats(-40, 300), st.floats(-40, 360))


def slow_mask(polygon: np.ndarray) -> np.ndarray:
    """Shoot a ray to the left from each center and count the crossings."""
    mask = np.zeros(GEOMETRY.shape, bool)
    for i, j in np.ndindex(*mask.shape):
        y, x = (i + 0.5) * GEOMETRY.cell, (j + 0.5) * GEOMETRY.cell
        for (y0, x0), (y1, x1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            if min(y0, y1) <= y < max(y0, y1):
                mask[i, j] ^= x0 + (y - y0) / (y1 - y0) * (x1 - x0) <= x
    return mask


@settings(max_examples=40, deadline=None)
@given(st.lists(CORNER, min_size=3, max_size=7))
def test_a_mask_is_what_rays_say(corners):
    polygon = np.array(corners)
    # cells whose center lies within rounding of an edge may fall on either side
    mask = outline_mask([polygon], GEOMETRY)
    assert np.count_nonzero(mask != slow_mask(polygon)) <= 2


def test_a_square_along_cell_borders_is_exact_and_neighbors_share_nothing():
    left = np.array([[16, 8], [16, 80], [96, 80], [96, 8]], float)
    right = left + np.array([0, 72])
    one, two = outline_mask([left], GEOMETRY), outline_mask([right], GEOMETRY)
    expected = np.zeros(GEOMETRY.shape, bool)
    expected[2:12, 1:10] = True
    assert np.array_equal(one, expected)
    assert not (one & two).any()
    assert np.array_equal(outline_mask([left, right], GEOMETRY), one | two)
    assert not outline_mask([], GEOMETRY).any()


@pytest.mark.parametrize("polygon", [[[0, 0], [1, 1]], [[0, 0], [1, np.nan], [2, 2]], [1, 2, 3]])
def test_what_is_no_outline_is_refused(polygon):
    with pytest.raises(ConfigError):
        outline_mask([np.array(polygon, float)], GEOMETRY)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 29), st.integers(0, 39), st.integers(0, 7)), max_size=10),
    st.integers(0, 2**32 - 1),
)
def test_counts_inside_equal_a_recount_after_every_edit(strokes, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 8, GEOMETRY.shape).astype(np.uint8)
    mask = rng.random(GEOMETRY.shape) < 0.5
    counter = InsideCounter(labels, mask, 7)
    for y, x, value in strokes:
        before = labels.copy()
        labels[y : y + 6, x : x + 9] = value
        edit = difference(before, labels, Window(y, x, 6, 9).clipped(labels.shape))
        if edit is not None:
            counter.apply(edit)
        assert np.array_equal(counter.counts, count_labels(labels[mask], 7))


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ConfigError):
        InsideCounter(np.zeros((3, 3), np.uint8), np.zeros((3, 4), bool), 7)


@settings(max_examples=60, deadline=None)
@given(st.lists(CORNER, min_size=3, max_size=3))
def test_the_area_of_a_clipped_outline_is_that_of_its_cells_on_the_slide(corners):
    polygon, shape = np.array(corners), (200, 150)
    on_slide = clipped(polygon, shape)
    cells = np.count_nonzero(outline_mask([polygon], MapGeometry(shape, 1.0, 0.5)))
    around = np.hypot(*(on_slide - np.roll(on_slide, 1, axis=0)).T).sum()
    assert abs(area_px(on_slide) - cells) <= around + 1  # a cell for each px of its edge
    assert (on_slide >= -1e-9).all()
    assert (on_slide <= np.array(shape) + 1e-9).all()


def test_clipping_keeps_the_area_of_a_concave_outline_and_nothing_of_one_outside():
    comb = np.array([[0, 0], [10, 0], [10, 2], [-5, 2], [-5, 4], [10, 4], [10, 6], [0, 6]], float)
    assert area_px(clipped(comb, (20, 20))) == pytest.approx(10 * 2 + 10 * 2)
    assert len(clipped(comb + 100, (20, 20))) == 0
    assert np.array_equal(clipped(comb + 6, (20, 20)), comb + 6)


@settings(max_examples=40, deadline=None)
@given(*[st.lists(CORNER, min_size=3, max_size=6)] * 2)
def test_the_cells_around_an_outline_are_those_of_the_whole_map(outer, hole):
    rings = [np.array(outer), np.array(hole)]
    window, cells = ring_cells(rings, GEOMETRY)
    found = np.zeros(GEOMETRY.shape, bool)
    if not window.is_empty:
        found[window.slices] = cells
    whole = outline_mask(rings[:1], GEOMETRY) & ~outline_mask(rings[1:], GEOMETRY)
    # cells whose center lies within rounding of an edge may fall on either side
    assert np.count_nonzero(found != whole) <= 2
