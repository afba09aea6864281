"""Eyes, solo, colors and outlines change what is drawn and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.plugin.layers.napari_colormap import class_colormap
from napari_fddm.plugin.state.display import ClassDisplay, Palette

VALUE = st.sampled_from(OSTEOSARCOMA.values)


@given(st.lists(st.tuples(st.sampled_from(["eye", "solo"]), VALUE), max_size=12), VALUE)
def test_every_class_can_be_shown_again(clicks, value):
    display = ClassDisplay()
    for kind, clicked in clicks:
        toggle = display.with_eye_toggled if kind == "eye" else display.with_solo_toggled
        display = toggle(clicked)
    alone = display if display.solo == value else display.with_solo_toggled(value)
    assert [v for v in OSTEOSARCOMA.values if alone.shows(v)] == [value]
    once = display.with_eye_toggled(value)
    twice = once.with_eye_toggled(value)
    assert once.shows(value) != twice.shows(value)


@pytest.mark.parametrize("palette", list(Palette))
def test_hidden_classes_are_clear_and_shown_ones_have_their_color(palette):
    display = ClassDisplay(hidden=frozenset({3, 5}), palette=palette)
    colors = class_colormap(OSTEOSARCOMA, display).color_dict
    for tissue in OSTEOSARCOMA:
        color = np.asarray(colors[tissue.value])
        if tissue.value in (3, 5):
            assert color[3] == 0
        else:
            expected = tissue.paper_rgb if palette is Palette.PAPER else tissue.display_rgb
            assert np.allclose(color[:3] * 255, expected, atol=0.5)
            assert color[3] > 0
