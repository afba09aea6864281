"""A run with other settings: the window asks, and does what was chosen."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QWidget

from napari_fddm.core.errors import SettingsDifferError, StoreError
from napari_fddm.core.events import RegionRefined, StageDone, StageStarted, TileBatch
from napari_fddm.core.geometry import Window
from napari_fddm.core.provenance import Change
from napari_fddm.interop.pyramids import resample_nearest
from napari_fddm.pipeline.engine.messages import EngineReady, RunCancelled
from napari_fddm.pipeline.outputs import opened_event
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.store.carrying import carry_corrections
from napari_fddm.pipeline.store.replacing import replace_store
from napari_fddm.plugin.controllers.other_settings import CARRY, SET_ASIDE, START_OVER
from napari_fddm.plugin.dialogs.other_settings import OtherSettingsDialog
from napari_fddm.plugin.state.window_state import RunProgress, Scope, progress_text
from napari_fddm.slides import open_slide
from tests.support.controllers import URI
from tests.support.leaks import leftovers
from tests.support.stores import GEOMETRIES, make

pytestmark = pytest.mark.gui


def refuse(bench, *changes: Change, corrected: bool = True, model: dict | None = None):
    card = bench.state.card
    made_with = {"id": card.id, "files": card.files} if model is None else model
    error = SettingsDifferError(
        "made with other settings.",
        changes=changes or (Change("steps", "1", "3"),),
        stored={"config": {"steps": 1, "samples": 2, "seed": 5}, "model": made_with},
        corrected=corrected,
    )
    bench.worker.failed.emit(len(bench.worker.requests), error)
    return bench.controller.other_settings.dialog


@pytest.fixture
def asked(bench):
    slide = open_slide(URI)
    bench.fingerprint = slide.fingerprint  # the analysis is that of the slide
    slide.close()
    bench.start()
    bench.state.progress = RunProgress()
    bench.panels.run.advanced.form["steps"].value = 3
    return bench


def test_the_question_names_what_differs_in_the_windows_words(asked):
    dialog = refuse(asked)
    assert "Bridge steps: 1 → 3" in dialog.text.text()
    assert "--" not in dialog.text.text()
    assert dialog.revise_button.text() == CARRY
    assert not asked.state.busy
    dialog.cancel_button.click()
    assert len(asked.worker.requests) == 1


def test_a_long_question_is_shown_whole(qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    window.setStyleSheet("QLabel { font-size: 14pt; }")  # napari's size comes with its style
    dialog = OtherSettingsDialog("• Seed: 0 → 1", "Start over", "It is kept. " * 40, "", window)
    dialog.show()
    text = dialog.text
    assert text.height() >= text.heightForWidth(text.width())


def test_starting_over_lets_go_of_the_store_and_repeats_the_request(asked):
    first = asked.controller.current
    asked.controller.run.start(Scope.SLIDE)
    refuse(asked).revise_button.click()
    again, before = asked.worker.requests[-1], asked.worker.requests[-2]
    assert (again["existing"], before["existing"]) == ("revise", "resume")
    assert again["config"]["steps"] == 3
    assert {k: again[k] for k in ("slide", "store", "region", "mpp")} == {
        k: before[k] for k in ("slide", "store", "region", "mpp")
    }
    assert not first.is_shown
    assert asked.controller.current is None


@pytest.mark.parametrize(
    ("what", "corrected", "button", "existing"),
    [
        ("label_mpp", True, SET_ASIDE, "fresh"),
        ("label_mpp", False, START_OVER, "revise"),
        ("steps", False, START_OVER, "revise"),
    ],
)
def test_corrections_are_carried_where_they_fit(asked, what, corrected, button, existing):
    dialog = refuse(asked, Change(what, "4.0", "8.0"), corrected=corrected)
    assert dialog.revise_button.text() == button
    dialog.revise_button.click()
    assert asked.worker.requests[-1]["existing"] == existing


def test_going_on_takes_up_the_earlier_settings(asked):
    refuse(asked).go_on_button.click()
    request = asked.worker.requests[-1]
    assert request["existing"] == "resume"
    config = request["config"]
    assert (config["steps"], config["samples"], config["seed"]) == (1, 2, 5)


def test_going_on_needs_the_earlier_model(asked):
    dialog = refuse(asked, Change("model", "mine", "fddm-small"), model={"id": "mine"})
    assert not dialog.go_on_button.isEnabled()
    assert "choose its folder" in dialog.go_on_button.toolTip()


@pytest.fixture
def shown(asked, said):
    """The bench with an analysis that is kept on the disk, and a question about it."""
    analysis = asked.controller.current
    analysis.layer.set_view_slice()  # a canvas would have asked for it
    asked.controller.run.start(Scope.SLIDE)
    return asked, analysis


def paint(analysis, count=20) -> np.ndarray:
    """Paint strokes that nobody waits for, and return the labels."""
    for i in range(count):
        analysis.layer.data_setitem((np.array([i, i]), np.array([7, 9])), 2 + i % 3)
    return analysis.layer.data.copy()


def test_strokes_that_wait_when_it_starts_over_are_carried_over(shown):
    bench, analysis = shown
    dialog = refuse(bench)
    painted = paint(analysis)
    dialog.revise_button.click()
    assert leftovers(bench.store) == {}  # the engine gets the store for itself

    def create(place):
        with make(place) as new, AnalysisStore.open(bench.store) as old:
            carry_corrections(old, new)

    kept = replace_store(bench.store, create)  # what the engine does
    with AnalysisStore.open(bench.store, "r+") as store:
        store.corrections.sync()
        bench.answer(opened_event(store))
    assert np.array_equal(bench.controller.current.layer.data, painted)
    with AnalysisStore.open(kept) as store:
        assert np.array_equal(store.labels("corrected"), painted)


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_start_over_that_comes_to_nothing_shows_the_earlier_analysis(shown, said, qtbot, end):
    bench, analysis = shown
    dialog = refuse(bench)
    painted = paint(analysis)
    dialog.revise_button.click()
    assert bench.controller.current is None
    number = len(bench.worker.requests)
    if end == "failed":
        bench.worker.failed.emit(number, StoreError("the disk is full."))
        assert said == ["the disk is full."]
    else:
        bench.controller.run.cancel()
        bench.worker.answered.emit(number, RunCancelled(number))
    qtbot.waitUntil(lambda: bench.controller.current is not None, timeout=10_000)
    again = bench.controller.current
    assert again is not analysis
    assert np.array_equal(again.layer.data, painted)
    again.layer.set_view_slice()
    again.layer.data_setitem((np.array([50]), np.array([50])), 6)  # and it is kept as before
    assert again.writer.flush()
    with AnalysisStore.open(bench.store) as store:
        assert store.labels("corrected")[50, 50] == 6


def test_only_devices_that_are_there_are_offered_and_the_one_in_use_is_said(bench):
    box = bench.panels.run.advanced.form["device"]
    assert box.choices == ("auto", "cpu")
    bench.worker.answered.emit(0, EngineReady("CPU, bfloat16, 2 threads", 1.0, ("cpu", "cuda")))
    assert box.choices == ("auto", "cpu", "cuda")
    assert bench.panels.run.device_label.text() == "runs on CPU, bfloat16, 2 threads"


def test_the_label_grids_size_is_said_before_the_run(bench):
    bench.open_slide()
    bench.panels.run.advanced.form["label_mpp"].value = 2.0
    assert "500 × 500 cells, 0.25 MB" in bench.panels.run.advanced.size_label.text()


def classify(bench, values: np.ndarray) -> None:
    rows, cols = np.indices(values.shape).reshape(2, -1)
    bench.answer(StageStarted("patch", values.size))
    bench.answer(TileBatch(rows, cols, values.ravel(), values.size, values.size))
    bench.answer(StageDone("patch", 1.0))


def test_a_run_of_tiles_only_has_a_rate_and_refined_labels_replace_it(bench):
    bench.panels.run.stage_box.setCurrentIndex(bench.panels.run.stage_box.findData("patch"))
    bench.start()
    tiles = np.full(GEOMETRIES.tile.shape, 2, np.uint8)
    tiles[0] = 3
    classify(bench, tiles)
    analysis = bench.controller.current
    expected = resample_nearest(tiles, GEOMETRIES.tile, GEOMETRIES.label)
    assert np.array_equal(analysis.layer.data, expected)
    assert bench.state.report[0].main.rate is not None
    window = Window(0, 0, 4, 4)
    bench.answer(RegionRefined(window, np.full((4, 4), 5, np.uint8), 1, 9))
    assert (analysis.layer.data[:4, :4] == 5).all()
    assert np.count_nonzero(analysis.layer.data) == 16


def test_tiles_never_replace_refined_labels(bench):
    bench.panels.run.stage_box.setCurrentIndex(bench.panels.run.stage_box.findData("patch"))
    bench.start()
    window = Window(0, 0, 4, 4)
    bench.answer(RegionRefined(window, np.full((4, 4), 5, np.uint8), 1, 9))
    classify(bench, np.full(GEOMETRIES.tile.shape, 2, np.uint8))
    assert np.count_nonzero(bench.controller.current.layer.data) == 16


def test_speed_and_time_left_are_said_when_they_are_known():
    assert progress_text("x", 8, 100, "tiles", 0.5) == "x: 8 of 100 tiles"
    assert progress_text("x", 50, 100, "tiles", 10.0, 50) == "x: 50 of 100 tiles"
    assert progress_text("x", 60, 100, "tiles", 10.0, 50) == "x: 60 of 100 tiles, 1.0/s, 40 s left"


def test_the_bar_runs_freely_until_the_amount_is_known(bench):
    bench.open_slide()
    bench.controller.run.start(Scope.SLIDE)
    bar = bench.panels.run.progress_bar
    assert (bar.minimum(), bar.maximum()) == (0, 0)
