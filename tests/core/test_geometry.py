"""Places on a slide: cells and regions there and back, and the half-pixel shift (P28)."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import MapGeometry, Region, Window, bounding

mpps = st.floats(0.05, 5.0)
cells = st.floats(1.0, 4096.0)
origins = st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))
shapes = st.tuples(st.integers(1, 3000), st.integers(1, 3000))
geometries = st.builds(MapGeometry, shapes, cells, mpps, origins)


@st.composite
def windows_inside(draw: st.DrawFn) -> tuple[MapGeometry, Window]:
    geometry = draw(geometries)
    y = draw(st.integers(0, geometry.shape[0] - 1))
    x = draw(st.integers(0, geometry.shape[1] - 1))
    height = draw(st.integers(1, geometry.shape[0] - y))
    width = draw(st.integers(1, geometry.shape[1] - x))
    return geometry, Window(y, x, height, width)


@given(windows_inside())
def test_the_cells_of_a_window_of_cells_are_that_window(case: tuple[MapGeometry, Window]):
    geometry, window = case
    assert geometry.window_of(geometry.region_of(window)) == window


@given(geometries)
def test_a_map_covers_its_own_region(geometry: MapGeometry):
    assert geometry.window_of(geometry.region) == Window(0, 0, *geometry.shape)


small = st.floats(-400, 900)


@given(
    st.builds(Region, small, small, st.floats(0.01, 900), st.floats(0.01, 900)),
    st.sampled_from([1.0, 7.3, 64.0, 100 / 3]),
    st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
)
def test_a_region_touches_the_cells_that_share_area_with_it(
    region: Region, cell: float, origin: tuple[float, float]
):
    geometry = MapGeometry((9, 8), cell, 0.5, origin)
    found = geometry.window_of(region)
    for row in range(9):
        for col in range(8):
            common = geometry.region_of(Window(row, col, 1, 1)).intersection(region)
            # A sliver of the arithmetic's own error may go either way.
            if min(common.height, common.width) > 1e-6 * cell:
                assert found.y <= row < found.y + found.height
                assert found.x <= col < found.x + found.width
            elif common.is_empty and found.y <= row < found.y + found.height:
                near = geometry.region_of(Window(row, col, 1, 1))
                gap_y = max(near.y - region.y_end, region.y - near.y_end)
                gap_x = max(near.x - region.x_end, region.x - near.x_end)
                inside = found.x <= col < found.x + found.width
                assert not inside or max(gap_y, gap_x) <= 1e-6 * cell


@given(
    st.builds(Region, small, small, st.floats(0, 900), st.floats(0, 900)),
    st.sampled_from([1.0, 7.3, 64.0, 100 / 3]),
    st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
)
def test_centers_in_a_region_agree_with_brute_force(
    region: Region, cell: float, origin: tuple[float, float]
):
    geometry = MapGeometry((9, 8), cell, 0.5, origin)
    found = geometry.centers_in(region)
    assert found.clipped(geometry.shape) == found
    for axis, count, start, size in (
        (0, 9, found.y, found.height),
        (1, 8, found.x, found.width),
    ):
        low = (region.y, region.x)[axis]
        high = (region.y_end, region.x_end)[axis]
        for index in range(count):
            center = origin[axis] + (index + 0.5) * cell
            if min(abs(center - low), abs(center - high)) > 1e-6 * cell:
                assert (start <= index < start + size) == (low <= center < high)


@given(windows_inside(), st.floats(0.5, 20))
def test_neighboring_regions_share_no_center_and_leave_none_out(
    case: tuple[MapGeometry, Window], finer: float
):
    coarse, window = case
    fine = MapGeometry((200, 200), coarse.cell / finer, coarse.mpp, coarse.origin)
    above, left = Window(0, 0, window.y, coarse.shape[1]), Window(0, 0, coarse.shape[0], window.x)
    inside = fine.centers_in(coarse.region_of(window))
    assert fine.centers_in(coarse.region_of(above)).height == inside.y or above.is_empty
    assert fine.centers_in(coarse.region_of(left)).width == inside.x or left.is_empty


@given(geometries, origins)
def test_an_empty_region_touches_nothing(geometry: MapGeometry, corner: tuple[float, float]):
    assert geometry.window_of(Region(*corner, 0.0, 10.0)).is_empty
    assert geometry.window_of(Region(*corner, 10.0, 0.0)).is_empty


@pytest.mark.parametrize("corner", [(-500, 0), (0, -500), (1000, 0), (0, 1000)])
def test_a_region_outside_touches_nothing(corner: tuple[float, float]):
    assert MapGeometry((10, 10), 100, 1.0).window_of(Region(*corner, 100, 100)).is_empty


@given(
    st.integers(0, 4096),
    st.integers(1, 64),
    st.sampled_from([Fraction(1, 4), Fraction(1, 2), Fraction(1), Fraction(2)]),
    st.integers(-4096, 4096),
)
def test_p28_a_cell_lies_where_its_level_0_pixels_have_their_mean(
    index: int, cell: int, mpp: Fraction, origin: int
):
    """napari and NGFF place pixel centers; level-0 pixel i has its center at i · mpp."""
    geometry = MapGeometry((index + 1, 1), cell, float(mpp), (origin, origin))
    first = origin + index * cell
    exact = mpp * Fraction(sum(range(first, first + cell)), cell)
    assert geometry.translate[0] + index * geometry.scale[0] == exact  # powers of two: no rounding


def test_p28_a_map_of_level_0_pixels_is_not_shifted():
    assert MapGeometry((5, 5), 1.0, 0.25).translate == (0.0, 0.0)
    assert MapGeometry((5, 5), 1.0, 0.25).scale == (0.25, 0.25)


def test_p28_nested_maps_agree_on_the_center_of_what_they_share():
    fine = MapGeometry((8, 8), 16.0, 0.25)
    coarse = fine.downsampled(4)
    centers = [fine.translate[0] + i * fine.scale[0] for i in range(4)]
    assert coarse.translate[0] == sum(centers) / 4
    assert coarse.region == fine.region


@given(shapes, cells, mpps)
def test_covering_is_the_smallest_map_over_the_slide(
    slide: tuple[int, int], cell: float, mpp: float
):
    geometry = MapGeometry.covering(slide, cell, mpp)
    for cells_along, pixels in zip(geometry.shape, slide, strict=True):
        assert cells_along * cell >= pixels - 1e-6 * cell
        assert cells_along == 1 or (cells_along - 1) * cell < pixels


def test_covering_keeps_a_partial_cell_and_ignores_rounding():
    assert MapGeometry.covering((256, 257), 256.0, 1.0).shape == (1, 2)
    third = 1024 / 3  # 3 · (1024 / 3) may round to more than 1024
    assert MapGeometry.covering((1024, 10_240), third, 1.0).shape == (3, 30)


def test_areas_are_in_square_millimeters():
    geometry = MapGeometry((10, 10), 16.0, 0.25)
    assert geometry.cell_um == 4.0
    assert math.isclose(geometry.cell_mm2, 16e-6)


def test_downsampling_keeps_partial_cells():
    assert MapGeometry((9, 8), 2.0, 1.0, (3.0, 4.0)).downsampled(4) == MapGeometry(
        (3, 2), 8.0, 1.0, (3.0, 4.0)
    )


regions = st.builds(
    Region, st.floats(-100, 100), st.floats(-100, 100), st.floats(0, 100), st.floats(0, 100)
)


@given(regions, regions)
def test_intersection_is_symmetric_and_inside_both(a: Region, b: Region):
    common = a.intersection(b)
    assert common == b.intersection(a)
    for part in (a, b) if not common.is_empty else ():
        assert common.y >= part.y
        assert common.x >= part.x
        assert common.y_end <= part.y_end + 1e-9
        assert common.x_end <= part.x_end + 1e-9


@pytest.mark.parametrize(
    "numbers",
    [
        (0, 0, -1, 1),
        (0, 0, 1, -0.5),
        (math.nan, 0, 1, 1),
        (0, math.inf, 1, 1),
        (0, 0, math.inf, 1),
    ],
)
def test_impossible_regions_are_refused(numbers: tuple[float, float, float, float]):
    with pytest.raises(ConfigError, match="finite"):
        Region(*numbers)


spans = st.integers(-30, 30)
sizes = st.integers(0, 30)
windows = st.builds(Window, spans, spans, sizes, sizes)


@settings(deadline=None)
@given(windows, st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_clipping_keeps_the_cells_inside(window: Window, shape: tuple[int, int]):
    def cells_of(w: Window) -> set[tuple[int, int]]:
        rows, cols = range(w.y, w.y + w.height), range(w.x, w.x + w.width)
        return {(y, x) for y in rows for x in cols}

    inside = {(y, x) for y, x in cells_of(window) if 0 <= y < shape[0] and 0 <= x < shape[1]}
    assert cells_of(window.clipped(shape)) == inside
    assert window.clipped(shape).is_empty == (not inside)


def test_bounding_ignores_empty_windows():
    assert bounding([]) is None
    assert bounding([Window(3, 3, 0, 5)]) is None
    assert bounding([Window(5, 1, 2, 2), Window(0, 0, 0, 0), Window(2, 9, 1, 3)]) == Window(
        2, 1, 5, 11
    )


windows = st.builds(
    Window, st.integers(-9, 9), st.integers(-9, 9), st.integers(0, 9), st.integers(0, 9)
)


@given(windows, windows)
def test_windows_meet_in_their_common_cells(one: Window, two: Window):
    common = one.intersection(two)
    assert common == two.intersection(one)
    holds_all = one.contains(common) and two.contains(common)
    assert common.is_empty or holds_all
    rows = set(range(one.y, one.y_end)) & set(range(two.y, two.y_end))
    cols = set(range(one.x, one.x_end)) & set(range(two.x, two.x_end))
    assert common.is_empty == (not rows or not cols)
    assert common.is_empty or common.height * common.width == len(rows) * len(cols)


@given(windows, windows)
def test_a_window_can_be_counted_from_another_one(inner: Window, outer: Window):
    seen = inner.relative_to(outer)
    assert (seen.y + outer.y, seen.x + outer.x) == (inner.y, inner.x)
    assert (seen.height, seen.width) == (inner.height, inner.width)


@given(geometries, st.integers(0, 1))
def test_cells_are_found_by_their_centers_and_positions_beyond_by_the_nearest_cell(
    geometry: MapGeometry, axis: int
):
    count = geometry.shape[axis]
    index = np.arange(count)
    assert np.array_equal(geometry.cells_at(axis, geometry.centers(axis, index)), index)
    beyond = geometry.centers(axis, np.array([-3, count + 2]))
    assert geometry.cells_at(axis, beyond).tolist() == [0, count - 1]


def test_windows_scale_and_grow():
    window = Window(2, 3, 4, 5)
    assert window.scaled(8) == Window(16, 24, 32, 40)
    assert window.dilated(1) == Window(1, 2, 6, 7)
    assert window.slices == (slice(2, 6), slice(3, 8))


def test_values_are_frozen():
    with pytest.raises(FrozenInstanceError):
        Region(0, 0, 1, 1).y = 5  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        Window(0, 0, 1, 1).y = 5  # type: ignore[misc]


def test_the_window_of_a_mask_holds_its_true_cells_and_no_more():
    mask = np.zeros((7, 9), bool)
    assert Window.of_mask(mask).is_empty
    mask[2, 3] = mask[5, 4] = True
    assert Window.of_mask(mask) == Window(2, 3, 4, 2)


@pytest.mark.parametrize(
    ("inner", "held"),
    [
        (Window(2, 3, 4, 5), True),
        (Window(3, 4, 1, 1), True),
        (Window(1, 3, 2, 2), False),
        (Window(2, 2, 2, 2), False),
        (Window(3, 4, 4, 1), False),
        (Window(3, 4, 1, 5), False),
    ],
)
def test_a_window_contains_what_does_not_hang_over(inner: Window, held: bool):
    assert Window(2, 3, 4, 5).contains(inner) is held
