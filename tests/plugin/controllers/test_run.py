"""A run: what is asked of the engine, what its answers change, how it ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_fddm.core.errors import DownloadNeededError, EngineError
from napari_fddm.core.events import RegionRefined, StageStarted, TileBatch
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.engine.messages import RunCancelled, RunFinished
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.plugin.document.prepared_analysis import PreparedAnalysis
from napari_fddm.plugin.panels.widgets import NO_RESULT
from napari_fddm.plugin.state.window_state import RunPhase, Scope
from tests.support.controllers import URI
from tests.support.stores import random_labels, refine_all

pytestmark = pytest.mark.gui


def test_without_a_slide_nothing_can_be_run(bench):
    assert not bench.panels.run.run_button.isEnabled()
    bench.controller.run.start(Scope.SLIDE)
    assert not bench.worker.requests


def test_a_run_asks_the_engine_for_what_the_panel_shows(bench):
    bench.open_slide()
    assert bench.panels.run.run_button.isEnabled()
    bench.panels.run.advanced.form["steps"].value = 3
    bench.panels.run.run_clicked.emit(Scope.SLIDE.value)
    (request,) = bench.worker.requests
    assert request["slide"] == URI
    assert request["region"] is None
    assert request["config"]["steps"] == 3
    assert Path(request["store"]).name.endswith(".fddm.ome.zarr")
    assert bench.state.progress.phase is RunPhase.STARTING
    assert not bench.panels.run.run_button.isEnabled()


def test_a_second_run_does_not_start_while_one_goes_on(bench):
    bench.start()
    bench.controller.run.start(Scope.SLIDE)
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
    assert bench.panels.rate.rate_label.text() == "75.0 %"
    assert "50%" in bench.panels.rate.detail_label.text()
    assert not bench.state.busy


def test_a_run_stopped_before_anything_is_refined_has_the_rate_of_its_tiles(bench):
    bench.start()
    bench.answer(StageStarted("patch", 4, "tiles"))
    rows, cols = np.array([0, 1]), np.array([1, 0])
    bench.answer(TileBatch(rows, cols, np.array([2, 3], np.uint8), 2, 4))
    analysis, necrosis = bench.controller.current, bench.panels.rate
    bench.controller.rate.refresh()
    assert necrosis.detail_label.text().startswith("running: of what is finished so far")
    assert not analysis.layer.data.any()  # the two methods are never mixed
    bench.worker.answered.emit(1, RunCancelled(1))
    assert set(np.unique(analysis.layer.data)) == {0, 2, 3}
    said = necrosis.detail_label.text().splitlines()
    assert "STOPPED" in said[0]
    assert "whole tiles" in said[1]
    assert necrosis.rate_label.text() == "50.0 %"
    bench.controller.run.start(Scope.SLIDE)
    bench.answer(bench.opened())
    bench.answer(RegionRefined(Window(0, 0, 100, 100), np.full((100, 100), 3, np.uint8), 1, 1))
    bench.worker.answered.emit(2, RunFinished(2, {"report": {"coverage": 1.0}, "notes": []}))
    assert necrosis.detail_label.text().startswith("AI 100.0 %")
    assert 2 not in analysis.layer.data


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
    bench.panels.run.cancel_clicked.emit()
    assert bench.worker.cancelled == 1
    assert bench.state.progress.phase is RunPhase.CANCELLING


def test_deleting_the_corrected_layer_mid_run_cancels_and_forgets(bench):
    bench.start()
    bench.viewer.layers.remove(bench.controller.current.layer)
    assert bench.controller.current is None
    assert bench.worker.cancelled == 1
    assert bench.panels.rate.rate_label.text() == NO_RESULT
    bench.answer(TileBatch(np.array([0]), np.array([0]), np.array([2], np.uint8), 1, 4))


def test_an_analysis_that_exists_is_shown_without_a_run(bench, qtbot):
    with AnalysisStore.open(bench.store, "r+") as store:
        refine_all(store, random_labels(np.random.default_rng(0)))
        store.finish()
        expected = store.labels("corrected")
    bench.controller.run.open_store(bench.store)
    qtbot.waitUntil(lambda: bench.controller.current is not None, timeout=10_000)
    analysis = bench.controller.current
    assert np.array_equal(analysis.layer.data, expected)
    assert bench.viewer.layers.selection.active is analysis.layer
    assert bench.panels.rate.rate_label.text().endswith("%")
    assert not bench.worker.requests


def test_a_run_goes_on_in_the_store_that_is_shown(bench, qtbot):
    layer = bench.open_slide()
    info = layer.metadata["napari_fddm"]["info"]
    opened = bench.opened()
    opened.slide["fingerprint"] = info.fingerprint
    bench.controller.run._on_opener_opened(PreparedAnalysis.of(opened))
    bench.viewer.layers.selection.active = layer
    bench.controller.run.start(Scope.SLIDE)
    assert bench.worker.requests[0]["store"] == str(bench.store)


def test_what_is_no_store_is_one_message(bench, said, qtbot, tmp_path):
    bench.controller.run.open_store(tmp_path / "nothing.fddm.ome.zarr")
    qtbot.waitUntil(lambda: bool(said), timeout=10_000)
    assert "does not exist" in said[0]


def test_a_download_is_asked_for_and_then_allowed_once(bench, qtbot):
    bench.open_slide()
    bench.controller.run.start(Scope.SLIDE)
    bench.worker.failed.emit(1, DownloadNeededError("the model needs a/<b>b</b> from the hub."))
    question = bench.controller.run.question
    assert question.textFormat() == Qt.TextFormat.PlainText
    assert "a/<b>b</b>" in question.text()
    assert [r["allow_download"] for r in bench.worker.requests] == [False]
    qtbot.mouseClick(button_of(question, "Download"), Qt.MouseButton.LeftButton)
    assert [r["allow_download"] for r in bench.worker.requests] == [False, True]
    bench.worker.failed.emit(2, DownloadNeededError("the model needs a/b from the hub."))
    qtbot.mouseClick(button_of(bench.controller.run.question, "Cancel"), Qt.MouseButton.LeftButton)
    bench.controller.run.start(Scope.SLIDE)
    assert [r["allow_download"] for r in bench.worker.requests] == [False, True, False]


def button_of(box, text):
    return next(button for button in box.buttons() if button.text() == text)
