"""The controller with a worker that answers what a test wants: no engine, no OpenGL."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from psygnal import Signal
from qtpy.QtWidgets import QWidget

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import EngineError
from napari_fddm.core.events import AnalysisOpened, RegionRefined, StageStarted, TileBatch
from napari_fddm.core.geometry import Region, Window
from napari_fddm.pipeline.engine_messages import (
    EngineReady,
    RunCancelled,
    RunEvent,
    RunFinished,
)
from napari_fddm.pipeline.estimates import read_estimate
from napari_fddm.pipeline.report import opened_event, store_report
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.tumor_bed import read_tumor_bed, write_tumor_bed
from napari_fddm.plugin.class_panel import AREA, ClassPanel
from napari_fddm.plugin.controller import Controller
from napari_fddm.plugin.necrosis_panel import NO_RESULT, NecrosisPanel
from napari_fddm.plugin.run_panel import RunPanel
from napari_fddm.plugin.slides import slide_layer_data
from napari_fddm.plugin.state import PluginState, RunPhase, Scope
from napari_fddm.slides.opening import open_slide
from tests.support.stores import GEOMETRIES, make, random_labels, refine_all

pytestmark = pytest.mark.gui

URI = "synthetic:2000x2000?seed=1&mpp=0.5"


class FakeWorker:
    answered = Signal(int, object)
    failed = Signal(int, object)

    def __init__(self):
        self.requests, self.cancelled, self.closed, self.warm = [], 0, 0, 0

    def warm_up(self):
        self.warm += 1

    def start(self, **request):
        self.requests.append(request)
        return len(self.requests)

    def cancel(self):
        self.cancelled += 1

    def close(self):
        self.closed += 1


class Bench:
    def __init__(self, tmp_path, qtbot):
        self.store = tmp_path / "s.fddm.ome.zarr"
        make(self.store).close()
        self.fingerprint = "abc"
        self.viewer, self.state, self.worker = ViewerModel(), PluginState(), FakeWorker()
        self.parent = QWidget()
        qtbot.addWidget(self.parent)
        self.run_panel, self.class_panel = RunPanel(self.parent), ClassPanel(OSTEOSARCOMA)
        self.necrosis_panel = NecrosisPanel(self.parent)
        qtbot.addWidget(self.class_panel)
        self.controller = Controller(
            self.viewer,
            self.state,
            self.run_panel,
            self.class_panel,
            self.necrosis_panel,
            parent=self.parent,
            worker=self.worker,
        )

    def open_slide(self, uri=URI):
        data, options, _ = slide_layer_data(open_slide(uri), uri)
        return self.viewer.add_image(data, **options)

    def answer(self, event, number=None):
        number = len(self.worker.requests) if number is None else number
        self.worker.answered.emit(number, RunEvent(number, event))

    def opened(self, corrected=None):
        shape = GEOMETRIES.label.shape
        automatic = np.zeros(shape, np.uint8)
        return AnalysisOpened(
            str(self.store),
            GEOMETRIES.tile,
            GEOMETRIES.label,
            np.zeros(GEOMETRIES.tile.shape, np.uint8),
            automatic,
            automatic if corrected is None else corrected,
            {"name": "slide-1", "fingerprint": self.fingerprint},
            {"id": "x", "real_tissue": False},
        )

    def start(self):
        self.open_slide()
        self.controller.run(Scope.SLIDE)
        self.answer(self.opened())


@pytest.fixture
def bench(tmp_path, qtbot, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    bench = Bench(tmp_path, qtbot)
    yield bench
    bench.controller.close()


@pytest.fixture
def said(monkeypatch):
    messages = []
    for module in ("controller", "saving"):
        monkeypatch.setattr(f"napari_fddm.plugin.{module}.show_error", messages.append)
    return messages


def test_the_engine_is_warmed_when_the_widget_opens(bench):
    assert bench.worker.warm == 1
    bench.worker.answered.emit(0, EngineReady("CPU, float32", 1.0))
    assert bench.state.device == "CPU, float32"


def test_without_a_slide_nothing_can_be_run(bench):
    assert not bench.run_panel.run_button.isEnabled()
    bench.controller.run(Scope.SLIDE)
    assert not bench.worker.requests


def test_a_run_asks_the_engine_for_what_the_panel_shows(bench):
    bench.open_slide()
    assert bench.run_panel.run_button.isEnabled()
    bench.run_panel.settings["steps"].value = 3
    bench.run_panel.run_clicked.emit(Scope.SLIDE.value)
    (request,) = bench.worker.requests
    assert request["slide"] == URI
    assert request["region"] is None
    assert request["config"]["steps"] == 3
    assert Path(request["store"]).name.endswith(".fddm.ome.zarr")
    assert bench.state.progress.phase is RunPhase.STARTING
    assert not bench.run_panel.run_button.isEnabled()


def test_a_second_run_does_not_start_while_one_goes_on(bench):
    bench.start()
    bench.controller.run(Scope.SLIDE)
    assert len(bench.worker.requests) == 1


def test_events_become_layers_progress_and_rate(bench):
    bench.start()
    bench.answer(StageStarted("patch", 4, "tiles"))
    rows, cols = np.array([0, 1]), np.array([1, 0])
    bench.answer(TileBatch(rows, cols, np.array([2, 3], np.uint8), 2, 4))
    assert (bench.state.progress.done, bench.state.progress.total) == (2, 4)
    labels = np.full((100, 100), 3, np.uint8)
    labels[:25] = 2
    bench.answer(RegionRefined(Window(0, 0, 100, 100), labels, 1, 1))
    analysis = bench.controller.current
    assert analysis.patch[0, 1] == 2
    assert np.array_equal(analysis.layer.data[:100, :100], labels)
    report = {"report": {"coverage": 0.5}, "notes": []}
    bench.worker.answered.emit(1, RunFinished(1, report))
    assert bench.necrosis_panel.rate_label.text() == "75.0 %"
    assert "50%" in bench.necrosis_panel.detail_label.text()
    assert not bench.state.busy


def test_late_answers_of_another_run_are_dropped(bench):
    bench.start()
    bench.worker.answered.emit(1, RunCancelled(1))
    assert not bench.state.busy
    before = bench.controller.current.layer.data.copy()
    bench.answer(RegionRefined(Window(0, 0, 9, 9), np.full((9, 9), 4, np.uint8), 1, 1), number=1)
    assert np.array_equal(bench.controller.current.layer.data, before)


def test_an_error_ends_the_run_and_is_said_once(bench, said):
    bench.start()
    bench.worker.failed.emit(1, EngineError("the engine stopped.", hint="Run it again."))
    assert said == ["the engine stopped. Run it again."]
    assert not bench.state.busy


def test_cancel_is_passed_on_and_shown(bench):
    bench.start()
    bench.run_panel.cancel_clicked.emit()
    assert bench.worker.cancelled == 1
    assert bench.state.progress.phase is RunPhase.CANCELLING


def test_earlier_corrections_come_back(bench):
    corrected = np.zeros(GEOMETRIES.label.shape, np.uint8)
    corrected[:10, :10] = 2
    bench.open_slide()
    bench.controller.run(Scope.SLIDE)
    bench.answer(bench.opened(corrected))
    assert np.array_equal(bench.controller.current.layer.data, corrected)
    assert bench.controller.current.sync.edited_share == 1.0


def test_a_stroke_is_logged_and_changes_the_rate(bench):
    bench.start()
    labels = np.full((100, 100), 3, np.uint8)
    bench.answer(RegionRefined(Window(0, 0, 100, 100), labels, 1, 1))
    analysis = bench.controller.current
    analysis.layer.brush_size = 21
    analysis.layer.paint((50, 50), 2)
    painted = np.count_nonzero(analysis.layer.data == 2)
    assert bench.necrosis_panel.rate_label.text() == f"{100 * (1 - painted / 10_000):.1f} %"
    assert analysis.keeper.flush()
    with AnalysisStore.open(bench.store) as store:
        (edit,) = store.log.edits("corrected")
    assert edit.changed_cells == painted


def test_deleting_the_corrected_layer_mid_run_cancels_and_forgets(bench):
    bench.start()
    bench.viewer.layers.remove(bench.controller.current.layer)
    assert bench.controller.current is None
    assert bench.worker.cancelled == 1
    assert bench.necrosis_panel.rate_label.text() == NO_RESULT
    bench.answer(TileBatch(np.array([0]), np.array([0]), np.array([2], np.uint8), 1, 4))


def test_an_analysis_that_exists_is_shown_without_a_run(bench, qtbot):
    with AnalysisStore.open(bench.store, "r+") as store:
        refine_all(store, random_labels(np.random.default_rng(0)))
        store.finish()
        expected = store.labels("corrected")
    bench.controller.open_store(bench.store)
    qtbot.waitUntil(lambda: bench.controller.current is not None, timeout=10_000)
    analysis = bench.controller.current
    assert np.array_equal(analysis.layer.data, expected)
    assert bench.viewer.layers.selection.active is analysis.layer
    assert bench.necrosis_panel.rate_label.text().endswith("%")
    assert not bench.worker.requests


def test_a_run_goes_on_in_the_store_that_is_shown(bench, qtbot):
    layer = bench.open_slide()
    info = layer.metadata["napari_fddm"]["info"]
    opened = bench.opened()
    opened.slide["fingerprint"] = info.fingerprint
    bench.controller._on_opener_opened(opened)
    bench.viewer.layers.selection.active = layer
    bench.controller.run(Scope.SLIDE)
    assert bench.worker.requests[0]["store"] == str(bench.store)


def test_what_is_no_store_is_one_message(bench, said, qtbot, tmp_path):
    bench.controller.open_store(tmp_path / "nothing.fddm.ome.zarr")
    qtbot.waitUntil(lambda: bool(said), timeout=10_000)
    assert "does not exist" in said[0]


def test_the_definition_switches_the_large_rate(bench):
    bench.start()
    labels = np.full((100, 100), 4, np.uint8)
    labels[:50] = 2
    bench.answer(RegionRefined(Window(0, 0, 100, 100), labels, 1, 1))
    bench.controller._on_timer_timeout()
    assert bench.necrosis_panel.rate_label.text() == "50.0 %"
    bench.necrosis_panel.definition_box.setCurrentIndex(1)
    assert bench.necrosis_panel.rate_label.text() == "0.0 %"


def test_a_slide_without_pixel_size_asks_for_it(bench, said, tmp_path):
    from tests.support.slides import stained, write_tiff

    path = write_tiff(tmp_path / "plain.tif", [stained(600, 600)])
    bench.open_slide(str(path))
    if bench.state.slide.mpp is not None:
        pytest.fail("the test's slide has a pixel size")
    bench.controller.run(Scope.SLIDE)
    assert not bench.worker.requests
    assert "µm per pixel" in said[0]


def test_closing_twice_is_fine_and_closes_everything(bench):
    bench.start()
    bench.controller.close()
    bench.controller.close()
    assert bench.worker.closed == 1
    bench.answer(StageStarted("patch", 4, "tiles"))
    assert bench.state.progress.total == 0


def test_badge_and_disclaimer_are_always_said(bench):
    bench.start()
    assert "never saw real tissue" in bench.necrosis_panel.badge_label.text()
    texts = [
        w.text() for w in bench.necrosis_panel.findChildren(type(bench.necrosis_panel.rate_label))
    ]
    assert any("Not a diagnosis" in text for text in texts)


def test_eyes_solo_palette_and_outline_reach_every_layer_and_no_label(bench):
    bench.start()
    analysis = bench.controller.current
    before = analysis.layer.data.copy()
    bench.class_panel.eye_clicked.emit(3)
    for layer in analysis.layers:
        assert layer.colormap.color_dict[3][3] == 0
        assert layer.colormap.color_dict[2][3] == 1
    bench.class_panel.solo_clicked.emit(3)
    assert [v for v in range(1, 8) if analysis.layer.colormap.color_dict[v][3]] == [3]
    bench.class_panel.solo_clicked.emit(3)
    bench.class_panel.palette_chosen.emit("paper")
    assert np.allclose(analysis.layer.colormap.color_dict[4], (1, 0, 0, 1))
    bench.class_panel.outline_toggled.emit(True)
    assert {layer.contour for layer in analysis.layers} == {1}
    bench.class_panel.outline_toggled.emit(False)
    assert {layer.contour for layer in analysis.layers} == {0}
    assert np.array_equal(analysis.layer.data, before)


def test_panel_and_layer_agree_on_what_the_brush_does(bench):
    bench.start()
    panel, layer = bench.class_panel, bench.controller.current.layer
    marked = lambda: [r.topRow() for r in panel.rows.selectedRanges()]  # noqa: E731
    panel.class_clicked.emit(4)
    assert (layer.selected_label, layer.mode, marked()) == (4, "paint", [3])
    panel.exclude_clicked.emit()
    assert layer.excluding
    assert marked() == [7]
    layer.excluding = False
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
    bench.controller._on_timer_timeout()
    assert bench.necrosis_panel.rate_label.text() == "50.0 %"
    layer.excluding = True
    layer.fill((0, 0), 3)
    assert bench.necrosis_panel.rate_label.text() == "0.0 %"
    shown = float(bench.class_panel.rows.item(7, AREA).text())
    cells = np.count_nonzero(labels == 3)
    assert shown == pytest.approx(cells * GEOMETRIES.label.cell_mm2, abs=0.006)


def test_a_drawn_region_is_analyzed_and_its_cost_said_before(bench, said):
    bench.open_slide()
    chooser = bench.controller._scope
    bench.run_panel.draw_button.click()
    bench.controller.run(bench.run_panel.scope)
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
    bench.controller.run(bench.run_panel.scope)
    assert bench.worker.requests[-1]["region"] == Region(512.0, 0.0, 512.0, 512.0)
    bench.run_panel.draw_button.click()
    assert sum(layer.name.startswith("region") for layer in bench.viewer.layers) == 1


def test_the_estimate_follows_the_scope(bench):
    bench.open_slide()  # 2000 px of 0.5 µm: four tiles a side
    bench.run_panel.scope_box.setCurrentIndex(2)
    assert bench.controller._scope.estimate() == "16 tiles at most"
    bench.controller._scope._on_timer_timeout()
    assert bench.run_panel.estimate_label.text() == "16 tiles at most"
    bench.start()
    assert bench.controller._scope.estimate() == ""


def refined_halves(bench):
    """An analysis whose left half is necrosis and whose right half is viable."""
    bench.start()
    shape = bench.controller.current.layer.data.shape
    labels = np.full(shape, 2, np.uint8)
    labels[:, : shape[1] // 2] = 3
    bench.answer(RegionRefined(Window(0, 0, *shape), labels, 1, 1))
    bench.controller._on_timer_timeout()
    return bench.controller.current


def test_the_rate_inside_an_outline_stands_beside_that_of_all_tissue(bench):
    bench.fingerprint = open_slide(URI).fingerprint
    analysis = refined_halves(bench)
    panel = bench.necrosis_panel
    assert not panel.bed_label.isVisibleTo(panel)
    panel.outline_button.click()
    drawing = bench.viewer.layers.selection.active
    assert drawing.mode == "add_polygon_lasso"
    geometry = analysis.geometry
    rows, cols = geometry.shape
    inner = np.array([[2, 4], [2, cols - 4], [rows - 2, cols - 4], [rows - 2, 4]], float)
    drawing.add_polygons(inner * geometry.cell - 0.5)
    bench.controller._bed.settle()
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

    # It is in the store, comes back with it, and goes when its layer is deleted.
    assert analysis.keeper.flush()
    with AnalysisStore.open(bench.store) as store:
        (kept,) = read_tumor_bed(store)
        assert np.allclose(kept, inner * geometry.cell, atol=0.01)
    bench.viewer.layers.remove(drawing)
    bench.controller._bed.settle()
    assert not panel.bed_label.isVisibleTo(panel)
    assert analysis.keeper.flush()
    with AnalysisStore.open(bench.store) as store:
        assert read_tumor_bed(store) == ()


def test_an_outline_that_was_drawn_before_is_shown_again(bench):
    fingerprint = open_slide(URI).fingerprint
    corners = np.array([[0, 0], [0, 900], [800, 900], [800, 0]], float)
    with AnalysisStore.open(bench.store, "r+") as store:
        write_tumor_bed(store, [corners * 0.5])
        write_tumor_bed(store, [corners])
        event = opened_event(store)
    bench.open_slide()
    bench.controller.run(Scope.SLIDE)
    bench.answer(replace(event, slide={"fingerprint": fingerprint}))
    (drawing,) = [layer for layer in bench.viewer.layers if layer.name.startswith("tumor bed")]
    assert np.allclose(drawing.data[0], corners - 0.5)
    assert bench.controller.current.sync.bed_counts.sum() > 0


OWN = """
[with-hemorrhage]
title = "necrosis and hemorrhage"
numerator = ["NC", "HC"]
denominator = ["VT", "NC", "HC"]
source = "our protocol"
"""


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    path = tmp_path / "definitions.toml"
    monkeypatch.setattr("napari_fddm.pipeline.user_files.user_definitions_path", lambda: path)
    return path


def test_definitions_of_the_users_own_can_be_chosen(own_file, tmp_path, qtbot):
    own_file.write_text(OWN)
    bench = Bench(tmp_path, qtbot)
    refined_halves(bench)
    panel = bench.necrosis_panel
    assert "necrosis and hemorrhage: 50.0 %" in panel.others_label.text()
    panel.definition_box.setCurrentIndex(panel.definition_box.findData("with-hemorrhage"))
    assert panel.rate_label.text() == "50.0 %"
    assert "(NC + HC) / (VT + NC + HC)" in panel.rate_label.toolTip()
    assert "FDDM" in panel.others_label.text()
    bench.controller.close()


def test_a_wrong_file_of_definitions_is_said_and_the_rest_works(
    own_file, tmp_path, qtbot, monkeypatch
):
    said = []
    monkeypatch.setattr("napari_fddm.plugin.definitions.show_error", said.append)
    own_file.write_text(OWN.replace('"NC", "HC"]', '"XX"]', 1))
    bench = Bench(tmp_path, qtbot)
    assert "XX" in said[0]
    refined_halves(bench)
    assert bench.necrosis_panel.rate_label.text() == "50.0 %"
    bench.controller.close()


def test_my_estimate_first_hides_every_computed_number_until_it_is_entered(bench):
    bench.fingerprint = open_slide(URI).fingerprint
    panel = bench.necrosis_panel
    panel.estimate_box.setChecked(True)
    analysis = refined_halves(bench)
    analysis.set_tumor_bed([np.array([[0, 0], [0, 900], [800, 900], [800, 0]], float)])
    bench.controller._on_timer_timeout()

    def shown() -> str:
        labels = (panel.rate_label, panel.grade_label, panel.detail_label, panel.others_label)
        texts = [label.text() for label in labels]
        texts += [panel.bed_label.text() if panel.bed_label.isVisibleTo(panel) else ""]
        rows = bench.class_panel.rows
        texts += [rows.item(row, AREA).text() for row in range(rows.rowCount())]
        return "".join(texts).replace(NO_RESULT, "")

    assert shown() == ""
    analysis.layer.brush_size = 5
    analysis.layer.paint((3, 3), 5)  # editing goes on, and reveals nothing
    assert shown() == ""
    panel.estimate_spin.setValue(85)
    panel.estimate_button.click()
    assert panel.rate_label.text().endswith("%")
    assert panel.bed_label.isVisibleTo(panel)
    assert panel.estimate_label.text() == "my estimate: 85 %"
    assert not panel.estimate_button.isVisibleTo(panel)

    # It is kept, comes back, and a later one does not replace it.
    bench.controller._estimate._on_panel_entered(0.2)
    assert analysis.keeper.flush()
    with AnalysisStore.open(bench.store) as store:
        assert read_estimate(store) == 0.85
        assert [r["rate_seen"] for r in store.log.records("estimate")] == [False]
        assert opened_event(store).estimate == 0.85
        assert store_report(store)["reader_estimate"] == 0.85


def test_without_the_option_nothing_is_asked(bench):
    refined_halves(bench)
    panel = bench.necrosis_panel
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
    assert analysis.keeper.flush()
    with AnalysisStore.open(bench.store) as store:
        assert [r["rate_seen"] for r in store.log.records("estimate")] == [True]
