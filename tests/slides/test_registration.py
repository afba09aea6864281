"""Does what is read lie where it is said to lie, at every downsample and level?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.core.geometry import Region
from napari_fddm.slides import ArraySlide
from napari_fddm.slides.openslide import OpenSlideSlide
from napari_fddm.slides.tiff import TiffSlide
from tests.support.slides import binned, centroid, dots, stretched, write_tiff

if TYPE_CHECKING:
    from pathlib import Path

    from napari_fddm.slides import PyramidSlide

MPP = 0.25
DOWNSAMPLES = (1.0, 2.0, 3.999, 4.0, 16.0)
EXACT = 0.1  # the dots' gray levels are rounded, so a centroid is no better than this
SHAPE = (1543, 1795)  # remainders at every level
CENTERS = [(130.3, 141.8), (140.6, 1650.2), (1400.9, 150.4), (1410.5, 1663.7), (771.0, 890.5)]
PYRAMIDS = {
    "flat": lambda full: [full],
    "binned": lambda full: [full, binned(full, 2), binned(full, 4), binned(full, 16)],
    "stretched": lambda full: [full, stretched(full, (771, 897)), stretched(full, (96, 112))],
    "odd": lambda full: [full, stretched(full, (386, 449)), stretched(full, (140, 163))],
}


def displacements(slide: PyramidSlide, downsample: float) -> list[float]:
    """Return, per dot and axis, how far (output px) it is from its place."""
    found = []
    for y, x in CENTERS:
        # Windows begin at fractions, as tile grids do, and differ from dot to dot.
        window = Region(y - 110.7 - 0.013 * x, x - 118.2 + 0.007 * y, 232.0, 239.0)
        measured = centroid(slide.read_region(window, MPP * downsample))
        place = (window.y + measured[0] * downsample, window.x + measured[1] * downsample)
        found += [abs(place[0] - y) / downsample, abs(place[1] - x) / downsample]
    return found


@pytest.fixture(scope="module")
def full() -> np.ndarray:
    return dots(SHAPE, CENTERS, sigma=18.0)


@pytest.mark.parametrize("downsample", DOWNSAMPLES)
@pytest.mark.parametrize("kind", PYRAMIDS)
def test_dots_lie_where_they_are(full: np.ndarray, kind: str, downsample: float) -> None:
    slide = ArraySlide(PYRAMIDS[kind](full), mpp=MPP)
    limit = EXACT if kind == "flat" else 0.5
    assert max(displacements(slide, downsample)) < limit


@pytest.mark.parametrize("reader", [TiffSlide, OpenSlideSlide])
@pytest.mark.parametrize("downsample", DOWNSAMPLES)
def test_dots_in_a_file(
    tmp_path: Path, full: np.ndarray, reader: type[PyramidSlide], downsample: float
) -> None:
    path = write_tiff(tmp_path / "a.tif", PYRAMIDS["binned"](full), mpp=MPP, tile=240)
    with reader(path) as slide:  # type: ignore[call-arg, arg-type]
        assert max(displacements(slide, downsample)) < 0.5


def test_interpolated_reads_do_not_shift(full: np.ndarray) -> None:
    assert max(displacements(ArraySlide(full, mpp=MPP), 0.5)) < EXACT


def test_dots_in_the_lazy_levels(full: np.ndarray) -> None:
    slide = ArraySlide(PYRAMIDS["binned"](full), mpp=MPP)
    for level, lazy in zip(slide.levels, slide.as_dask(), strict=True):
        y, x = CENTERS[-1]
        scale = level.downsample
        top, left = int((y - 100) / scale), int((x - 100) / scale)
        size = int(200 / scale)
        cy, cx = centroid(np.asarray(lazy[top : top + size, left : left + size]))
        assert abs((top + cy) * scale - y) / scale < 0.5
        assert abs((left + cx) * scale - x) / scale < 0.5
