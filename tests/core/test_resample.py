from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.resample import (
    area_average,
    area_average_edges,
    area_weights,
    bilinear_edges,
    linear_weights,
)
from tests.support.slides import noise, slow_average

sizes = st.integers(1, 9)
places = st.one_of(st.integers(-4, 12).map(float), st.floats(-4, 12))
lengths = st.one_of(st.integers(1, 12).map(float), st.floats(0.05, 12))


@settings(deadline=None, max_examples=150)
@given(sizes, sizes, places, places, lengths, lengths, sizes, sizes)
def test_equals_the_definition(
    height: int, width: int, y: float, x: float, tall: float, wide: float, rows: int, cols: int
) -> None:
    image = noise(height, width)
    box = (y, x, y + tall, x + wide)
    exact = slow_average(image, box, (rows, cols))
    found = area_average(image, box, (rows, cols))
    assert found.shape == exact.shape
    assert np.abs(found - exact).max() <= 0.501  # rounding, and nothing else


def test_rounds_half_up_on_both_paths() -> None:
    image = np.array([[[10], [11]], [[10], [11]]], np.uint8)
    whole = area_average(image, (0, 0, 2, 2), (1, 1))
    leaving = area_average(np.pad(image, ((0, 0), (0, 1), (0, 0))), (0, 0, 2, 2), (1, 1))
    shifted = area_average(image, (0.5, 0, 1.5, 2), (1, 1))
    assert whole == leaving == shifted == 11


def test_identity_is_a_copy() -> None:
    image = noise(5, 7)
    same = area_average(image, (0, 0, 5, 7), (5, 7))
    np.testing.assert_array_equal(same, image)
    assert not np.shares_memory(same, image)


def test_white_beyond_the_image_in_proportion() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    half_outside = area_average(image, (0, -1, 2, 1), (1, 1))
    outside = area_average(image, (5, 5, 7, 7), (2, 2))
    assert half_outside.ravel().tolist() == [128] * 3
    assert (outside == 255).all()


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 30), st.floats(-3, 30), st.floats(0.1, 7), st.integers(1, 12))
def test_weights_sum_to_the_part_inside(size: int, start: float, step: float, count: int) -> None:
    edges = start + step * np.arange(count + 1)
    inside = np.clip(edges, 0, size)
    expected = np.diff(inside) / np.diff(edges)
    np.testing.assert_allclose(area_weights(edges, size).sum(axis=1), expected, atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(st.floats(0.3, 6), st.floats(-2, 4), st.integers(2, 20), st.data())
def test_a_part_of_a_read_is_the_read_of_a_part(
    step: float, start: float, count: int, data: st.DataObject
) -> None:
    image = noise(24, 24)
    edges = np.round((start + step * np.arange(count + 1)) * 2**20) / 2**20
    first = data.draw(st.integers(0, count - 1))
    last = data.draw(st.integers(first + 1, count))
    whole = area_average_edges(image, edges, edges)
    part = area_average_edges(image, edges[first : last + 1], edges)
    np.testing.assert_array_equal(part, whole[first:last])


def test_interpolation_keeps_a_ramp_straight() -> None:
    ramp = np.repeat(np.arange(0, 200, 10, dtype=np.uint8)[:, None, None], 3, axis=2)
    edges = np.linspace(0, 20, 81)
    fine = bilinear_edges(ramp, edges, np.array([0.0, 1.0]))[:, 0, 0].astype(float)
    inner = fine[2:-2]  # centers between the first and last pixel's
    np.testing.assert_allclose(np.diff(inner), 2.5, atol=1)
    assert (fine[:2] == 0).all()
    assert (fine[-2:] == 190).all()


def test_interpolation_is_white_where_the_center_is_outside() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    edges = np.linspace(-1, 3, 9)
    found = bilinear_edges(image, edges, edges)[..., 0]
    expected = np.full((8, 8), 255)
    expected[2:6, 2:6] = 0
    np.testing.assert_array_equal(found, expected)


def test_interpolation_at_pixel_centers_gives_the_pixels() -> None:
    image = noise(6, 1)
    edges = np.arange(7.0)
    np.testing.assert_array_equal(bilinear_edges(image, edges, np.array([0.0, 1.0])), image)
    assert linear_weights(edges, 6).toarray().tolist() == np.eye(6).tolist()


@pytest.mark.parametrize(
    ("image", "box", "shape"),
    [
        (noise(4, 4).astype(np.uint16), (0, 0, 4, 4), (2, 2)),
        (noise(4, 4)[..., 0], (0, 0, 4, 4), (2, 2)),
        (noise(4, 4)[:0], (0, 0, 4, 4), (2, 2)),
        (noise(4, 4), (0, 0, 0, 4), (2, 2)),
        (noise(4, 4), (3, 0, 1, 4), (2, 2)),
        (noise(4, 4), (0, 0, float("nan"), 4), (2, 2)),
        (noise(4, 4), (0, 0, 4, 4), (0, 2)),
    ],
)
def test_refuses_what_has_no_area(
    image: np.ndarray, box: tuple[float, float, float, float], shape: tuple[int, int]
) -> None:
    with pytest.raises(ConfigError):
        area_average(image, box, shape)
