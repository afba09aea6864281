from __future__ import annotations

import zlib
from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_fddm.core.errors import MppError, SlideError
from napari_fddm.core.geometry import Mpp, Region
from napari_fddm.slides import ArraySlide
from napari_fddm.slides.ngff.stored import StoredChunks
from tests.support.slides import binned, noise

IMAGE = noise(120, 90)


def test_gray_and_transparent() -> None:
    gray = ArraySlide(IMAGE[..., 0])
    np.testing.assert_array_equal(gray.read_level(0, 0, 0, 9, 9), IMAGE[:9, :9, [0, 0, 0]])
    clear = ArraySlide(np.dstack([IMAGE, np.zeros(IMAGE.shape[:2], np.uint8)]))
    assert (clear.read_level(0, 0, 0, 9, 9) == 255).all()


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


@pytest.mark.parametrize("wrap", [np.asarray, da.from_array], ids=["numpy", "dask"])
@pytest.mark.parametrize("channels", [3, 4])
def test_channels_may_come_first(wrap: Any, channels: int) -> None:
    alpha = np.full((*IMAGE.shape[:2], 1), 200, np.uint8)
    last = np.concatenate([IMAGE, alpha], axis=2)[..., :channels]
    levels = [wrap(np.ascontiguousarray(np.moveaxis(a, 2, 0))) for a in (last, binned(last, 2))]
    slide, expected = ArraySlide(levels, mpp=0.5), ArraySlide([last, binned(last, 2)], mpp=0.5)
    assert slide.levels == expected.levels
    for downsample in (1.0, 1.3, 2.0):
        region = Region(7, 3, 80, 61)
        np.testing.assert_array_equal(
            slide.read_scaled(region, downsample), expected.read_scaled(region, downsample)
        )
    np.testing.assert_array_equal(np.asarray(slide.as_dask()[1]), expected.as_dask()[1])


def test_where_both_could_be_channels_they_are_last() -> None:
    image = IMAGE[:3, :50]
    np.testing.assert_array_equal(ArraySlide(image).read_level(0, 0, 0, 3, 50), image)


def test_levels_of_a_napari_layer() -> None:
    layers = pytest.importorskip("napari.layers")
    layer = layers.Image([IMAGE, binned(IMAGE, 2)], multiscale=True, rgb=True)
    slide = ArraySlide(layer.data, mpp=0.5)
    assert [level.shape for level in slide.levels] == [(120, 90), (60, 45)]
    np.testing.assert_array_equal(slide.read_level(1, 0, 0, 60, 45), binned(IMAGE, 2))


def test_every_pixel_of_a_channel_first_array_counts_for_its_identity() -> None:
    one = np.ascontiguousarray(np.moveaxis(IMAGE, 2, 0))
    other = one.copy()
    other[1, 100, 80] ^= 1
    assert ArraySlide(one).fingerprint != ArraySlide(other).fingerprint


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (IMAGE.astype(np.uint16), "16-bit uint16, not 8-bit"),
        (IMAGE / 255.0, "64-bit float64"),
        (IMAGE[..., :2], "no axis is 3 or 4 colors"),
        (np.zeros((7, 120, 90), np.uint8), "no axis is 3 or 4 colors"),
        (IMAGE[None], "4 axes"),
        (IMAGE[0, 0], "1 axes"),
        (IMAGE[:0], "no pixels"),
        ([], "no pixels"),
        ([binned(IMAGE, 2), IMAGE], "not ordered"),
        ([IMAGE, binned(IMAGE, 2)[..., 0]], "2 axes where 3 are named"),
        ("text", "not an array"),
    ],
)
def test_what_is_no_slide_is_refused_with_the_reason(data: Any, reason: str) -> None:
    with pytest.raises(SlideError, match=reason):
        ArraySlide(data)


def test_levels_of_different_colors_are_refused() -> None:
    alpha = np.dstack([binned(IMAGE, 2), binned(IMAGE, 2)[..., :1]])
    with pytest.raises(SlideError, match="3 and 4 channels"):
        ArraySlide([IMAGE, alpha])


class Garbled:
    """An array whose chunks cannot be decoded, which zlib says in a class of its own."""

    shape, dtype, broken = IMAGE.shape, IMAGE.dtype, False

    def __getitem__(self, key: Any) -> Any:
        if self.broken:
            raise zlib.error("invalid distance")
        return IMAGE[key]


def test_any_error_of_a_codec_is_a_slide_error() -> None:
    array = Garbled()
    slide = ArraySlide(array, name="remote")
    array.broken = True
    with pytest.raises(SlideError, match=r"remote.*level 0, row 8.*invalid distance"):
        slide.read_level(0, 8, 0, 8, 8)


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


def test_a_failing_source_is_a_slide_error() -> None:
    slide = ArraySlide(Vanishing(), name="remote")
    with pytest.raises(SlideError, match=r"remote.*the share is gone"):
        slide.read_level(0, 0, 0, 8, 8)


@pytest.mark.parametrize("channels", [3, 4])
def test_channels_come_in_the_order_that_is_given(channels: int) -> None:
    alpha = np.full((*IMAGE.shape[:2], 1), 255, np.uint8)
    stored = np.concatenate([IMAGE[..., ::-1], alpha], axis=2)[..., :channels]
    slide = ArraySlide(stored, order=(2, 1, 0))
    np.testing.assert_array_equal(slide.read_level(0, 0, 0, 120, 90), IMAGE)


def test_a_place_is_stored_if_it_is_at_every_level() -> None:
    fine = StoredChunks(np.array([[True, True], [True, False]]), (60, 45), (120, 90))
    coarse = StoredChunks(np.array([[False], [True]]), (30, 45), (60, 45))
    asked = []

    def lost() -> tuple[tuple[StoredChunks, ...], list[str]]:
        asked.append(1)
        return (fine, coarse), ["2 chunks were never stored."]

    slide = ArraySlide([IMAGE, binned(IMAGE, 2)], mpp=0.5, lost=lost)
    assert not slide.warnings
    found = slide.stored_mask((2, 2))
    assert found is not None
    assert found.tolist() == [[False, False], [True, False]]
    slide.stored_mask((4, 4))
    assert (len(asked), slide.warnings) == (1, ("2 chunks were never stored.",))
    assert ArraySlide(IMAGE).stored_mask((2, 2)) is None
