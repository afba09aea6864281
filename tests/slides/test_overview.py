from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.slides import ArraySlide, overview
from napari_fddm.slides.overview import UNREADABLE, read_overview
from napari_fddm.slides.tiff import TiffSlide
from tests.support.slides import binned, noise, overwrite_tile, stained, write_tiff

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_it_is_the_average_of_the_coarsest_level() -> None:
    image = noise(1200, 800)
    found = read_overview(ArraySlide([image, binned(image, 2)], mpp=0.5), 150)
    assert found is not None
    assert found.shape == (150, 100, 3)
    np.testing.assert_allclose(found.astype(int), binned(binned(image, 2), 4), atol=1)


def test_a_small_slide_is_not_blown_up() -> None:
    image = noise(30, 50)
    found = read_overview(ArraySlide(image, mpp=0.5), 500)
    np.testing.assert_array_equal(found, image)


def test_what_is_damaged_is_gray(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "s.tif", [stained(1024, 512)], tile=512, compression="jpeg")
    overwrite_tile(path, 1, b"nothing at all" * 4)
    with TiffSlide(path) as slide:
        found = read_overview(slide, 1024)
    assert found is not None
    assert (found[512:] == UNREADABLE).all()
    assert not (found[:512] == UNREADABLE).all()


def test_it_can_be_given_up() -> None:
    assert read_overview(ArraySlide(noise(30, 50), mpp=0.5), 500, lambda: True) is None


def test_a_file_without_a_coarse_level_is_not_read_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overview, "MOST_PIXELS", 100)
    slide = ArraySlide(noise(30, 50), mpp=0.5)
    assert read_overview(slide, 500) is None
