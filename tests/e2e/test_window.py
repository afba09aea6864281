"""The main job in a real window, with real mouse and key events."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_fddm.core.necrosis import ClassAreas, compute_rate, find_definition
from napari_fddm.core.outlines import outline_mask
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.plugin.layers.slides import slide_layer_data
from napari_fddm.plugin.panels.classes import AREA, LOCK, NAME, SOLO
from napari_fddm.plugin.panels.widgets import percent
from napari_fddm.plugin.state.tools import Action
from napari_fddm.plugin.state.window_state import Scope
from napari_fddm.slides import open_slide
from tests.support.window import RUN_MS, Window

pytestmark = [pytest.mark.gui, pytest.mark.slow]


LARGE_SLIDE = "synthetic:40000x40000?seed=3&mpp=0.5"
"""20 mm: no test waits for its end."""


@pytest.fixture
def empty_window(tiny_model, make_napari_viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    window = Window(make_napari_viewer(show=True), qtbot)
    window.open_widget(tiny_model)
    yield window
    window.let_go()


@pytest.fixture
def window(empty_window):
    empty_window.viewer.open_sample("napari-fddm", "synthetic")
    return empty_window


@pytest.fixture
def running(empty_window, qtbot):
    """A window in the middle of a long run."""
    slide = open_slide(LARGE_SLIDE)
    data, options, _ = slide_layer_data(slide, LARGE_SLIDE)
    empty_window.viewer.add_image(data, **options)
    panel = empty_window.widget.panels.run
    panel.scope_box.setCurrentIndex(panel.scope_box.findData(Scope.SLIDE.value))
    qtbot.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: empty_window.analysis is not None, timeout=RUN_MS)
    qtbot.waitUntil(lambda: bool(empty_window.analysis.patch.any()), timeout=RUN_MS)
    return empty_window


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
    with qtbot.waitSignal(analysis.writer.exported, timeout=60_000):
        window.widget.controller.export.start(copy)
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


def test_draw_a_region_exclude_and_protect(window, qtbot):
    window.look_at((2000.0, 2000.0), 1500.0)
    panel = window.widget.panels.run
    qtbot.mouseClick(panel.draw_button, Qt.MouseButton.LeftButton)
    window.drag([(-100, -100), (0, 0), (120, 90)])
    qtbot.waitUntil(lambda: "tiles at most" in panel.estimate_label.text(), timeout=5_000)
    drawn = window.widget.controller.scope.region(window.widget.state.slide, Scope.DRAWN)
    window.screenshot("07-drawn")
    window.run(panel.scope_box.currentIndex())
    analysis, layer = window.analysis, window.analysis.layer
    asked = analysis.geometry.window_of(drawn)
    assert (layer.data[asked.slices] > 0).mean() > 0.9
    assert np.count_nonzero(layer.data) < 0.5 * layer.data.size

    # X excludes: the cells leave every sum, and undo brings them back.
    before, rate = layer.data.copy(), window.rate_text
    layer.brush_size = 30
    window.key(Qt.Key.Key_P)
    window.key(Qt.Key.Key_X)
    window.drag([(-40, -40), (0, 0), (40, 30)])
    excluded = layer.data != before
    assert excluded.sum() > 100
    assert (layer.data[excluded] == 0).all()
    assert window.rate_text == window.recounted_rate_text()
    assert float(window.class_row(7, AREA)) > 0
    window.screenshot("08-excluded")
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(layer.data, before)
    assert window.rate_text == rate

    # A padlock keeps a class from being painted over.
    common = int(np.bincount(before[asked.slices].ravel()).argmax())
    other = 2 if common != 2 else 3
    window.click_class(common - 1, LOCK)
    window.click_class(other - 1, NAME)
    assert layer.action is Action.PAINT
    window.drag([(-60, -40), (0, 0), (60, 40)])
    assert np.array_equal(layer.data == common, before == common)
    window.click_class(common - 1, LOCK)
    window.drag([(-60, -40), (0, 0), (60, 40)])
    assert (layer.data == common).sum() < (before == common).sum()

    # Solo and eye change the picture, not the labels.
    painted = layer.data.copy()
    window.click_class(common - 1, SOLO)
    assert layer.colormap.color_dict[other][3] == 0
    window.screenshot("09-solo")
    window.click_class(common - 1, SOLO)
    assert np.array_equal(layer.data, painted)


def test_outline_the_tumor_bed(window, qtbot):
    window.look_at((2000.0, 2000.0), 900.0)
    window.run()
    analysis, panel = window.analysis, window.widget.panels.rate
    everywhere = window.rate_text
    qtbot.mouseClick(panel.outline_button, Qt.MouseButton.LeftButton)
    window.drag([(-150, -120), (140, -110), (150, 120), (0, 160), (-140, 110), (-150, -110)])
    qtbot.waitUntil(lambda: panel.bed_label.isVisible(), timeout=10_000)
    (polygon,) = analysis.tumor_bed
    inside = outline_mask([polygon], analysis.geometry)
    assert 0.1 < inside.sum() * analysis.geometry.cell_mm2 < 1.0

    def recounted() -> str:
        labels = np.asarray(analysis.layer.data)[inside]
        areas = ClassAreas.from_labels(labels, analysis.geometry.cell_mm2)
        return percent(compute_rate(areas, find_definition("fddm")))

    assert f"inside the outline: {recounted()}" in panel.bed_label.text()
    assert window.rate_text == everywhere
    window.screenshot("10-tumor-bed")
    window.viewer.layers.selection.active = analysis.layer
    window.key(Qt.Key.Key_2)
    window.key(Qt.Key.Key_P)
    window.drag([(-60, 0), (0, 0), (60, 10)])
    assert f"inside the outline: {recounted()}" in panel.bed_label.text()
    assert window.rate_text == window.recounted_rate_text()


def test_cancel_keeps_what_is_finished(running, qtbot):
    state = running.widget.state
    running.screenshot("06-running")
    qtbot.mouseClick(running.widget.panels.run.cancel_button, Qt.MouseButton.LeftButton)
    running.wait_until_idle()
    assert "kept" in state.progress.text
    analysis = running.analysis
    done = int((analysis.patch > 0).sum())
    assert 0 < done < analysis.patch.size
    with AnalysisStore.open(analysis.store_path) as store:
        assert int(store.maps.probability_map("patch").coverage.sum()) >= done


def test_a_second_run_is_refused_while_one_goes_on(running):
    worker = running.widget.controller.run.worker
    number = worker._number
    running.widget.controller.run.start(Scope.SLIDE)
    assert worker._number == number
    assert not running.widget.panels.run.run_button.isEnabled()


def test_closing_the_window_mid_run_leaves_no_process_and_no_thread(running, qtbot):
    process = running.widget.controller.run.worker._client._process
    assert process.poll() is None
    running.viewer.close()
    qtbot.waitUntil(lambda: process.poll() is not None, timeout=15_000)
    qtbot.waitUntil(
        lambda: not [t.name for t in threading.enumerate() if t.name.startswith("fddm-")],
        timeout=15_000,
    )


def test_deleting_the_layers_mid_run_is_safe(running):
    running.viewer.layers.clear()
    running.wait_until_idle()
    assert running.rate_text == "–"


def test_an_engine_that_dies_is_one_sentence_and_the_strokes_stay(running, monkeypatch):
    said = []
    monkeypatch.setattr("napari_fddm.plugin.controllers.run.show_error", said.append)
    analysis = running.analysis
    layer = analysis.layer
    layer.data_setitem((np.array([40, 41]), np.array([50, 50])), 2)
    running.widget.controller.run.worker._client._process.kill()
    running.wait_until_idle()
    assert len(said) == 1
    assert "engine process stopped" in said[0]
    assert analysis.writer.flush()
    with AnalysisStore.open(analysis.store_path) as store:
        assert (store.labels("corrected")[[40, 41], 50] == 2).all()
