from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_fddm.core.errors import MppError, SlideError
from napari_fddm.core.geometry import Mpp, Region
from napari_fddm.core.protocols import Slide
from napari_fddm.slides.array import ArraySlide
from tests.support.slides import binned, noise

IMAGE = noise(120, 90)


@pytest.mark.parametrize("wrap", [np.asarray, da.from_array], ids=["numpy", "dask"])
def test_one_array_and_a_pyramid(wrap: Any) -> None:
    single = ArraySlide(wrap(IMAGE), mpp=0.5)
    several = ArraySlide([wrap(IMAGE), wrap(binned(IMAGE, 2))], mpp=0.5)
    assert isinstance(single, Slide)
    np.testing.assert_array_equal(single.read_region(single.extent, 0.5), IMAGE)
    np.testing.assert_array_equal(several.read_region(several.extent, 1.0), binned(IMAGE, 2))
    np.testing.assert_array_equal(np.asarray(several.as_dask()[1]), binned(IMAGE, 2))


def test_gray_and_transparent() -> None:
    gray = ArraySlide(IMAGE[..., 0])
    np.testing.assert_array_equal(gray.read_level(0, 0, 0, 9, 9), IMAGE[:9, :9, [0, 0, 0]])
    clear = ArraySlide(np.dstack([IMAGE, np.zeros(IMAGE.shape[:2], np.uint8)]))
    assert (clear.read_level(0, 0, 0, 9, 9) == 255).all()


def test_answers_do_not_alias_the_array() -> None:
    slide = ArraySlide(IMAGE.copy(), mpp=0.5)
    slide.read_level(0, 0, 0, 9, 9)[:] = 0
    slide.read_region(Region(0, 0, 9, 9), 0.5)[:] = 0
    np.testing.assert_array_equal(slide.read_level(0, 0, 0, 9, 9), IMAGE[:9, :9])


def test_pixel_size_is_recorded() -> None:
    assert ArraySlide(IMAGE).mpp == Mpp(None, "unknown")
    assert ArraySlide(IMAGE, mpp=0.5).mpp == Mpp(0.5, "user")
    assert ArraySlide(IMAGE, mpp=Mpp(0.5, "layer")).mpp == Mpp(0.5, "layer")
    assert ArraySlide(IMAGE, mpp=Mpp(400.0, "layer")).mpp.value is None
    with pytest.raises(MppError):
        ArraySlide(IMAGE, mpp=0.0)


def test_fingerprint_follows_every_pixel() -> None:
    other = IMAGE.copy()
    other[100, 80, 1] ^= 1
    assert ArraySlide(IMAGE).fingerprint == ArraySlide(IMAGE.copy()).fingerprint
    assert ArraySlide(IMAGE).fingerprint != ArraySlide(other).fingerprint
    assert (
        ArraySlide(da.from_array(IMAGE)).fingerprint != ArraySlide(da.from_array(other)).fingerprint
    )


@pytest.mark.parametrize(
    "data",
    [
        IMAGE.astype(np.uint16),
        IMAGE[..., :2],
        IMAGE[None],
        IMAGE[0, 0],
        IMAGE[:0],
        [],
        [binned(IMAGE, 2), IMAGE],
        "text",
    ],
)
def test_what_is_no_slide_is_refused(data: Any) -> None:
    with pytest.raises(SlideError):
        ArraySlide(data)


class Vanishing:
    """An array whose store disappears after opening."""

    shape, dtype, name = IMAGE.shape, IMAGE.dtype, "x"

    def __init__(self) -> None:
        self.reads = 0

    def __getitem__(self, key: Any) -> Any:
        self.reads += 1
        if self.reads > 64:
            raise OSError("the share is gone")
        return IMAGE[key]


def test_failing_source_and_closing_are_slide_errors() -> None:
    slide = ArraySlide(Vanishing(), name="remote")
    with pytest.raises(SlideError, match=r"remote.*the share is gone"):
        slide.read_level(0, 0, 0, 8, 8)
    slide.close()
    with pytest.raises(SlideError, match=r"remote.*closed"):
        slide.read_level(0, 0, 0, 8, 8)
