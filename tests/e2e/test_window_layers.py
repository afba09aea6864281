"""Comparing two maps in a real window, with real mouse and keys."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_fddm.plugin.panels.compare_row import Side
from tests.support.window import Window

pytestmark = [pytest.mark.gui, pytest.mark.slow]


@pytest.fixture
def window(tiny_model, make_napari_viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    window = Window(make_napari_viewer(show=True), qtbot)
    window.open_widget(tiny_model)
    window.viewer.open_sample("napari-fddm", "synthetic")
    window.look_at((2000.0, 2000.0), 700.0)
    yield window
    window.let_go()


def shot(window):
    """What is rendered on the canvas, without the widgets over it: the line and its titles."""
    window.qtbot.wait(100)
    return window.viewer.screenshot(flash=False, canvas_only=True)[..., :3].astype(int)


def shown_alone(window, layer):
    """The canvas with one class layer of the analysis."""
    for other in window.analysis.layers:
        other.visible = other is layer
    return shot(window)


def choose(box, side):
    box.setCurrentIndex(box.findData(side.value))
    box.activated.emit(box.currentIndex())


def drag_line(window, dx):
    line = window.widget.controller.compare.curtain.line
    start = QPoint(line.width() // 2, line.height() // 2)
    left = Qt.MouseButton.LeftButton
    window.qtbot.mousePress(line, left, pos=start)
    for step in range(1, 5):
        inside = line.mapFromParent(
            QPoint(window.canvas.width() // 2 + dx * step // 4, line.height() // 2)
        )
        window.qtbot.mouseMove(line, inside)
        window.qtbot.wait(20)
    window.qtbot.mouseRelease(line, left, pos=start)
    window.qtbot.wait(50)


def test_line_divides_two_maps_and_leaves_everything_as_it_was(window):
    window.run()
    analysis, row = window.analysis, window.widget.panels.classes.compare_row
    layer = analysis.layer
    layer.brush_size = 40
    window.key(Qt.Key.Key_P)
    window.drag([(-200, 0), (200, 0)])  # refined and corrected differ
    window.key(Qt.Key.Key_Z)
    visible = [each.visible for each in analysis.layers]
    before = shot(window)
    refined, corrected = (shown_alone(window, each) for each in analysis.layers[1:])
    patch = shown_alone(window, analysis.patch_layer)
    for each, was in zip(analysis.layers, visible, strict=True):
        each.visible = was

    window.key(Qt.Key.Key_W)
    assert row.button.isChecked()
    middle, gap = before.shape[1] // 2, 15
    both = shot(window)
    assert np.array_equal(both[:, : middle - gap], refined[:, : middle - gap])
    assert np.array_equal(both[:, middle + gap :], corrected[:, middle + gap :])
    assert not np.array_equal(refined, corrected)
    window.screenshot("60-compare")

    # The line is dragged, and stays where it is when the slide moves below it.
    drag_line(window, -150)
    line = middle - 150
    both = shot(window)
    assert np.array_equal(both[:, : line - gap], refined[:, : line - gap])
    assert np.array_equal(both[:, line + gap :], corrected[:, line + gap :])
    place = window.widget.controller.compare.curtain.line.pos()
    camera = window.viewer.scene.camera
    center, zoom = camera.center, camera.zoom
    window.look_at((2100.0, 2050.0), 1000.0)
    assert window.widget.controller.compare.curtain.line.pos() == place
    camera.center, camera.zoom = center, zoom

    # Another map on the left; painting on the corrected one goes on.
    choose(row.left_box, Side.PATCH)
    assert np.array_equal(shot(window)[:, : line - gap], patch[:, : line - gap])
    window.key(Qt.Key.Key_5)
    window.key(Qt.Key.Key_P)
    painted = layer.data.copy()
    window.drag([(60, -100), (120, -100)])
    assert (layer.data != painted).any()
    assert window.rate_text == window.recounted_rate_text()
    assert not np.array_equal(shot(window)[:, line + gap :], corrected[:, line + gap :])
    window.screenshot("61-compare-painting")
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    window.key(Qt.Key.Key_Z)
    assert np.array_equal(layer.data, painted)

    window.qtbot.mouseClick(row.button, Qt.MouseButton.LeftButton)
    assert [each.visible for each in analysis.layers] == visible
    different = (shot(window) != before).any(axis=2)
    # napari 0.9.2 leaves the box of its brush circle, 8 px, somewhere on the last stroke.
    row_of_stroke = before.shape[0] // 2 - 100
    different[row_of_stroke - 5 : row_of_stroke + 5, middle + 55 : middle + 125] = False
    assert not different.any()
