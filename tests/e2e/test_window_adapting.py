"""Learning from corrections in a real window, with a real engine and a model that is no good."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_fddm.models.registry import adapters_folder
from napari_fddm.plugin.layers.slides import slide_layer_data
from napari_fddm.plugin.state.window_state import Scope
from napari_fddm.slides import open_slide
from napari_fddm.training.adapt.models import list_adapters
from tests.support.window import RUN_MS, Window

pytestmark = [pytest.mark.gui, pytest.mark.slow, pytest.mark.thorough]

SLIDE = "synthetic:6000x6000?seed=4&mpp=0.5"
APART, BRUSH = 130, 24
VIEW_UM = 1200.0


@pytest.fixture
def window(tiny_model, make_napari_viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    window = Window(make_napari_viewer(show=True), qtbot)
    window.open_widget(tiny_model)
    data, options, _ = slide_layer_data(open_slide(SLIDE), SLIDE)
    window.viewer.add_image(data, **options)
    yield window
    window.let_go()


def click(window: Window, button) -> None:
    window.show(button)
    window.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    window.qtbot.wait(50)


def ask(window: Window) -> str:
    panel = window.widget.panels.adapt
    click(window, panel.ask_button)
    window.qtbot.waitUntil(lambda: "painted" in panel.counts_label.text(), timeout=RUN_MS)
    return panel.counts_label.text()


def paint_truth(window: Window) -> np.ndarray:
    """Paint disks all over the slide, each with the class its middle truly has."""
    analysis = window.analysis
    truth = open_slide(SLIDE).truth_map(analysis.geometry)
    painted = np.zeros_like(truth)
    analysis.layer.brush_size = BRUSH
    for y in range(60, truth.shape[0] - 40, APART):
        for x in range(60, truth.shape[1] - 40, APART):
            before = analysis.layer.data.copy()
            analysis.layer.paint((y, x), int(truth[y, x]))
            changed = analysis.layer.data != before
            painted[changed] = analysis.layer.data[changed]
    return painted


def test_few_strokes_are_refused_many_are_learned_used_and_taken_back(window, qtbot, tmp_path):
    panels, panel = window.widget.panels, window.widget.panels.adapt
    base = window.widget.state.model_name
    here_before = "torch" in sys.modules  # `pytest_configure`: unless -m gui alone is asked for
    assert not panel.ask_button.isEnabled()
    panels.run.stage_box.setCurrentIndex(panels.run.stage_box.findData("patch"))
    qtbot.waitUntil(panels.run.run_button.isEnabled, timeout=RUN_MS)
    window.run(panels.run.scope_box.findData(Scope.SLIDE.value))

    # Two strokes by hand: the panel says that this is too little, and what to do.
    window.look_at((1500.0, 1500.0), VIEW_UM)
    window.analysis.layer.brush_size = BRUSH
    window.key(Qt.Key.Key_6)
    window.key(Qt.Key.Key_P)
    window.drag([(-250, 0), (-230, 0)])
    window.drag([(250, 0), (270, 0)])
    said = ask(window)
    assert "2 places: inflammatory 2" in said
    assert "6 places or more" in said
    assert not panel.learn_button.isEnabled()
    click(window, panel.dismiss_button)

    # Many strokes, also where the model is right.
    painted = paint_truth(window)
    said = ask(window)
    assert panel.learn_button.isEnabled(), said
    window.screenshot("60-learn-question")
    panel.name_edit.setText("mine")
    click(window, panel.learn_button)
    assert window.widget.state.busy
    assert not panels.run.run_button.isEnabled()
    qtbot.waitUntil(lambda: "held-out sites" in panel.verdict_label.text(), timeout=RUN_MS)
    assert "; used." in panel.verdict_label.text()
    assert [a.name for a in list_adapters()] == ["mine"]
    assert window.widget.state.model_name == str(adapters_folder() / "mine")
    window.wait_until_idle()  # the view was classified again
    window.screenshot("61-learned")
    adapted = window.analysis
    assert adapted.model["id"] == "tiny-random+mine"
    kept = painted > 0
    assert np.array_equal(adapted.layer.data[kept], painted[kept])  # corrections win
    assert adapted.patch.any()
    assert here_before or "torch" not in sys.modules  # the window's process learns nothing

    # Back: the model as it was, the strokes as they are.
    assert panel.back_button.isVisible()
    click(window, panel.back_button)
    window.wait_until_idle()
    assert window.widget.state.model_name == base
    assert window.analysis.model["id"] == "tiny-random"
    assert np.array_equal(window.analysis.layer.data[kept], painted[kept])
    assert panel.use_button.isVisible()


def test_learning_can_be_cancelled(window, qtbot):
    panels, panel = window.widget.panels, window.widget.panels.adapt
    panels.run.stage_box.setCurrentIndex(panels.run.stage_box.findData("patch"))
    qtbot.waitUntil(panels.run.run_button.isEnabled, timeout=RUN_MS)
    window.run(panels.run.scope_box.findData(Scope.SLIDE.value))
    paint_truth(window)
    ask(window)
    panel.lora_box.setChecked(True)
    click(window, panel.learn_button)
    qtbot.waitUntil(lambda: "learning" in window.widget.state.progress.text, timeout=RUN_MS)
    click(window, panels.run.cancel_button)
    window.wait_until_idle()
    assert "nothing was learned" in window.widget.state.progress.text
    assert not list_adapters()
    assert panel.ask_button.isEnabled()


def test_strokes_spread_over_the_view_and_another_run_takes_that_back(window, qtbot):
    panels, panel = window.widget.panels, window.widget.panels.adapt
    panels.run.stage_box.setCurrentIndex(panels.run.stage_box.findData("cells"))
    qtbot.waitUntil(panels.run.run_button.isEnabled, timeout=RUN_MS)
    window.look_at((1500.0, 1500.0), VIEW_UM)
    viewport = panels.run.scope_box.findData(Scope.VIEWPORT.value)
    window.run(viewport)
    analysis = window.analysis
    before = analysis.layer.data.copy()
    new = 1 + int(np.bincount(before.ravel(), minlength=8)[1:].argmin())  # said least
    analysis.layer.brush_size = BRUSH
    window.look_at((1500.0, 1500.0), VIEW_UM)
    window.key(getattr(Qt.Key, f"Key_{new}"))
    window.key(Qt.Key.Key_P)
    window.drag([(-150, 0), (150, 0)])
    painted = analysis.layer.data != before
    assert painted.any()
    assert (analysis.layer.data[painted] == new).all()

    click(window, panel.spread_button)
    qtbot.waitUntil(lambda: window.widget.state.busy, timeout=RUN_MS)
    window.wait_until_idle()
    window.screenshot("62-spread")
    assert (analysis.layer.data[painted] == new).all()
    spread = (analysis.layer.data != before) & ~painted
    assert (analysis.layer.data[spread] == new).any()
    assert "strokes were spread" in panels.rate.detail_label.text()

    window.run(viewport)
    assert np.array_equal(analysis.layer.data[~painted], before[~painted])
    assert (analysis.layer.data[painted] == new).all()
    assert "strokes were spread" not in panels.rate.detail_label.text()
