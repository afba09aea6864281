"""What the window does beside runs: class panel, regions, tumor bed, definitions, estimates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_fddm.core.events import RegionRefined
from napari_fddm.core.geometry import Region, Window
from napari_fddm.pipeline.outputs.report import opened_event, store_report
from napari_fddm.pipeline.store.analysis_store import AnalysisStore
from napari_fddm.pipeline.store.estimates import read_estimate
from napari_fddm.pipeline.store.tumor_bed import read_tumor_bed, tumor_bed_record
from napari_fddm.plugin.panels.classes import AREA
from napari_fddm.plugin.panels.definition_table import BED_RATE, RATE, TITLE
from napari_fddm.plugin.panels.rate import DRAW_BED
from napari_fddm.plugin.panels.run import MapKind
from napari_fddm.plugin.panels.widgets import NO_RESULT
from napari_fddm.plugin.state.tools import Action, Tool
from napari_fddm.plugin.state.window_state import Scope
from napari_fddm.slides.opening import open_slide
from tests.support.controllers import URI, Bench, refined_halves
from tests.support.definitions import OWN
from tests.support.stores import GEOMETRIES

pytestmark = pytest.mark.gui


def rates_of(panel):
    """What the table of definitions shows: rate and grade by title."""
    table = panel.definition_table
    return dict(
        [table.item(row, c).text() for c in (TITLE, RATE)] for row in range(table.rowCount())
    )


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


def test_panel_and_layer_agree_on_what_the_brush_does(bench):
    bench.start()
    panel, layer = bench.panels.classes, bench.controller.current.layer
    marked = lambda: [r.topRow() for r in panel.rows.selectedRanges()]  # noqa: E731
    panel.class_clicked.emit(4)
    assert (layer.selected_label, layer.mode, marked()) == (4, "paint", [3])
    panel.exclude_clicked.emit()
    assert layer.action is Action.EXCLUDE
    assert marked() == [7]
    layer.action = Action.PAINT
    assert marked() == [3]
    panel.rows.selectRow(0)
    panel.lock_clicked.emit(1)
    assert marked() == [3]
    assert layer.protected == {1}
    panel.lock_clicked.emit(1)
    assert layer.protected == frozenset()


def test_what_is_excluded_leaves_the_rate_and_is_shown(bench):
    bench.start()
    layer = bench.controller.current.layer
    window = Window(0, 0, *layer.data.shape)
    labels = np.full(layer.data.shape, 2, np.uint8)
    labels[:, : layer.data.shape[1] // 2] = 3
    bench.answer(RegionRefined(window, labels, 1, 1))
    bench.controller.rate.refresh()
    assert bench.panels.rate.rate_label.text() == "50.0 %"
    layer.action = Action.EXCLUDE
    layer.fill((0, 0), 3)
    assert bench.panels.rate.rate_label.text() == "0.0 %"
    shown = float(bench.panels.classes.rows.item(7, AREA).text())
    cells = np.count_nonzero(labels == 3)
    assert shown == pytest.approx(cells * GEOMETRIES.label.cell_mm2, abs=0.006)


def test_a_drawn_region_is_analyzed_and_its_cost_said_before(bench, said):
    bench.open_slide()
    chooser = bench.controller.scope
    bench.panels.run.draw_button.click()
    bench.controller.run.start(bench.panels.run.scope)
    assert "Draw" in said[-1]
    layer = bench.viewer.layers.selection.active
    assert layer.mode == "add_rectangle"
    # level-0 px 512…1024 by 0…512; napari counts from pixel centers
    layer.add_rectangles(np.array([[511.5, -0.5], [511.5, 511.5], [1023.5, 511.5], [1023.5, -0.5]]))
    assert chooser.estimate() == "16 tiles at most"  # all that its regions read
    bench.state.tiles_per_second = 0.5
    layer.add_rectangles(np.array([[-9, -9], [-9, 700], [300, 700], [300, -9]]))
    assert chooser.estimate() == "16 tiles at most, up to 32 s at the last run's speed"
    layer.selected_data = {0}
    kinds = bench.panels.run.stage_box
    kinds.setCurrentIndex(kinds.findData(MapKind.CELLS.value))
    assert chooser.estimate() == "6 tiles at most, up to 12 s at the last run's speed"
    kinds.setCurrentIndex(kinds.findData(MapKind.TILES.value))
    assert chooser.estimate() == "1 tile, up to 2 s at the last run's speed"
    bench.controller.run.start(bench.panels.run.scope)
    assert bench.worker.requests[-1]["region"] == Region(512.0, 0.0, 512.0, 512.0)
    bench.panels.run.draw_button.click()
    assert sum(layer.name.startswith("region") for layer in bench.viewer.layers) == 1


def test_the_estimate_follows_the_scope(bench):
    bench.open_slide()  # 2000 px of 0.5 µm: four tiles a side
    bench.panels.run.scope_box.setCurrentIndex(2)
    assert bench.controller.scope.estimate() == "16 tiles at most"
    bench.controller.scope._on_timer_timeout()
    assert bench.panels.run.estimate_label.text() == "16 tiles at most"
    bench.start()
    assert bench.controller.scope.estimate() == ""


def test_the_rate_inside_an_outline_stands_beside_that_of_all_tissue(bench):
    bench.fingerprint = open_slide(URI).fingerprint
    analysis = refined_halves(bench)
    panel = bench.panels.rate
    assert not panel.bed_label.isVisibleTo(panel.head)
    panel.outline_button.click()
    drawing = bench.viewer.layers.selection.active
    assert drawing.mode == "add_polygon_lasso"
    geometry = analysis.geometry
    rows, cols = geometry.shape
    inner = np.array([[2, 4], [2, cols - 4], [rows - 2, cols - 4], [rows - 2, 4]], float)
    drawing.add_polygons(inner * geometry.cell - 0.5)
    bench.controller.tumor_bed.settle()
    assert panel.rate_label.text() == "50.0 %"
    part = analysis.layer.data[2 : rows - 2, 4 : cols - 4]
    share = np.count_nonzero(part == 3) / part.size
    assert f"inside the outline: {100 * share:.1f} %" in panel.bed_label.text()

    # A stroke inside moves both, one outside only the first; always as a recount.
    for y in (rows // 2, 0):
        analysis.layer.brush_size = 3
        analysis.layer.selected_label = 2
        analysis.layer.paint((y, 5), 2)
        share = np.count_nonzero(part == 3) / part.size
        assert f"inside the outline: {100 * share:.1f} %" in panel.bed_label.text()
        assert panel.definition_table.item(0, BED_RATE).text().startswith(f"{100 * share:.1f} %")

    # It is in the store, comes back with it, and goes when its layer is deleted.
    assert analysis.writer.flush()
    with AnalysisStore.open(bench.store) as store:
        (kept,) = read_tumor_bed(store)
        assert np.allclose(kept, inner * geometry.cell, atol=0.01)
    bench.viewer.layers.remove(drawing)
    bench.controller.tumor_bed.settle()
    assert not panel.bed_label.isVisibleTo(panel.head)
    assert analysis.writer.flush()
    with AnalysisStore.open(bench.store) as store:
        assert read_tumor_bed(store) == ()


def test_the_window_says_what_the_mouse_draws_and_an_outline_can_be_removed(bench):
    bench.fingerprint = open_slide(URI).fingerprint
    analysis = refined_halves(bench)
    panel, tools = bench.panels.rate, bench.panels.tools
    bench.viewer.layers.selection.active = analysis.layer
    tools.tool_buttons[Tool.BRUSH].click()
    assert tools.tool_buttons[Tool.BRUSH].isChecked()
    panel.outline_button.click()
    assert panel.outline_button.isChecked()
    assert panel.outline_button.text() == DRAW_BED
    marked = [*tools.tool_buttons.values(), *tools.action_buttons.values()]
    assert not any(button.isChecked() for button in marked)  # the mouse draws an outline now
    drawing = bench.viewer.layers.selection.active
    corners = np.array([[0, 0], [0, 900], [800, 900], [800, 0]], float)
    drawing.add_polygons(corners)
    bench.controller.tumor_bed.settle()
    assert panel.remove_button.isVisibleTo(panel)

    panel.outline_button.click()  # enough drawn: back to the classes
    assert not panel.outline_button.isChecked()
    assert bench.viewer.layers.selection.active is analysis.layer
    assert tools.tool_buttons[Tool.BRUSH].isChecked()

    panel.remove_button.click()
    bench.controller.tumor_bed.settle()
    assert not panel.bed_label.isVisibleTo(panel.head)
    assert not panel.remove_button.isVisibleTo(panel)
    assert analysis.writer.flush()
    with AnalysisStore.open(bench.store) as store:
        assert read_tumor_bed(store) == ()
        assert store_report(store)["inside_tumor_bed"] is None


def test_an_outline_that_was_drawn_before_is_shown_again(bench):
    fingerprint = open_slide(URI).fingerprint
    corners = np.array([[0, 0], [0, 900], [800, 900], [800, 0]], float)
    with AnalysisStore.open(bench.store, "r+") as store:
        store.records.append(tumor_bed_record([corners * 0.5]))
        store.records.append(tumor_bed_record([corners]))
        event = opened_event(store)
    bench.open_slide()
    bench.controller.run.start(Scope.SLIDE)
    bench.answer(replace(event, slide={"fingerprint": fingerprint}))
    (drawing,) = [layer for layer in bench.viewer.layers if layer.name.startswith("tumor bed")]
    assert np.allclose(drawing.data[0], corners - 0.5)
    assert bench.controller.current.tracker.bed_counts.sum() > 0


def test_definitions_of_the_users_own_can_be_chosen(own_file, tmp_path, qtbot):
    own_file.write_text(OWN)
    bench = Bench(tmp_path, qtbot)
    refined_halves(bench)
    panel = bench.panels.rate
    assert rates_of(panel)["necrosis and hemorrhage"] == "50.0 % · II"
    panel.definition_box.setCurrentIndex(panel.definition_box.findData("with-hemorrhage"))
    assert panel.rate_label.text() == "50.0 %"
    assert "(NC + HC) / (VT + NC + HC)" in panel.rate_label.toolTip()
    assert "FDDM: all but viable tumor" in rates_of(panel)
    bench.controller.close()


def test_a_wrong_file_of_definitions_is_said_and_the_rest_works(
    own_file, tmp_path, qtbot, monkeypatch
):
    said = []
    monkeypatch.setattr("napari_fddm.plugin.controllers.rate.show_error", said.append)
    own_file.write_text(OWN.replace('"NC", "HC"]', '"XX"]', 1))
    bench = Bench(tmp_path, qtbot)
    assert "XX" in said[0]
    refined_halves(bench)
    assert bench.panels.rate.rate_label.text() == "50.0 %"
    bench.controller.close()


def test_my_estimate_first_hides_every_computed_number_until_it_is_entered(bench):
    bench.fingerprint = open_slide(URI).fingerprint
    panel = bench.panels.rate
    panel.estimate_box.setChecked(True)
    analysis = refined_halves(bench)
    analysis.set_tumor_bed([np.array([[0, 0], [0, 900], [800, 900], [800, 0]], float)])
    bench.controller.rate.refresh()

    def shown() -> str:
        labels = (panel.rate_label, panel.grade_label, panel.detail_label)
        texts = [label.text() for label in labels] + list(rates_of(panel))
        texts += [panel.bed_label.text() if panel.bed_label.isVisibleTo(panel.head) else ""]
        rows = bench.panels.classes.rows
        texts += [rows.item(row, AREA).text() for row in range(rows.rowCount())]
        return "".join(texts).replace(NO_RESULT, "")

    assert shown() == ""
    analysis.layer.brush_size = 5
    analysis.layer.paint((3, 3), 5)  # editing goes on, and reveals nothing
    assert shown() == ""
    panel.estimate_spin.setValue(85)
    panel.estimate_button.click()
    assert panel.rate_label.text().endswith("%")
    assert panel.bed_label.isVisibleTo(panel.head)
    assert panel.estimate_label.text() == "my estimate: 85 %"
    assert not panel.estimate_button.isVisibleTo(panel)

    # It is kept, comes back, and a later one does not replace it.
    bench.controller.estimate._on_panel_entered(0.2)
    assert analysis.writer.flush()
    with AnalysisStore.open(bench.store) as store:
        assert read_estimate(store) == 0.85
        assert [r["rate_seen"] for r in store.log.records("estimate")] == [False]
        assert opened_event(store).estimate == 0.85
        assert store_report(store)["reader_estimate"] == 0.85
        assert store_report(store)["reader_estimate_saw_rate"] is False


def test_without_the_option_nothing_is_asked(bench):
    refined_halves(bench)
    panel = bench.panels.rate
    assert panel.rate_label.text() == "50.0 %"
    assert not panel.estimate_button.isVisibleTo(panel)
    panel.estimate_box.setChecked(True)
    assert panel.rate_label.text() == NO_RESULT
    panel.estimate_box.setChecked(False)
    assert panel.rate_label.text() == "50.0 %"
    panel.estimate_box.setChecked(True)
    assert not panel.estimate_button.isEnabled()  # nothing is chosen yet
    panel.estimate_spin.setValue(0)
    panel.estimate_button.click()
    analysis = bench.controller.current
    assert analysis.estimate == 0.0
    assert analysis.writer.flush()
    with AnalysisStore.open(bench.store) as store:
        assert [r["rate_seen"] for r in store.log.records("estimate")] == [True]
