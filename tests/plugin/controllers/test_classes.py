"""Eyes, solo, palette and outlines of the panel of classes."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.plugin.dialogs.class_guide import ClassGuide

pytestmark = pytest.mark.gui


def test_eyes_solo_palette_and_outline_reach_every_layer_and_no_label(bench):
    bench.start()
    analysis = bench.controller.current
    before = analysis.layer.data.copy()
    bench.panels.classes.eye_clicked.emit(3)
    for layer in analysis.layers:
        assert layer.colormap.color_dict[3][3] == 0
        assert layer.colormap.color_dict[2][3] == 1
    bench.panels.classes.solo_clicked.emit(3)
    assert [v for v in range(1, 8) if analysis.layer.colormap.color_dict[v][3]] == [3]
    bench.panels.classes.solo_clicked.emit(3)
    bench.panels.classes.palette_chosen.emit("paper")
    assert np.allclose(analysis.layer.colormap.color_dict[4], (1, 0, 0, 1))
    bench.panels.classes.outline_toggled.emit(True)
    assert {layer.contour for layer in analysis.layers} == {1}
    bench.panels.classes.outline_toggled.emit(False)
    assert {layer.contour for layer in analysis.layers} == {0}
    assert np.array_equal(analysis.layer.data, before)


def test_the_class_guide_opens_once_and_comes_back(bench):
    button = bench.panels.classes.guide_button
    button.click()
    button.click()
    (guide,) = bench.panels.classes.findChildren(ClassGuide)
    assert guide.isVisible()
