from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.errors import MppError
from napari_fddm.core.geometry import Mpp, Region
from napari_fddm.core.resample import area_average_edges
from napari_fddm.slides import PyramidSlide
from napari_fddm.slides.base import SlideInfo
from tests.support.slides import binned, noise, slow_average, stained

MPP = 0.5


class MemorySlide(PyramidSlide):
    """Levels from arrays; remembers what was read."""

    def __init__(self, levels: list[Any], mpp: float | None = MPP, tile: int = 64) -> None:
        info = SlideInfo("memory", "test", "", Mpp(mpp, "test"), "0" * 64)
        super().__init__(info, [a.shape[:2] for a in levels], tile=tile)
        self._arrays = levels
        self.windows: list[tuple[int, int, int, int, int]] = []

    def _read_level(self, level: int, y: int, x: int, height: int, width: int) -> Any:
        rows, cols = self._levels[level].shape
        assert y >= 0
        assert x >= 0
        assert 0 < height <= rows - y
        assert 0 < width <= cols - x
        self.windows.append((level, y, x, height, width))
        return self._arrays[level][y : y + height, x : x + width].copy()


def pyramid(height: int = 200, width: int = 160) -> MemorySlide:
    full = stained(height, width)
    return MemorySlide([full, binned(full, 2), binned(full, 8)])


def test_level_zero_comes_back_unchanged() -> None:
    image = noise(50, 40)
    slide = MemorySlide([image])
    np.testing.assert_array_equal(slide.read_region(slide.extent, MPP), image)
    part = slide.read_region(Region(10, 5, 20, 30), MPP)
    np.testing.assert_array_equal(part, image[10:30, 5:35])


@settings(deadline=None, max_examples=60)
@given(
    st.floats(-20, 60), st.floats(-20, 60), st.floats(0.5, 30), st.floats(0.5, 30),
    st.sampled_from([1.0, 1.7, 2.0, 2.5, 3.999, 4.0, 7.3]),
)  # fmt: skip
def test_single_level_reads_equal_the_definition(
    y: float, x: float, height: float, width: float, downsample: float
) -> None:
    image = noise(45, 37)
    shape = max(1, round(height / downsample)), max(1, round(width / downsample))
    found = MemorySlide([image]).read_region(Region(y, x, height, width), MPP * downsample)
    box = (y, x, y + shape[0] * downsample, x + shape[1] * downsample)
    exact = slow_average(image, box, shape)
    assert found.shape == exact.shape
    assert np.abs(found - exact).max() <= 0.51


@settings(deadline=None, max_examples=40)
@given(st.floats(-5, 20), st.floats(0.6, 9), st.integers(2, 12), st.integers(2, 12), st.data())
def test_a_part_equals_the_crop_of_the_whole(
    start: float, downsample: float, rows: int, cols: int, data: st.DataObject
) -> None:
    slide = MemorySlide([noise(70, 70), noise(35, 35), noise(17, 17)])
    start, downsample = round(start * 64) / 64, round(downsample * 64) / 64
    whole = slide.read_scaled(
        Region(start, start, rows * downsample, cols * downsample), downsample
    )
    i, j = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))
    part = slide.read_scaled(
        Region(start + i * downsample, start + j * downsample, downsample, downsample), downsample
    )
    np.testing.assert_array_equal(part, whole[i : i + 1, j : j + 1])


def test_blocks_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    slide = MemorySlide([noise(300, 260)])
    region = Region(-3.3, 2.7, 310, 270)
    at_once = slide.read_scaled(region, 2.6)
    monkeypatch.setattr("napari_fddm.slides.bins.BLOCK", 40)
    slide.windows.clear()
    np.testing.assert_array_equal(slide.read_scaled(region, 2.6), at_once)
    assert len(slide.windows) > 20
    assert max(h * w for _, _, _, h, w in slide.windows) <= 44 * 44


def test_one_pixel_of_everything_is_the_mean_in_bounded_windows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("napari_fddm.slides.base._MOST_PER_PIXEL", 16)
    monkeypatch.setattr("napari_fddm.slides.bins.BLOCK", 32)
    image = stained(200, 200)
    slide = MemorySlide([image])
    pixel = slide.read_scaled(slide.extent, 200.0)
    assert pixel.shape == (1, 1, 3)
    assert np.abs(pixel[0, 0] - image.mean(axis=(0, 1))).max() <= 1
    assert max(max(h, w) for _, _, _, h, w in slide.windows) <= 36


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 12), st.sampled_from([1, 2, 3, 4]))
def test_whole_bins_are_averaged_as_any_others(y: int, x: int, count: int, step: int) -> None:
    image = noise(100, 90, seed=3)
    slide = MemorySlide([image])
    read = slide.read_scaled(Region(y, x, count * step, count * step), float(step))
    edges = np.arange(count + 1) * float(step)
    np.testing.assert_array_equal(read, area_average_edges(image, y + edges, x + edges))


def test_a_read_that_lines_up_with_the_file_takes_no_pixel_more() -> None:
    slide = MemorySlide([noise(200, 200)])
    slide.windows.clear()
    slide.read_region(Region(64, 128, 64, 64), MPP)
    slide.read_scaled(Region(64, 128, 64, 64), 2.0)
    slide.read_scaled(Region(64.5, 128, 63, 63), 3.0)
    assert slide.windows == [(0, 64, 128, 64, 64)] * 2 + [(0, 64, 128, 64, 63)]


@pytest.mark.parametrize(
    ("downsample", "level"), [(1, 0), (1.9, 0), (1.999, 1), (2, 1), (7.9, 1), (8, 2), (50, 2)]
)
def test_reads_the_nearest_finer_level(downsample: float, level: int) -> None:
    slide = pyramid()
    slide.read_scaled(Region(16, 16, 64, 64), downsample)
    assert {w[0] for w in slide.windows} == {level}


def test_reads_no_more_than_it_needs() -> None:
    slide = pyramid()
    slide.read_scaled(Region(40.5, 40.5, 32, 32), 2.0)
    assert slide.windows == [(1, 20, 20, 17, 17)]


def test_outside_is_white_and_reads_nothing() -> None:
    slide = pyramid()
    assert (slide.read_region(Region(-100, -100, 50, 50), 1.0) == 255).all()
    assert (slide.read_region(Region(5000, 0, 50, 50), 1.0) == 255).all()
    assert slide.windows == []


def test_finer_than_the_slide_is_interpolated() -> None:
    ramp = np.repeat(np.arange(40, dtype=np.uint8)[:, None, None] * 5, 3, axis=2)
    slide = MemorySlide([np.repeat(ramp, 40, axis=1)])
    fine = slide.read_region(Region(10, 10, 10, 10), MPP / 4)
    assert fine.shape == (40, 40, 3)
    steps = np.diff(fine[:, 0, 0].astype(int))
    assert set(steps.tolist()) <= {1, 2}  # 1.25 gray levels, no stairs of 5


@given(st.floats(0.01, 500), st.floats(0.05, 20))
def test_shape_is_rounded_and_at_least_one(height: float, mpp: float) -> None:
    slide = MemorySlide([np.zeros((8, 8, 3), np.uint8)])
    if height * MPP / mpp > 300:
        return
    image = slide.read_region(Region(0, 0, height, 1), mpp)
    assert image.shape[0] == max(1, round(height / (mpp / MPP)))


def test_unknown_mpp_is_refused_but_scaled_reading_works() -> None:
    slide = MemorySlide([noise(20, 20)], mpp=None)
    with pytest.raises(MppError, match="memory") as caught:
        slide.read_region(slide.extent, 1.0)
    assert "mpp" in caught.value.hint
    assert slide.read_scaled(slide.extent, 2.0).shape == (10, 10, 3)


@pytest.mark.parametrize(("tile", "chunk"), [(64, 512), (240, 720), (256, 512), (1024, 1024)])
def test_lazy_levels_have_square_chunks_and_the_pixels(tile: int, chunk: int) -> None:
    image = noise(1100, 1500)
    slide = MemorySlide([image, binned(image, 4)], tile=tile)
    lazy = slide.as_dask()
    assert [a.shape for a in lazy] == [(1100, 1500, 3), (275, 375, 3)]
    assert all(a.dtype == np.uint8 for a in lazy)
    assert lazy[0].chunks[0][0] == min(chunk, 1100)
    assert lazy[0].chunks[1][0] == min(chunk, 1500)
    assert slide.windows == []
    np.testing.assert_array_equal(np.asarray(lazy[0][500:530, 700:900]), image[500:530, 700:900])
    np.testing.assert_array_equal(np.asarray(lazy[0][::7, ::5, 1]), image[::7, ::5, 1])
    np.testing.assert_array_equal(np.asarray(lazy[1]), binned(image, 4))


def test_read_level_pads_with_white() -> None:
    image = noise(20, 30)
    found = MemorySlide([image]).read_level(0, -5, 20, 10, 20)
    expected = np.full((10, 20, 3), 255, np.uint8)
    expected[5:, :10] = image[:5, 20:]
    np.testing.assert_array_equal(found, expected)
