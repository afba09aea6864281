"""The main job in a real window, with real mouse and key events."""

from __future__ import annotations

import numpy as np
import pytest
from napari_fddm.pipeline.store import AnalysisStore
from qtpy.QtCore import Qt
from tests.support.window import Window

pytestmark = [pytest.mark.gui, pytest.mark.slow]


@pytest.fixture
def window(tiny_model, make_napari_viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    window = Window(make_napari_viewer(show=True), qtbot)
    window.viewer.open_sample("napari-fddm", "synthetic")
    window.open_widget(tiny_model)
    yield window
    window.let_go()


def test_open_run_paint_undo_export_reopen(window, tmp_path, qtbot):
    window.screenshot("01-slide")
    window.look_at((2000.0, 2000.0), 700.0)
    window.run()
    analysis = window.analysis
    layer = analysis.layer

    # Layers: patch, refined and corrected lie over the slide and hold results.
    assert [layer_ in window.viewer.layers for layer_ in analysis.layers] == [True] * 3
    assert analysis.patch.any()
    assert np.array_equal(layer.data, analysis.label_map.automatic)
    assert window.rate_text == window.recounted_rate_text()
    window.screenshot("02-run")

    # A stroke changes the rate to what a full recount gives.
    before_text, before = window.rate_text, layer.data.copy()
    layer.brush_size = 40
    window.key(Qt.Key.Key_2)
    window.key(Qt.Key.Key_P)
    assert (layer.selected_label, str(layer.mode)) == (2, "paint")
    window.drag([(-150, -60), (-50, 0), (60, 40), (150, 60)])
    painted = layer.data.copy()
    assert (painted != before).sum() > 500
    assert set(np.unique(painted[painted != before])) == {2}
    assert window.rate_text == window.recounted_rate_text() != before_text
    after_text = window.rate_text
    window.screenshot("03-painted")

    # Undo brings labels and rate back, redo the stroke.
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(layer.data, before)
    assert window.rate_text == before_text
    window.screenshot("04-undone")
    window.key(
        Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    )
    assert np.array_equal(layer.data, painted)
    assert window.rate_text == after_text

    # The eraser restores what the model said; 0 never appears in analyzed tissue.
    window.key(Qt.Key.Key_E)
    window.drag([(-150, -60), (-50, 0)])
    erased = layer.data.copy()
    touched = erased != painted
    assert touched.any()
    assert np.array_equal(erased[touched], before[touched])
    assert window.rate_text == window.recounted_rate_text()

    # Export, reopen, compare.
    copy = tmp_path / "export.ome.zarr"
    with qtbot.waitSignal(analysis.keeper.exported, timeout=60_000):
        window.widget.controller.export(copy)
    with AnalysisStore.open(copy) as store:
        store.validate()
        assert np.array_equal(store.labels("corrected"), layer.data)
        assert np.array_equal(store.labels("refined"), analysis.label_map.automatic)
    reopened = window.viewer.open(str(copy), plugin="napari-fddm")
    stored = {item.metadata.get("napari_fddm", {}).get("label"): item for item in reopened}
    assert np.array_equal(stored["corrected"].data, layer.data)
    assert np.allclose(stored["corrected"].translate, layer.translate)
    assert np.allclose(stored["corrected"].scale, layer.scale)
    window.screenshot("05-reopened")


def test_a_second_viewport_adds_and_corrections_win(window):
    window.look_at((1500.0, 1500.0), 500.0)
    window.run()
    layer, first = window.analysis.layer, window.analysis
    analyzed = int((layer.data > 0).sum())
    window.key(Qt.Key.Key_3)
    window.key(Qt.Key.Key_P)
    window.drag([(0, 0), (60, 0)])
    corrected = layer.data != first.label_map.automatic
    assert corrected.any()
    strokes = layer.data[corrected].copy()
    window.look_at((2600.0, 1500.0), 500.0)
    window.run()
    assert window.analysis is first
    assert int((layer.data > 0).sum()) > analyzed
    assert np.array_equal(layer.data[corrected], strokes)
    assert window.rate_text == window.recounted_rate_text()


def test_cancel_keeps_what_is_finished(window, qtbot):
    panel, state = window.widget.run_panel, window.widget.state
    panel.scope_box.setCurrentIndex(1)
    qtbot.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.analysis is not None, timeout=60_000)
    qtbot.waitUntil(lambda: bool(window.analysis.patch.any()), timeout=60_000)
    qtbot.mouseClick(panel.cancel_button, Qt.MouseButton.LeftButton)
    window.wait_until_idle()
    assert "kept" in state.progress.text
    done = int((window.analysis.patch > 0).sum())
    assert 0 < done < window.analysis.patch.size
    with AnalysisStore.open(window.analysis.store_path) as store:
        assert int(store.probability_map("patch").coverage.sum()) >= done


def test_closing_the_window_mid_run_leaves_no_process(window, qtbot):
    panel = window.widget.run_panel
    panel.scope_box.setCurrentIndex(1)
    qtbot.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.analysis is not None, timeout=60_000)
    client = window.widget.controller.worker._client
    process = client._process
    assert process.poll() is None
    window.viewer.close()
    qtbot.waitUntil(lambda: process.poll() is not None, timeout=15_000)


def test_deleting_the_layers_mid_run_is_safe(window, qtbot):
    panel = window.widget.run_panel
    panel.scope_box.setCurrentIndex(1)
    qtbot.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.analysis is not None, timeout=60_000)
    window.viewer.layers.clear()
    window.wait_until_idle()
    assert window.rate_text == "–"
