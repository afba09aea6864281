"""Synthetic slides by name: what a name says, and names that say nothing."""

from __future__ import annotations

import pytest

from napari_fddm.core.errors import SlideError
from napari_fddm.slides.synthetic import open_synthetic


@pytest.mark.parametrize(
    ("text", "mpp", "uri"),
    [
        ("synthetic:600x700", None, "synthetic:600x700?seed=0&mpp=0.5"),
        ("synthetic:600x700?mpp=0.25&seed=9", None, "synthetic:600x700?seed=9&mpp=0.25"),
        ("synthetic:600x700?seed=9&mpp=0.25", 1.0, "synthetic:600x700?seed=9&mpp=1.0"),
    ],
)
def test_a_slide_knows_the_name_it_is_opened_with_again(text, mpp, uri):
    slide = open_synthetic(text, mpp=mpp)
    assert slide.levels[0].shape == (600, 700)
    assert slide.uri == uri
    again = open_synthetic(uri)
    assert (again.uri, again.fingerprint) == (uri, slide.fingerprint)


@pytest.mark.parametrize(
    "text",
    [
        "synthetic:",
        "synthetic:600",
        "synthetic:600x-700",
        "synthetic:600x700?sed=1",
        "synthetic:600x700?seed=",
        "synthetic:600x700?mpp=fine",
        "synthetic:0x700",
        "synthetic:600x700?mpp=0",
        "synthetic:9999999999x9999999999",
        "synthetic:600x524289",
        "synthetic:524288x700?mpp=20",
        "synthetic:600x700?mpp=1e300",
        f"synthetic:600x{'9' * 5000}",
    ],
)
def test_other_names_are_refused_with_an_example(text):
    with pytest.raises(SlideError, match="does not describe a synthetic slide") as caught:
        open_synthetic(text)
    assert "synthetic:4096x4096?seed=3&mpp=0.5" in caught.value.hint
