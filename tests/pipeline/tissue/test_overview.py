from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.geometry import MapGeometry, Window
from napari_fddm.pipeline.tissue.overview import SMALLEST_BLOCK, iter_blocks
from tests.support.runs import WatchedSlide, mosaic

PIXELS = mosaic(1300, 1700, seed=2)
GEOMETRY = MapGeometry.covering((1300, 1700), 4.0, 1.0)


def put_together(slide: WatchedSlide, **options: int) -> tuple[np.ndarray, np.ndarray]:
    image = np.zeros((*GEOMETRY.shape, 3), np.uint8)
    times = np.zeros(GEOMETRY.shape, int)
    for window, rgb, reason in iter_blocks(slide, GEOMETRY, **options):
        assert window.clipped(GEOMETRY.shape) == window
        assert (rgb is None) == bool(reason)
        times[window.slices] += 1
        if rgb is not None:
            image[window.slices] = rgb
    assert (times == 1).all()
    return image, times


@pytest.mark.parametrize("block", [32, 100, 1024])
def test_blocks_add_up_to_one_read(block: int):
    whole = WatchedSlide(PIXELS).read_region(GEOMETRY.region, 4.0)
    image, _ = put_together(WatchedSlide(PIXELS), block=block)
    assert np.array_equal(image, whole)


def test_a_window_alone_can_be_read():
    window = Window(10, 20, 50, 40)
    blocks = list(iter_blocks(WatchedSlide(PIXELS), GEOMETRY, window, 32))
    assert sum(w.height * w.width for w, _, _ in blocks) == 50 * 40
    assert min(w.y for w, _, _ in blocks) == 10


def test_a_damaged_place_leaves_a_small_gap():
    slide = WatchedSlide(PIXELS, broken=lambda row, col: (row, col) == (2, 3))
    gaps = [w for w, rgb, _ in iter_blocks(slide, GEOMETRY) if rgb is None]
    assert gaps
    damaged = Window(2 * 64, 3 * 64, 64, 64)  # the tile in cells of 4 px
    for gap in gaps:
        assert max(gap.height, gap.width) <= SMALLEST_BLOCK
        assert damaged.y - SMALLEST_BLOCK < gap.y < damaged.y + 64
        assert damaged.x - SMALLEST_BLOCK < gap.x < damaged.x + 64
    image, _ = put_together(slide)
    assert not image[damaged.slices].any()


def test_a_slide_that_cannot_be_read_at_all_is_one_gap():
    slide = WatchedSlide(PIXELS, broken=lambda row, col: True)
    assert all(rgb is None for _, rgb, _ in iter_blocks(slide, GEOMETRY))
    image, _ = put_together(slide)
    assert not image.any()
