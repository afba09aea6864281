"""Pixels over a socket: the same as at home, and an end that is one clear error."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from multiprocessing import AuthenticationError

import dask.array as da
import numpy as np
import pytest

from napari_fddm.core.errors import MppError, PixelsGoneError, SlideError
from napari_fddm.core.geometry import Region
from napari_fddm.slides import ArraySlide
from napari_fddm.slides.pixel_server import THREAD_NAME, PixelServer
from napari_fddm.slides.served import ServedSlide

SHAPE = (300, 421)


def pyramid(seed=0):
    fine = np.random.default_rng(seed).integers(0, 255, (*SHAPE, 3), np.uint8)
    return [fine, np.ascontiguousarray(fine[::2, ::2])]


class Slow(ArraySlide):
    """Reads only when it is told to."""

    def __init__(self, data):
        self.go = threading.Event()
        self.go.set()
        self.asked = threading.Event()
        super().__init__(data, name="slow")

    def _read_level(self, *window):
        self.asked.set()
        self.go.wait(20)
        return super()._read_level(*window)


@pytest.fixture
def home():
    return ArraySlide(pyramid(), mpp=0.5, name="home")


def test_every_window_is_the_same_as_at_home(home):
    with (
        closing(PixelServer(home)) as server,
        ServedSlide(server.source(0.5, "layer")) as away,
    ):
        assert (away.name, away.fingerprint, away.scales) == ("home", home.fingerprint, home.scales)
        assert (away.mpp.value, away.mpp.source) == (0.5, "layer")
        for region in (Region(0, 0, *SHAPE), Region(-20, 30.5, 90, 120), Region(250, 400, 99, 99)):
            for mpp in (0.4, 0.5, 0.7, 2.0):
                assert np.array_equal(away.read_region(region, mpp), home.read_region(region, mpp))
        with ThreadPoolExecutor(4) as pool:
            rows = list(pool.map(lambda y: away.read_level(0, y, 0, 1, SHAPE[1]), range(SHAPE[0])))
        assert np.array_equal(np.concatenate(rows), home.read_level(0, 0, 0, *SHAPE))


def test_a_typed_pixel_size_wins_and_must_be_believable(home):
    with closing(PixelServer(home)) as server:
        source = server.source(None, "layer")
        with ServedSlide(source, mpp=0.25) as away:
            assert (away.mpp.value, away.mpp.source) == (0.25, "user")
        with pytest.raises(MppError):
            ServedSlide(source, mpp=40.0)


def test_pixels_that_cannot_be_computed_are_an_error_of_that_place_only():
    def compute(block, block_info=None):
        if block_info and block_info[0]["chunk-location"][:2] == (1, 1):
            raise ValueError("this block is damaged")
        return block

    lazy = da.from_array(pyramid()[0], chunks=(100, 100, 3)).map_blocks(compute, dtype=np.uint8)
    with (
        closing(PixelServer(ArraySlide([lazy], mpp=1.0))) as server,
        ServedSlide(server.source(1.0, "layer")) as away,
    ):
        with pytest.raises(SlideError, match="this block is damaged"):
            away.read_level(0, 120, 120, 10, 10)
        assert np.array_equal(away.read_level(0, 0, 0, 50, 50), pyramid()[0][:50, :50])


def test_stopping_is_told_to_readers_that_wait_and_that_come_later(home):
    server = PixelServer(home)
    away = ServedSlide(server.source(1.0, "layer"))
    late = server.source(1.0, "layer")
    server.stop("The layer home was deleted.")
    with pytest.raises(PixelsGoneError, match="The layer home was deleted"):
        away.read_level(0, 0, 0, 9, 9)
    server.close()
    with pytest.raises(PixelsGoneError):
        away.read_level(0, 0, 0, 9, 9)
    with pytest.raises(PixelsGoneError):
        ServedSlide(late)
    away.close()


def test_stopping_does_not_wait_for_a_slow_read():
    slide = Slow(pyramid()[0])
    server = PixelServer(slide)
    away = ServedSlide(server.source(1.0, "layer"))
    slide.go.clear()
    slide.asked.clear()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(away.read_level, 0, 0, 0, 9, 9)
        assert slide.asked.wait(10)
        server.stop("gone")
        assert not reading.done()
        slide.go.set()
        reading.exception(20)
    server.close()
    away.close()


def test_without_the_key_nothing_is_served(home):
    with closing(PixelServer(home)) as server:
        stranger = replace(server.source(1.0, "layer"), key=b"guess")
        with pytest.raises(AuthenticationError):
            ServedSlide(stranger)
        with ServedSlide(server.source(1.0, "layer")) as away:
            assert away.read_level(0, 0, 0, 2, 2).shape == (2, 2, 3)


def test_nothing_is_left_behind(home):
    def threads():
        return [t for t in threading.enumerate() if t.name == THREAD_NAME]

    files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(5):
        server = PixelServer(home)
        away = ServedSlide(server.source(1.0, "layer"))
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda y, s=away: s.read_level(0, y, 0, 1, 9), range(30)))
        away.close()
        server.close()
    deadline = time.monotonic() + 10
    while threads() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threads() == []
    if files:
        assert len(os.listdir("/proc/self/fd")) == files
