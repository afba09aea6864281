"""Every way to edit, in a real window with real mouse and key events."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QMessageBox

from napari_fddm.core.geometry import Window as Cells
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.plugin.state.tools import Action, Tool
from tests.support.window import Window

pytestmark = [pytest.mark.gui, pytest.mark.slow]
CONTROL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
CORNERS = [(-150, -120), (0, -140), (150, -120), (150, 120), (0, 140), (-150, 120), (-150, -110)]
AROUND = [
    (round(a[0] + (b[0] - a[0]) * step / 6), round(a[1] + (b[1] - a[1]) * step / 6))
    for a, b in itertools.pairwise(CORNERS)
    for step in range(6)
] + CORNERS[-1:]
"""Around the center of the view, px; as close together as a hand's, of which some get lost."""
WIDTH_UM = 700.0


class Hand(Window):
    """A window whose labels are necrosis (3) left of the view's center and viable (2) right."""

    def begin(self) -> None:
        self.look_at((2000.0, 2000.0), WIDTH_UM)
        self.run()
        labels = np.full(self.layer.data.shape, 2, np.uint8)
        center = self.layer.world_to_data(self.viewer.scene.camera.center[-2:])
        labels[:, : round(center[1])] = 3
        self.analysis.tracker.put_automatic(Cells(0, 0, *labels.shape), labels)
        self.analysis.refresh()
        self.layer.refresh()
        self.widget.controller.rate.refresh()
        self.viewer.layers.selection.active = self.layer

    @property
    def layer(self):
        return self.analysis.layer

    @property
    def automatic(self) -> np.ndarray:
        return self.analysis.label_map.automatic

    @property
    def tools(self):
        return self.widget.panels.tools

    @property
    def labels(self) -> np.ndarray:
        """A copy; on the way it is checked that the shown rate is that of a recount."""
        assert self.rate_text == self.recounted_rate_text()
        return np.array(self.layer.data)

    def place(self, point: tuple[int, int]) -> QPoint:
        return QPoint(self.canvas.width() // 2 + point[0], self.canvas.height() // 2 + point[1])

    def value_at(self, point: tuple[int, int]) -> int:
        camera = self.viewer.scene.camera
        world = np.asarray(camera.center[-2:]) + np.array(point[::-1]) / camera.zoom
        y, x = (round(float(c)) for c in self.layer.world_to_data(world))
        return int(self.layer.data[y, x])

    def click(self, point: tuple[int, int]) -> None:
        self.qtbot.mouseMove(self.canvas, self.place(point))
        self.qtbot.mouseClick(self.canvas, LEFT, pos=self.place(point))
        self.qtbot.wait(50)

    def press_button(self, button) -> None:
        self.qtbot.mouseClick(button, LEFT)
        self.qtbot.wait(30)

    def drag_holding(self, modifier, points) -> None:
        places = [self.place(p) for p in points]
        self.qtbot.mousePress(self.canvas, LEFT, modifier, pos=places[0])
        for place in places[1:]:
            self.move_to(place)
        self.qtbot.mouseRelease(self.canvas, LEFT, modifier, pos=places[-1])
        self.qtbot.wait(50)

    def encircle(self, points) -> None:
        """Start napari's right-button stroke and move on, as far as the points go."""
        self.qtbot.mouseMove(self.canvas, self.place(points[0]))
        self.qtbot.mouseClick(self.canvas, RIGHT, pos=self.place(points[0]))
        for point in points[1:]:
            self.qtbot.mouseMove(self.canvas, self.place(point))
            self.qtbot.wait(20)


@pytest.fixture
def window(tiny_model, make_napari_viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    window = Hand(make_napari_viewer(show=True), qtbot)
    window.open_widget(tiny_model)
    window.viewer.open_sample("napari-fddm", "synthetic")
    window.begin()
    yield window
    window.let_go()


def marked(buttons) -> list:
    return [which for which, button in buttons.items() if button.isChecked()]


def test_brush_restore_exclude_and_history(window):
    layer, start = window.layer, window.labels
    for key in range(1, 8):
        window.key(Qt.Key(Qt.Key.Key_0 + key))
        assert layer.selected_label == key

    # The rate follows while the button is down.
    window.key(Qt.Key.Key_P)
    window.key(Qt.Key.Key_6)
    assert (marked(window.tools.tool_buttons), marked(window.tools.action_buttons)) == (
        [Tool.BRUSH],
        [Action.PAINT],
    )
    window.qtbot.mousePress(window.canvas, LEFT, pos=window.place((40, -60)))
    rates = {window.rate_text}
    for x in (60, 90, 130):
        window.qtbot.mouseMove(window.canvas, window.place((x, -60)))
        window.qtbot.wait(30)
        assert window.rate_text == window.recounted_rate_text()
        rates.add(window.rate_text)
    window.qtbot.mouseRelease(window.canvas, LEFT, pos=window.place((130, -60)))
    assert np.array_equal(np.unique(window.labels[window.labels != start]), [6])
    painted = window.labels

    # Ctrl or Shift held at the press restores in passing; then E does, with a button marked.
    for modifier, x in ((CONTROL, 60), (SHIFT, 100)):
        before = window.labels
        window.drag_holding(modifier, [(x, -60), (x + 15, -60)])
        touched = window.labels != before
        assert touched.any()
        assert np.array_equal(window.labels[touched], start[touched])
        assert layer.action is Action.PAINT
    window.key(Qt.Key.Key_E)
    assert (layer.mode, marked(window.tools.action_buttons)) == ("erase", [Action.RESTORE])
    window.drag([(30, -60), (140, -60)])
    assert np.array_equal(window.labels, start)
    window.press_button(window.tools.action_buttons[Action.PAINT])
    assert layer.mode == "paint"

    # Undo and redo: keys, buttons, and while the layer is hidden.
    for _ in range(3):
        window.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(window.labels, painted)
    window.key(Qt.Key.Key_C)
    assert not layer.visible
    window.press_button(window.tools.undo_button)
    assert np.array_equal(window.labels, start)
    window.press_button(window.tools.redo_button)
    assert np.array_equal(window.labels, painted)
    window.key(Qt.Key.Key_C)

    # Exclude leaves the sums and is marked; a restoring fill brings the patch back.
    window.key(Qt.Key.Key_P)
    window.key(Qt.Key.Key_X)
    window.drag([(-150, 40), (-60, 60)])
    assert window.value_at((-100, 50)) == 0
    window.screenshot("40-excluded")
    window.key(Qt.Key.Key_E)
    window.key(Qt.Key.Key_F)
    assert (layer.tool, layer.action) == (Tool.FILL, Action.RESTORE)
    window.click((-100, 50))
    assert np.array_equal(window.labels, painted)
    assert window.analysis.writer.flush()
    with AnalysisStore.open(window.analysis.store_path) as store:
        changed = painted != window.automatic
        assert np.array_equal(store.labels("corrected")[changed], painted[changed])


def test_lasso_fill_and_relabel(window, monkeypatch):
    layer, start = window.layer, window.labels

    # A lasso in one drag; Escape leaves everything as it was.
    window.key(Qt.Key.Key_G)
    window.key(Qt.Key.Key_5)
    places = [window.place(p) for p in AROUND]
    window.qtbot.mousePress(window.canvas, LEFT, pos=places[0])
    for place in places[1:4]:
        window.qtbot.mouseMove(window.canvas, place)
        window.qtbot.wait(20)
    window.screenshot("41-lasso")
    window.key(Qt.Key.Key_Escape)
    window.qtbot.mouseMove(window.canvas, places[4])
    window.qtbot.mouseRelease(window.canvas, LEFT, pos=places[4])
    assert np.array_equal(window.labels, start)
    window.drag(AROUND)
    assert [window.value_at(p) for p in ((0, 0), (-100, 80), (0, 200))] == [5, 5, 2]
    lassoed = window.labels
    assert set(np.unique(lassoed[lassoed != start])) == {5}

    # Corners and a double click; restoring.
    window.key(Qt.Key.Key_E)
    for corner in ((-80, -80), (80, -80), (80, 80), (-80, 80)):
        window.click(corner)
    window.qtbot.mouseDClick(window.canvas, LEFT, pos=window.place((-80, 80)))
    assert [window.value_at(p) for p in ((-40, 0), (40, 0), (130, 0))] == [3, 2, 5]

    # Relabel: click a patch; with the lasso one class alone.
    window.key(Qt.Key.Key_F)
    window.press_button(window.tools.action_buttons[Action.PAINT])
    window.key(Qt.Key.Key_6)
    window.click((40, 0))
    assert window.value_at((40, 0)) == 6
    window.key(Qt.Key.Key_R)
    window.key(Qt.Key.Key_4)
    assert layer.action is Action.RELABEL
    window.click((-40, 0))
    assert [window.value_at(p) for p in ((-40, 0), (40, 0))] == [4, 6]
    window.screenshot("42-relabel")
    before = window.labels
    window.key(Qt.Key.Key_G)
    window.tools.source_box.setCurrentIndex(window.tools.source_box.findData(6))
    window.tools.source_box.activated.emit(window.tools.source_box.currentIndex())
    window.key(Qt.Key.Key_7)
    window.drag(AROUND)
    changed = window.labels != before
    assert set(before[changed]) == {6}
    assert set(window.labels[changed]) == {7}
    window.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(window.labels, before)

    # Reset asks first.
    answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    monkeypatch.setattr(QMessageBox, "question", lambda *_: answers.pop(0))
    window.press_button(window.tools.reset_button)
    assert np.array_equal(window.labels, before)
    window.press_button(window.tools.reset_button)
    assert np.array_equal(window.labels, start)
    window.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(window.labels, before)


@pytest.mark.thorough
def test_right_button_stroke_brush_size_and_keys_of_napari(window):
    layer, start = window.layer, window.labels
    window.key(Qt.Key.Key_P)
    window.key(Qt.Key.Key_5)
    layer.brush_size = 4
    window.encircle(AROUND[:4])
    assert not np.array_equal(window.labels, start)
    window.key(Qt.Key.Key_Escape)
    assert np.array_equal(window.labels, start)
    window.widget.state.locked = frozenset({3})
    window.encircle([*AROUND, AROUND[0]])
    assert [window.value_at(p) for p in ((40, 0), (-40, 0), (40, 250))] == [5, 3, 2]
    assert np.array_equal(window.labels == 3, start == 3)
    filled = window.labels
    window.widget.state.locked = frozenset()
    window.key(Qt.Key.Key_E)
    window.encircle([*AROUND, AROUND[0]])
    assert np.array_equal(window.labels, start)
    window.key(Qt.Key.Key_Z, CONTROL)
    assert np.array_equal(window.labels, filled)

    # The brush in µm, in step with napari's keys and slider, and with the zoom if wanted.
    tools = window.tools
    tools.size_spin.setValue(800.0)
    assert layer.brush_size == 200
    window.key(Qt.Key.Key_BracketRight)
    assert tools.size_spin.value() == 804.0
    window.key(Qt.Key.Key_BracketLeft)
    window.press_button(tools.follow_box)
    tools.follow_box.setChecked(True)
    window.viewer.scene.camera.zoom *= 2
    assert (layer.brush_size, tools.size_spin.value()) == (100, 400.0)
    window.screenshot("43-brush")
    controls = window.viewer.window._qt_viewer.controls.widgets[layer]
    assert controls._brush_size_slider_control.brush_size_slider.maximum() >= 500
    assert controls._brush_size_slider_control.brush_size_slider.value() == 100

    # What could make another class does not.
    box = controls._label_control.selection_spinbox
    window.key(Qt.Key.Key_7)
    for key in (Qt.Key.Key_M, Qt.Key.Key_Equal):
        window.key(key)
        assert layer.selected_label == 7
    window.key(Qt.Key.Key_1)
    window.key(Qt.Key.Key_Minus)
    assert (layer.selected_label, box.value()) == (1, 1)
    controls._label_control.new_label_button.click()
    assert layer.selected_label in layer.classes
    layer.data[...] = 0
    layer.refresh()
    window.key(Qt.Key.Key_L)
    chosen = layer.selected_label
    window.click((0, 0))
    assert layer.selected_label == chosen
