from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from napari_fddm.core.tiling import TileGrid
from napari_fddm.pipeline.stage1 import iter_tile_batches
from napari_fddm.pipeline.stage1.tile_reader import PREFETCH_BATCHES, READER_THREADS
from tests.support.runs import WatchedSlide, mosaic

PIXELS = mosaic(1000, 1500, seed=1)
GRID = TileGrid((1000, 1500), 1.0, 1.0)
ALL = [(int(r), int(c)) for r, c in np.argwhere(np.ones(GRID.shape, bool))]


def readers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("fddm-reader")]


@pytest.mark.parametrize("batch_size", [1, 5, 24, 100])
def test_tiles_come_in_order_and_in_batches(batch_size: int):
    assert len(ALL) == 24
    order = ALL[::-1]
    batches = list(iter_tile_batches(WatchedSlide(PIXELS), GRID, order, batch_size))
    assert [len(b) for b in batches[:-1]] == [batch_size] * (len(batches) - 1)
    found = [(read.tile.row, read.tile.col) for batch in batches for read in batch]
    assert found == order


def test_pixels_are_those_of_the_slide_and_white_beyond_it():
    padded = np.full((1024, 1536, 3), 255, np.uint8)
    padded[:1000, :1500] = PIXELS
    for batch in iter_tile_batches(WatchedSlide(PIXELS), GRID, ALL, 7):
        for read in batch:
            y, x = read.tile.row * 256, read.tile.col * 256
            assert read.pixels is not None
            assert read.pixels.flags.c_contiguous
            assert np.array_equal(read.pixels, padded[y : y + 256, x : x + 256])


def test_a_tile_that_cannot_be_decoded_does_not_stop_the_others():
    slide = WatchedSlide(PIXELS, broken=lambda row, col: (row, col) == (2, 3))
    reads = [read for batch in iter_tile_batches(slide, GRID, ALL, 4) for read in batch]
    failed = [read for read in reads if read.pixels is None]
    assert [(r.tile.row, r.tile.col) for r in failed] == [(2, 3)]
    assert "cannot be decoded" in failed[0].error
    assert len(reads) == len(ALL)


def test_a_fault_of_the_program_is_not_taken_for_a_bad_tile():
    def broken(row: int, col: int) -> bool:
        raise ZeroDivisionError

    batches = iter_tile_batches(WatchedSlide(PIXELS, broken=broken), GRID, ALL, 4)
    with pytest.raises(ZeroDivisionError):
        next(batches)
    assert readers() == []


def test_reading_runs_ahead_but_not_away():
    slide = WatchedSlide(PIXELS)
    batches = iter_tile_batches(slide, GRID, ALL, 2)
    next(batches)
    give_up = time.monotonic() + 10
    while len(slide.tiles_read) < 2 * (PREFETCH_BATCHES + 1) and time.monotonic() < give_up:
        time.sleep(0.01)
    assert len(slide.tiles_read) == 2 * (PREFETCH_BATCHES + 1)
    batches.close()


def test_closing_stops_the_readers():
    slide = WatchedSlide(PIXELS)
    batches = iter_tile_batches(slide, GRID, ALL, 2)
    next(batches)
    assert 0 < len(readers()) <= READER_THREADS
    batches.close()
    assert readers() == []
    seen = len(slide.tiles_read)
    assert seen < len(ALL)
    time.sleep(0.05)
    assert len(slide.tiles_read) == seen


def test_nothing_to_read_is_no_batch():
    assert list(iter_tile_batches(WatchedSlide(PIXELS), GRID, [], 4)) == []
    assert readers() == []
