from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.protocols import Slide
from napari_fddm.slides import ArraySlide
from napari_fddm.slides.synthetic import SyntheticSlide


@pytest.mark.parametrize(
    "slide",
    [
        SyntheticSlide(40, 50),
        ArraySlide(np.zeros((40, 50, 3), np.uint8), mpp=0.5),
    ],
    ids=["synthetic", "array"],
)
def test_slides_have_what_the_layers_above_expect(slide: Slide):
    assert isinstance(slide, Slide)
    assert slide.levels[0].index == 0
    assert slide.levels[0].downsample == 1.0
    assert slide.mpp.value == 0.5


def test_something_else_is_no_slide():
    class NoSlide:
        name = "picture"

        def close(self) -> None: ...

    assert not isinstance(NoSlide(), Slide)
