"""A model of one's own, other settings, and starting over with corrections, in a real window."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_fddm.models.registry import find_model
from napari_fddm.pipeline.store import AnalysisStore
from tests.support.window import RUN_MS, Window

pytestmark = [pytest.mark.gui, pytest.mark.slow, pytest.mark.thorough]


@pytest.fixture
def window(tiny_model, make_napari_viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = shutil.copytree(find_model(str(tiny_model)), tmp_path / "my-model")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    window = Window(make_napari_viewer(show=True), qtbot)
    window.open_widget("fddm-small")
    window.viewer.open_sample("napari-fddm", "synthetic")
    yield window
    window.let_go()


def click(window: Window, button) -> None:
    window.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    window.qtbot.wait(50)


def choose_folder(window: Window) -> None:
    """Open the list of models by mouse and take its entry "Folder…" by key."""
    box = window.widget.panels.model.model_box
    click(window, box)
    view = box.view()
    view.setCurrentIndex(box.model().index(box.findText("Folder…"), 0))
    window.qtbot.keyClick(view, Qt.Key.Key_Return)
    window.qtbot.wait(100)


def test_own_model_then_other_settings_with_corrections_carried_over(window, tmp_path, qtbot):
    panels = window.widget.panels
    window.screenshot("50-model")
    choose_folder(window)
    assert panels.model.model_box.currentText() == "my-model (folder)"
    window.look_at((2000.0, 2000.0), 500.0)
    window.run()
    layer = window.analysis.layer
    assert panels.run.device_label.text().startswith("runs on CPU")

    # A stroke that the new analysis must still have.
    before = layer.data.copy()
    layer.brush_size = 20
    window.key(Qt.Key.Key_6)
    window.key(Qt.Key.Key_P)
    window.drag([(-100, -40), (0, 0), (100, 40)])
    stroke = (layer.data == 6) & (before != 6)
    assert stroke.any()
    store = window.analysis.store_path

    # Other settings: the window asks, and Cancel changes nothing.
    click(window, panels.run.advanced.toggleButton())
    window.screenshot("51-advanced")
    panels.run.advanced.form["steps"].value = 2
    click(window, panels.run.run_button)
    window.wait_until_idle()
    revising = window.widget.controller.other_settings
    qtbot.waitUntil(lambda: revising.dialog is not None, timeout=RUN_MS)
    assert "Bridge steps: 1 → 2" in revising.dialog.text.text()
    window.screenshot("52-other-settings", of=revising.dialog)
    click(window, revising.dialog.cancel_button)
    assert window.analysis.layer is layer

    # Start over: no tile is classified again, the stroke is there, the old store is kept.
    click(window, panels.run.run_button)
    window.wait_until_idle()
    qtbot.waitUntil(lambda: revising.dialog is not None, timeout=RUN_MS)
    click(window, revising.dialog.revise_button)
    assert window.widget.state.busy
    window.wait_until_idle()
    revised = window.analysis
    assert revised.layer is not layer
    assert (revised.layer.data[stroke] == 6).all()
    untouched = ~stroke
    assert np.array_equal(revised.layer.data[untouched], revised.label_map.automatic[untouched])
    assert window.rate_text == window.recounted_rate_text()
    window.screenshot("53-started-over")
    revised.writer.flush()
    with AnalysisStore.open(store) as opened:
        assert opened.provenance["config"]["steps"] == 2
        assert np.array_equal(opened.labels("corrected"), revised.layer.data)
    assert len(list(store.parent.glob("*.fddm.ome.zarr"))) == 2
