"""Which of several images in a file is the slide."""

from __future__ import annotations

import pytest

from napari_fddm.core.errors import SlideError
from napari_fddm.slides.choosing import SlideImage, choose_image, is_no_slide, other_series

SMALL = SlideImage(0, (100, 200))
LARGE = SlideImage(1, (300, 400), "scan")
LABEL = SlideImage(2, (900, 900), "Label image")
STAINS = SlideImage(3, (800, 800), "fluorescence", "has 4 channels")
STUB = SlideImage(4, (0, 0), "stub")


@pytest.mark.parametrize("images", [(SMALL, LARGE, LABEL, STAINS, STUB), (STAINS, LARGE, SMALL)])
def test_the_largest_that_is_a_slide_is_opened_and_the_others_are_said(
    images: tuple[SlideImage, ...],
):
    chosen, note = choose_image(images, "a.tif")
    assert chosen is LARGE
    assert "series 0 (200 × 100 px)" in note
    assert "series 3 'fluorescence' (800 × 800 px), which has 4 channels" in note
    assert f"of {len(images)} images" in note


def test_an_only_image_needs_no_note():
    assert choose_image([SMALL], "a.tif") == (SMALL, "")


def test_another_series_is_opened_when_asked_for():
    chosen, note = choose_image([SMALL, LARGE, LABEL], "a.tif", 2)
    assert chosen is LABEL
    assert "as asked for" in note
    assert "series 1 'scan'" in note


@pytest.mark.parametrize(
    ("wanted", "words"), [(7, "no series 7"), (3, "has 4 channels"), (4, "no pixels")]
)
def test_a_series_that_cannot_be_opened_is_refused(wanted: int, words: str):
    with pytest.raises(SlideError, match=words):
        choose_image([SMALL, STAINS, STUB], "a.tif", wanted)


def test_a_file_without_a_slide_is_refused_with_what_it_holds():
    with pytest.raises(SlideError, match=r"no brightfield image.*Label image.*4 channels"):
        choose_image([LABEL, STAINS], "a.tif")


def test_many_images_are_counted():
    images = [SlideImage(k, (10 + k, 10)) for k in range(20)]
    assert "13 more" in choose_image(images, "a.tif")[1]


@pytest.mark.parametrize("name", ["label", "Macro image", "slide_overview", "Thumbnail 2"])
def test_labels_and_overviews_are_known_by_their_names(name: str):
    assert is_no_slide(name)


@pytest.mark.parametrize("name", ["", "scan", "labeled tissue", "roadmap"])
def test_other_names_are_slides(name: str):
    assert not is_no_slide(name)


@pytest.mark.parametrize(("series", "other"), [(1, None), (0, 0), (2, 2)])
def test_the_slide_of_the_file_is_no_other_series(series: int, other: int | None):
    assert other_series([SMALL, LARGE, LABEL], series) == other
    assert other_series([], series) is None
