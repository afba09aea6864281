"""Merging regions on the cell grid (P24–P27) and turning cells into labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core import merging
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import MapGeometry, Window
from napari_fddm.core.merging import (
    CellAccumulator,
    hann_window,
    labels_from_cells,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from napari_fddm.core.merging import WindowFunction

    Floats = npt.NDArray[np.float32]

REGION, STRIDE = 64, 48  # 2048 px at stride 1536, in cells of 32 px


def uniform_window(n: int) -> npt.NDArray[np.float64]:
    """Equal weights, as the published code has them."""
    return np.ones(n, dtype=np.float64)


WINDOW_FUNCTIONS = [hann_window, uniform_window]


def origins(shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Regions that hang over every border, like those of a slide's grid."""
    for y in range(STRIDE - REGION, shape[0], STRIDE):
        for x in range(STRIDE - REGION, shape[1], STRIDE):
            yield y, x


def cut(field: Floats, y: int, x: int, size: int = REGION) -> Floats:
    """Cut a region that may hang over the borders; 0.5 outside."""
    padded = np.pad(field, ((0, 0), (size, size), (size, size)), constant_values=0.5)
    return padded[:, y + size : y + 2 * size, x + size : x + 2 * size]


def merge(field: Floats, window_function: WindowFunction = hann_window) -> merging.MergedCells:
    channels, rows, cols = field.shape
    accumulator = CellAccumulator((channels, rows, cols), window_function)
    for y, x in origins((rows, cols)):
        accumulator.add(cut(field, y, x), y, x)
    return accumulator.merged()


def random_probs(shape: tuple[int, int], seed: int = 0, classes: int = 7) -> Floats:
    raw = np.random.default_rng(seed).gamma(0.5, size=(classes, *shape))
    return np.asarray(raw / raw.sum(axis=0), dtype=np.float32)


def cell_index(shape: tuple[int, int]) -> Floats:
    return np.arange(shape[0] * shape[1], dtype=np.float32).reshape(1, *shape)


@pytest.mark.parametrize("n", [1, 2, 3, 64, 1000])
def test_hann_weights_are_positive_symmetric_and_largest_in_the_middle(n: int) -> None:
    weights = hann_window(n)
    assert weights.shape == (n,)
    assert weights.min() > 0
    np.testing.assert_allclose(weights, weights[::-1], atol=1e-15)
    assert weights.argmax() in {(n - 1) // 2, n // 2}


def test_hann_windows_at_half_overlap_sum_to_one() -> None:
    weights = hann_window(REGION)
    np.testing.assert_allclose(weights[: REGION // 2] + weights[REGION // 2 :], 1.0, atol=1e-15)


@pytest.mark.parametrize("window_function", WINDOW_FUNCTIONS)
@pytest.mark.parametrize("shape", [(1, 1), (47, 49), (130, 200)])
def test_p24_a_constant_field_stays_constant(
    window_function: WindowFunction, shape: tuple[int, int]
) -> None:
    values = np.array([0.1, 0.7, 0.2], dtype=np.float32)
    field = np.broadcast_to(values[:, None, None], (3, *shape))
    accumulator = CellAccumulator((3, *shape), window_function)
    for y, x in origins(shape):
        accumulator.add(field[:, :1, :1] * np.ones((1, REGION, REGION), np.float32), y, x)
    merged = accumulator.merged()
    assert merged.coverage.all()
    np.testing.assert_array_equal(merged.probs, field)


@pytest.mark.parametrize("window_function", WINDOW_FUNCTIONS)
def test_p25_every_cell_keeps_its_place(window_function: WindowFunction) -> None:
    field = cell_index((150, 211))
    merged = merge(field, window_function)
    np.testing.assert_array_equal(merged.probs, field)


def published_merge(field: Floats) -> merging.MergedCells:
    """Merge as the published code does: regions shrunk, and none that passes the border.

    A region's 64 cells are resized from 2048 to 1792 px, that is to 56 cells, and pasted
    at the stride of 1536 px, 48 cells, as they are (docs/algorithm.md#merging).
    """
    channels, rows, cols = field.shape
    accumulator = CellAccumulator((channels, rows, cols), uniform_window)
    shrunk = np.arange(56) * REGION // 56  # nearest-neighbor resize
    for y in range(0, rows - REGION + 1, STRIDE):
        for x in range(0, cols - REGION + 1, STRIDE):
            region = field[:, y : y + REGION, x : x + REGION]
            accumulator.add(region[:, shrunk][:, :, shrunk], y, x)
    return accumulator.merged()


def largest_shift(merged: merging.MergedCells, shape: tuple[int, int]) -> float:
    """How many rows a cell of a merged field of cell indices lies from its own, at most."""
    rows = merged.probs[0] // shape[1]
    return float(np.abs(rows - np.arange(shape[0])[:, None])[merged.coverage].max())


def test_p25_regression_shrunk_regions_shift_cells() -> None:
    """The published merge moves cells by up to 7 (224 px), ours by none."""
    shape = (256, 256)
    field = cell_index(shape)
    assert largest_shift(merge(field), shape) == 0
    assert largest_shift(published_merge(field), shape) == 7


@pytest.mark.parametrize("extra", [0, 1, 32, 47])
def test_p26_regression_the_strip_at_the_right_and_bottom_is_covered(extra: int) -> None:
    """The published merge leaves the last cells of both axes without a class."""
    shape = (REGION + 2 * STRIDE + extra, REGION + STRIDE + extra)
    field = cell_index(shape)
    assert merge(field).coverage.all()
    buggy = published_merge(field).coverage
    assert not buggy[-8 - extra :].any()
    assert not buggy[:, -8 - extra :].any()
    assert buggy[: -8 - extra, : -8 - extra].all()


@pytest.mark.parametrize("pixels", [1, 255, 256, 2047, 2048, 2049, 5000])
@pytest.mark.parametrize("window_function", WINDOW_FUNCTIONS)
def test_p26_every_cell_is_covered(pixels: int, window_function: WindowFunction) -> None:
    cells = MapGeometry.covering((pixels, pixels), 32.0, 1.0).shape
    assert merge(cell_index(cells), window_function).coverage.all()


def test_p27_a_viewport_equals_the_crop_of_the_whole() -> None:
    shape, view = (170, 210), Window(60, 90, 50, 40)
    fields = {origin: random_probs((REGION, REGION), i) for i, origin in enumerate(origins(shape))}
    whole = CellAccumulator((7, *shape))
    part = CellAccumulator((7, view.height, view.width))
    added = 0
    for (y, x), probs in fields.items():
        whole.add(probs, y, x)
        in_view = Window(y - view.y, x - view.x, REGION, REGION)
        if not in_view.clipped((view.height, view.width)).is_empty:
            part.add(probs, in_view.y, in_view.x)
            added += 1
    assert 1 < added < len(fields)
    rows, cols = view.slices
    np.testing.assert_array_equal(part.merged().probs, whole.merged().probs[:, rows, cols])
    np.testing.assert_array_equal(whole.merged_window(view).probs, part.merged().probs)


def test_merging_averages_by_weight() -> None:
    accumulator = CellAccumulator((1, 1, 6))
    accumulator.add(np.zeros((1, 1, 4), np.float32), 0, 0)
    accumulator.add(np.ones((1, 1, 4), np.float32), 0, 2)
    w = hann_window(4)
    expected = [0, 0, w[0] / (w[2] + w[0]), w[1] / (w[3] + w[1]), 1, 1]
    np.testing.assert_allclose(accumulator.merged().probs[0, 0], expected, atol=1e-7)


def test_merged_probabilities_still_sum_to_one() -> None:
    shape = (100, 120)
    accumulator = CellAccumulator((7, *shape))
    for i, (y, x) in enumerate(origins(shape)):
        accumulator.add(random_probs((REGION, REGION), i), y, x)
    np.testing.assert_allclose(accumulator.merged().probs.sum(axis=0), 1.0, atol=1e-6)


def test_cells_without_a_region_are_not_covered() -> None:
    accumulator = CellAccumulator((2, 10, 10))
    assert not accumulator.merged().coverage.any()
    accumulator.add(np.full((2, 4, 4), 0.5, np.float32), -2, 8)
    merged = accumulator.merged()
    expected = np.zeros((10, 10), bool)
    expected[:2, 8:] = True
    np.testing.assert_array_equal(merged.coverage, expected)
    np.testing.assert_array_equal(merged.probs, np.stack([expected * np.float32(0.5)] * 2))


@pytest.mark.parametrize("origin", [(-4, 0), (0, 10), (10, 3), (-1000, -1000)])
def test_regions_wholly_outside_change_nothing(origin: tuple[int, int]) -> None:
    accumulator = CellAccumulator((2, 10, 10))
    accumulator.add(np.ones((2, 4, 4), np.float32), *origin)
    assert not accumulator.merged().coverage.any()


def test_hostile_regions_are_refused() -> None:
    accumulator = CellAccumulator((7, 10, 10))
    with pytest.raises(ConfigError, match="7 classes"):
        accumulator.add(np.ones((6, 4, 4), np.float32), 0, 0)
    with pytest.raises(ConfigError, match="7 classes"):
        accumulator.add(np.ones((7, 4), np.float32), 0, 0)
    with pytest.raises(ConfigError, match="not finite"):
        accumulator.add(np.full((7, 4, 4), np.nan, np.float32), 0, 0)
    assert not accumulator.merged().coverage.any()
    with pytest.raises(ConfigError, match="leaves"):
        accumulator.merged_window(Window(5, 5, 6, 2))
    with pytest.raises(ConfigError, match="at least 1"):
        CellAccumulator((7, 0, 3))


CELLS = MapGeometry((13, 17), 128.0, 0.25, (-40.0, 12.5))
LABELS = MapGeometry((101, 133), 16.0, 0.25)
PROBS = random_probs(CELLS.shape, 3)


def reference_labels(
    probs: Floats, cells: MapGeometry, labels: MapGeometry
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Interpolated probabilities (h, w, C) and labels, cell by cell in plain Python floats."""
    planes = np.zeros((*labels.shape, probs.shape[0]))
    for i in range(labels.shape[0]):
        v = (labels.origin[0] + (i + 0.5) * labels.cell - cells.origin[0]) / cells.cell - 0.5
        v = min(max(v, 0.0), cells.shape[0] - 1.0)
        top = min(int(v), cells.shape[0] - 1)
        bottom = min(top + 1, cells.shape[0] - 1)
        for j in range(labels.shape[1]):
            u = (labels.origin[1] + (j + 0.5) * labels.cell - cells.origin[1]) / cells.cell - 0.5
            u = min(max(u, 0.0), cells.shape[1] - 1.0)
            left = min(int(u), cells.shape[1] - 1)
            right = min(left + 1, cells.shape[1] - 1)
            a, b = v - top, u - left
            planes[i, j] = (1 - a) * ((1 - b) * probs[:, top, left] + b * probs[:, top, right])
            planes[i, j] += a * ((1 - b) * probs[:, bottom, left] + b * probs[:, bottom, right])
    return planes, planes.argmax(axis=2) + 1


def whole(geometry: MapGeometry) -> Window:
    return Window(0, 0, *geometry.shape)


def test_labels_agree_with_a_slow_reference() -> None:
    planes, expected = reference_labels(PROBS, CELLS, LABELS)
    found = labels_from_cells(PROBS, CELLS, LABELS, whole(LABELS))
    assert found.dtype == np.uint8
    different = found != expected
    chosen = np.take_along_axis(planes, found[..., None].astype(np.intp) - 1, axis=2)[..., 0]
    # Where two classes are equal to float32, either may win.
    np.testing.assert_allclose(chosen[different], planes.max(axis=2)[different], atol=1e-6)
    assert different.mean() < 1e-3
    assert len(np.unique(found)) == 7


@st.composite
def windows(draw: st.DrawFn, shape: tuple[int, int] = LABELS.shape) -> Window:
    y = draw(st.integers(0, shape[0]))
    x = draw(st.integers(0, shape[1]))
    return Window(y, x, draw(st.integers(0, shape[0] - y)), draw(st.integers(0, shape[1] - x)))


@settings(deadline=None)
@given(windows())
def test_labels_of_a_window_are_cut_out_of_the_whole(window: Window) -> None:
    rows, cols = window.slices
    all_labels = labels_from_cells(PROBS, CELLS, LABELS, whole(LABELS))
    found = labels_from_cells(PROBS, CELLS, LABELS, window)
    np.testing.assert_array_equal(found, all_labels[rows, cols])


@settings(deadline=None)
@given(windows(), st.sampled_from([128.0, 1.0 / 0.2487, 32 / 0.2525]))
def test_labels_need_no_more_than_the_cells_around_the_window(window: Window, cell: float) -> None:
    cells = MapGeometry(CELLS.shape, cell, 0.25, (0.1 * cell, 0.0))
    labels = MapGeometry(LABELS.shape, cell * 0.13, 0.25)
    around = cells.window_of(labels.region_of(window)).dilated(1).clipped(cells.shape)
    region = cells.region_of(around)
    part = MapGeometry((around.height, around.width), cell, 0.25, (region.y, region.x))
    rows, cols = around.slices
    found = labels_from_cells(PROBS[:, rows, cols], part, labels, window)
    expected = labels_from_cells(PROBS, cells, labels, window)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("band", [1, 500, 5000])
def test_labels_do_not_depend_on_the_bands(monkeypatch: pytest.MonkeyPatch, band: int) -> None:
    expected = labels_from_cells(PROBS, CELLS, LABELS, whole(LABELS))
    monkeypatch.setattr(merging, "_BAND_VALUES", band)
    found = labels_from_cells(PROBS, CELLS, LABELS, whole(LABELS))
    np.testing.assert_array_equal(found, expected)


def test_labels_on_the_grid_of_the_cells_are_the_argmax() -> None:
    found = labels_from_cells(PROBS, CELLS, CELLS, whole(CELLS))
    np.testing.assert_array_equal(found, PROBS.argmax(axis=0) + 1)


def test_a_border_between_two_cells_lies_on_their_common_edge() -> None:
    probs = np.zeros((2, 1, 4), np.float32)
    probs[0, :, :2] = probs[1, :, 2:] = 1.0
    cells = MapGeometry((1, 4), 32.0, 1.0)
    labels = MapGeometry((8, 32), 4.0, 1.0)
    found = labels_from_cells(probs, cells, labels, whole(labels))
    expected = np.repeat([1, 2], 16)
    np.testing.assert_array_equal(found, np.broadcast_to(expected, (8, 32)))


def test_labels_are_held_constant_beyond_the_outermost_cell_centers() -> None:
    probs = np.zeros((3, 2, 2), np.float32)
    probs[2, 0, 0] = probs[0, 0, 1] = probs[1, 1, 0] = probs[0, 1, 1] = 1.0
    cells = MapGeometry((2, 2), 100.0, 1.0, (50.0, 50.0))
    labels = MapGeometry((30, 30), 10.0, 1.0)
    found = labels_from_cells(probs, cells, labels, whole(labels))
    assert (found[:9, :9] == 3).all()
    assert (found[21:, :9] == 2).all()
    assert (found[:9, 21:] == 1).all()


def test_equal_classes_go_to_the_lowest_index() -> None:
    probs = np.zeros((4, 3, 3), np.float32)
    probs[1] = probs[3] = 0.5
    found = labels_from_cells(probs, MapGeometry((3, 3), 9.0, 1.0), LABELS, Window(0, 0, 5, 7))
    assert (found == 2).all()


def test_uncovered_cells_are_not_analyzed_and_take_no_part() -> None:
    coverage = np.ones(CELLS.shape, bool)
    coverage[3:5, 4] = coverage[0, 0] = coverage[-1, -1] = False
    garbage = PROBS.copy()
    garbage[:, ~coverage] = np.nan
    empty = np.where(coverage, PROBS, np.float32(0))
    found = labels_from_cells(garbage, CELLS, LABELS, whole(LABELS), coverage)
    expected = labels_from_cells(empty, CELLS, LABELS, whole(LABELS))
    centers = (np.arange(101) + 0.5) * 16 + 40.0, (np.arange(133) + 0.5) * 16 - 12.5
    rows, cols = (
        np.clip(c // 128, 0, n - 1).astype(int) for c, n in zip(centers, CELLS.shape, strict=True)
    )
    analyzed = coverage[rows][:, cols]
    np.testing.assert_array_equal(found != 0, analyzed)
    np.testing.assert_array_equal(found[analyzed], expected[analyzed])


def test_stored_half_precision_is_accepted() -> None:
    half = PROBS.astype(np.float16)
    found = labels_from_cells(half, CELLS, LABELS, whole(LABELS))
    expected = labels_from_cells(half.astype(np.float32), CELLS, LABELS, whole(LABELS))
    np.testing.assert_array_equal(found, expected)


def test_hostile_maps_are_refused() -> None:
    with pytest.raises(ConfigError, match="do not fit"):
        labels_from_cells(PROBS[:, 1:], CELLS, LABELS, whole(LABELS))
    with pytest.raises(ConfigError, match="coverage"):
        labels_from_cells(PROBS, CELLS, LABELS, whole(LABELS), np.ones((2, 2), bool))
    with pytest.raises(ConfigError, match="leaves"):
        labels_from_cells(PROBS, CELLS, LABELS, Window(-1, 0, 5, 5))
    broken = PROBS.copy()
    broken[2, 5, 5] = np.nan
    with pytest.raises(ConfigError, match="finite"):
        labels_from_cells(broken, CELLS, LABELS, whole(LABELS))
