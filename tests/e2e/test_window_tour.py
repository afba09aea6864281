"""The ten-minute tour of docs/tour.md, step by step; its pictures are taken here."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QSettings, Qt

from napari_fddm.plugin.controllers import export
from napari_fddm.plugin.controllers.saving import SAVED
from napari_fddm.plugin.panels.classes import LOCK, SOLO
from napari_fddm.plugin.state.tools import Action, Tool
from napari_fddm.plugin.state.window_state import Scope
from tests.support.window import RUN_MS, Window

pytestmark = [pytest.mark.gui, pytest.mark.slow, pytest.mark.thorough]

LEFT = Qt.MouseButton.LeftButton
VIABLE = 2
STROKE = [(-150, -60), (-50, 0), (60, 40), (150, 60)]
LOOP = [(-120, 100), (0, 70), (110, 110), (130, 220), (0, 260), (-120, 200)]
BED = [(-180, -200), (170, -190), (200, 160), (0, 280), (-190, 200), (-180, -195)]


@pytest.fixture
def window(tiny_model, make_napari_viewer, qtbot, tmp_path, monkeypatch):
    config = tmp_path / "config"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
    QSettings.setPath(QSettings.Format.NativeFormat, QSettings.Scope.UserScope, str(config))
    monkeypatch.setattr(export.Path, "home", lambda: tmp_path)
    window = Window(make_napari_viewer(show=True), qtbot)
    window.open_widget(tiny_model)
    yield window
    window.let_go()


def click(window, button):
    window.qtbot.mouseClick(button, LEFT)
    window.qtbot.wait(50)


def half_a_lasso(window, points):
    """Press and move on, without letting go; return where the mouse is."""
    center = QPoint(window.canvas.width() // 2, window.canvas.height() // 2)
    window.qtbot.mouseMove(window.canvas, center + QPoint(*points[0]))
    window.qtbot.mousePress(window.canvas, LEFT, pos=center + QPoint(*points[0]))
    for point in points[1:]:
        window.qtbot.mouseMove(window.canvas, center + QPoint(*point))
        window.qtbot.wait(20)
    return center + QPoint(*points[-1])


def test_the_tour(window, qtbot, tmp_path):
    panels, controller = window.widget.panels, window.widget.controller

    # 1 and 2: a slide, and going about.
    window.viewer.open_sample("napari-fddm", "synthetic")
    qtbot.waitUntil(lambda: panels.navigator.map.has_image, timeout=60_000)
    qtbot.waitUntil(lambda: "runs on" in panels.run.device_label.text(), timeout=RUN_MS)
    window.screenshot("tour-01-slide")
    click(window, panels.navigator.buttons[10])
    assert panels.navigator.readout.text() == "10×"

    # 3: a run of what the window shows; then a region is drawn.
    window.look_at((2000.0, 2000.0), 900.0)
    qtbot.waitUntil(lambda: "tiles at most" in panels.run.estimate_label.text(), timeout=5_000)
    click(window, panels.run.run_button)
    qtbot.waitUntil(lambda: window.analysis is not None, timeout=RUN_MS)
    qtbot.waitUntil(lambda: bool(window.analysis.patch.any()), timeout=RUN_MS)
    window.screenshot("tour-02-running")
    window.wait_until_idle()
    analysis, layer = window.analysis, window.analysis.layer
    qtbot.waitUntil(lambda: panels.rate.saved_label.text() == SAVED, timeout=60_000)
    assert window.rate_text == window.recounted_rate_text()
    window.screenshot("tour-03-done")

    # 5: brush and undo; lasso, restore, relabel.
    before, rate = layer.data.copy(), window.rate_text
    window.viewer.layers.selection.active = layer
    layer.brush_size = 40
    window.key(Qt.Key.Key_2)
    window.key(Qt.Key.Key_P)
    window.drag(STROKE)
    assert window.rate_text == window.recounted_rate_text() != rate
    window.screenshot("tour-04-painted")
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert window.rate_text == rate
    window.key(Qt.Key.Key_G)
    assert layer.tool is Tool.LASSO
    place = half_a_lasso(window, LOOP)
    window.screenshot("tour-05-lasso")
    qtbot.mouseRelease(window.canvas, LEFT, pos=place)
    lassoed = layer.data.copy()
    assert set(lassoed[lassoed != before]) == {VIABLE}
    window.key(Qt.Key.Key_E)
    window.drag([*LOOP, LOOP[0]])
    restored = layer.data != lassoed
    assert restored.any()
    assert np.array_equal(layer.data[restored], before[restored])
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(layer.data, before)
    window.key(Qt.Key.Key_R)
    assert layer.action is Action.RELABEL
    window.key(Qt.Key.Key_R)

    # 6: exclude, and restore.
    window.key(Qt.Key.Key_P)
    window.key(Qt.Key.Key_X)
    window.drag(STROKE)
    assert (layer.data[layer.data != before] == 0).all()
    window.screenshot("tour-06-excluded")
    window.key(Qt.Key.Key_X)
    assert layer.action is Action.PAINT
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(layer.data, before)

    # 7: one class alone, a padlock, two maps, a probability.
    common = int(np.bincount(before[before > 0]).argmax())
    window.click_class(common - 1, SOLO)
    window.screenshot("tour-07-alone")
    window.click_class(common - 1, SOLO)
    window.click_class(common - 1, LOCK)
    assert layer.protected == {common}
    window.click_class(common - 1, LOCK)
    window.key(Qt.Key.Key_3)
    window.drag(STROKE)
    window.key(Qt.Key.Key_W)
    assert panels.classes.compare_row.button.isChecked()
    window.screenshot("tour-08-compare")
    window.key(Qt.Key.Key_W)
    click(window, panels.classes.probability_row.button)
    qtbot.waitUntil(lambda: controller.probability.layer is not None, timeout=60_000)
    layer.visible = False
    window.screenshot("tour-09-probability")
    layer.visible = True
    click(window, panels.classes.probability_row.button)

    # 8: the tumor bed.
    click(window, panels.rate.outline_button)
    window.drag(BED)
    qtbot.waitUntil(lambda: panels.rate.bed_label.isVisible(), timeout=60_000)
    assert len(analysis.tumor_bed) == 1
    window.show(panels.signoff)
    window.screenshot("tour-10-tumor-bed")

    # 10 and 11: signed, then exported and opened again.
    click(window, panels.signoff.button)
    qtbot.keyClicks(panels.signoff.reader_edit, "A. Bee")
    qtbot.keyClick(panels.signoff.reader_edit, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: analysis.sign_off is not None, timeout=60_000)
    window.screenshot("tour-11-signed-off")
    signed = layer.data.copy()
    window.viewer.layers.selection.active = layer
    window.key(Qt.Key.Key_P)
    window.drag(STROKE)
    assert np.array_equal(layer.data, signed)
    window.look_at((2000.0, 2000.0), 900.0)
    click(window, panels.rate.export_button)
    dialog = controller.export.dialog
    place = tmp_path / f"analysis-{analysis.fingerprint[:12]}.ome.zarr"
    assert dialog.destination_edit.text() == str(place)
    dialog.destination_edit.setText(f"/home/reader/{place.name}")
    window.screenshot("tour-12-export", of=dialog)
    dialog.destination_edit.setText(str(place))
    click(window, dialog.export_button)
    qtbot.waitUntil(lambda: dialog.status_label.text().startswith("Done"), timeout=60_000)
    click(window, dialog.close_button)

    # What else: other settings are asked about once it is unlocked; a region is drawn.
    click(window, panels.signoff.button)
    qtbot.keyClick(panels.signoff.reader_edit, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: analysis.sign_off is None, timeout=60_000)
    panels.run.advanced.form["seed"].value = 1
    click(window, panels.run.run_button)
    qtbot.waitUntil(lambda: controller.other_settings.dialog is not None, timeout=RUN_MS)
    question = controller.other_settings.dialog
    assert "Seed: 0 → 1" in question.text.text()
    window.screenshot("tour-13-other-settings", of=question)
    click(window, question.cancel_button)
    window.show(panels.slide)
    click(window, panels.run.draw_button)
    window.drag([(-130, -150), (0, 0), (150, 120)])
    assert panels.run.scope is Scope.DRAWN
    window.screenshot("tour-14-drawn")
    qtbot.wait(400)  # drawn to the end: Mesa does not survive shapes that go before
    window.viewer.layers.clear()
    qtbot.wait(400)
    found = window.viewer.open(str(place), plugin="napari-fddm")
    stored = {item.metadata.get("napari_fddm", {}).get("label"): item for item in found}
    assert np.array_equal(stored["corrected"].data, signed)
    window.screenshot("tour-15-exported")
