"""The panel of learning and its controller: what it says, asks, takes up and takes back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_fddm.core.errors import ConfigError
from napari_fddm.core.events import Progressed, RegionRefined, StageStarted
from napari_fddm.core.geometry import Window
from napari_fddm.models.registry import adapters_folder
from napari_fddm.pipeline.engine.messages import AdaptFinished, RunCancelled
from napari_fddm.pipeline.store import AnalysisStore, read_strokes
from napari_fddm.plugin.document.prepared_analysis import PreparedAnalysis
from napari_fddm.training.adapt.guidance import NotEnoughStrokesError
from tests.support.models import write_tiny_model
from tests.support.stores import every_tile, refine_all, write_tiles

pytestmark = pytest.mark.gui

SAID = 7


@pytest.fixture
def panel(bench):
    """A finished analysis of one class, and the panel under it."""
    bench.open_slide()
    bench.fingerprint = bench.state.slide.fingerprint
    bench.controller.run.start(bench_scope())
    bench.answer(bench.opened())
    while bench.controller.current.add_next():
        pass
    shape = bench.controller.current.layer.data.shape
    labels = np.full(shape, SAID, np.uint8)
    bench.answer(RegionRefined(Window(0, 0, *shape), labels, 1, 1))
    bench.worker.answered.emit(1, RunCancelled(1))
    with AnalysisStore.open(bench.store, "r+") as store:
        write_tiles(store, np.random.default_rng(0), every_tile())
        refine_all(store, np.full(shape, SAID, np.uint8))
        store.finish()
    return bench.panels.adapt


def bench_scope():
    from napari_fddm.plugin.state.window_state import Scope

    return Scope.SLIDE


def paint(bench, places, value=3, side=20):
    layer = bench.controller.current.layer
    layer.brush_size = side
    for place in places:
        layer.paint(place, value)


def ask(bench, panel, qtbot):
    panel.ask_button.click()
    qtbot.waitUntil(lambda: "painted" in panel.counts_label.text(), timeout=10_000)
    return panel.counts_label.text()


SPREAD = [(y, x) for y in (40, 140, 240) for x in (40, 140, 240)]


def learn(bench, panel, qtbot, name="mine"):
    paint(bench, SPREAD[:4], 3)
    paint(bench, SPREAD[4:8], 2)
    ask(bench, panel, qtbot)
    panel.name_edit.setText(name)
    panel.learn_button.click()
    qtbot.waitUntil(lambda: len(bench.worker.requests) == 2, timeout=10_000)
    return bench.worker.requests[-1]


def test_nothing_can_be_asked_without_an_analysis(bench):
    assert not bench.panels.adapt.ask_button.isEnabled()
    assert not bench.panels.adapt.spread_button.isEnabled()


def test_strokes_are_on_the_disk_before_they_are_spread(bench, panel, qtbot):
    paint(bench, SPREAD[:2])
    panel.spread_button.click()
    qtbot.waitUntil(lambda: len(bench.worker.requests) == 2, timeout=10_000)
    request = bench.worker.requests[-1]
    assert request["spread"]
    assert request["existing"] == "resume"
    assert request["store"] == str(bench.store)
    with AnalysisStore.open(bench.store) as store:
        assert set(np.unique(read_strokes(store).painted)) == {0, 3}
    assert not panel.spread_button.isEnabled()  # the run goes on


def test_an_ordinary_run_does_not_spread(bench, panel):
    bench.controller.run.start(bench_scope())
    assert not bench.worker.requests[-1]["spread"]


def test_strokes_of_another_slide_than_the_chosen_one_do_not_spread(bench, panel):
    bench.controller.current.fingerprint = "another"
    panel.spread_button.click()
    assert "Choose the slide's layer" in panel.verdict_label.text()
    assert not bench.state.busy


def test_a_refusal_to_spread_is_said(bench, panel, qtbot, said):
    paint(bench, SPREAD[:2])
    panel.spread_button.click()
    qtbot.waitUntil(lambda: len(bench.worker.requests) == 2, timeout=10_000)
    bench.worker.failed.emit(2, ConfigError("nobody painted here.", hint="Paint."))
    assert said == ["nobody painted here. Paint."]
    assert panel.spread_button.isEnabled()


def test_strokes_do_not_spread_where_the_run_starts_over(bench, panel, qtbot):
    paint(bench, SPREAD[:2])
    panel.spread_button.click()
    qtbot.waitUntil(lambda: len(bench.worker.requests) == 2, timeout=10_000)
    bench.worker.answered.emit(2, RunCancelled(2))
    bench.controller.run.run_again("revise")
    assert bench.worker.requests[-1]["existing"] == "revise"
    assert not bench.worker.requests[-1]["spread"]


def test_while_strokes_are_spread_the_rate_says_so(bench, panel):
    analysis = bench.controller.current
    bench.controller.run.start(bench_scope())
    bench.worker.answered.emit(2, PreparedAnalysis.of(replace(bench.opened(), spread=True)))
    assert analysis.spread
    bench.worker.answered.emit(2, RunCancelled(2))
    assert "strokes were spread" in bench.panels.rate.detail_label.text()


def test_it_says_what_is_there_and_what_to_paint(bench, panel, qtbot):
    assert panel.ask_button.isEnabled()
    paint(bench, SPREAD[:2])
    said = ask(bench, panel, qtbot)
    assert "2 places: necrosis 2" in said
    assert "there are 2" in said
    assert "without strokes: background, viable tumor, fibrosis" in said
    assert not panel.learn_button.isEnabled()
    panel.dismiss_button.click()
    assert panel.counts_label.text() == ""


def test_painting_over_what_is_right_counts_and_changes_no_label(bench, panel, qtbot):
    before = bench.controller.current.layer.data.copy()
    paint(bench, SPREAD[:3], SAID)
    assert np.array_equal(bench.controller.current.layer.data, before)
    assert "3 places: non-tumor tissue 3" in ask(bench, panel, qtbot)
    with AnalysisStore.open(bench.store) as store:
        assert (read_strokes(store).painted == SAID).sum() > 3 * 200


def test_what_was_confirmed_and_then_painted_over_is_no_confirmation(bench, panel, qtbot):
    paint(bench, SPREAD[:1], SAID)
    paint(bench, SPREAD[:1], 3, side=30)
    assert "1 place: necrosis 1" in ask(bench, panel, qtbot)


def test_learning_asks_the_engine_and_shows_how_far_it_is(bench, panel, qtbot):
    request = learn(bench, panel, qtbot)
    assert request["store"] == str(bench.store)
    assert (request["name"], request["lora"]) == ("mine", False)
    assert request["model"] == bench.state.model_name
    assert bench.state.busy
    assert not panel.ask_button.isEnabled()
    bench.answer(StageStarted("features", 40, "tiles"))
    bench.answer(Progressed("features", 10, 40))
    assert "looking at tiles: 10 of 40 tiles" in bench.state.progress.text
    assert "looking at tiles: 10 of 40 tiles" in panel.progress_label.text()  # beside the button
    bench.controller.run.start(bench_scope())  # no run meanwhile
    assert len(bench.worker.requests) == 2


def test_cancelling(bench, panel, qtbot):
    learn(bench, panel, qtbot)
    panel.cancel_button.click()
    assert bench.worker.cancelled == 1
    bench.worker.answered.emit(2, RunCancelled(2))
    assert not bench.state.busy
    assert panel.progress_label.text() == ""
    assert "nothing was learned" in bench.state.progress.text


def finished(bench, folder, words):
    summary = {"in_words": words, "accepted": folder is not None, "folder": folder}
    bench.worker.answered.emit(2, AdaptFinished(2, summary))


def test_what_is_better_is_taken_up_and_can_be_taken_back(bench, panel, qtbot):
    learn(bench, panel, qtbot)
    folder = str(write_tiny_model(adapters_folder() / "mine"))
    finished(bench, folder, "12 held-out sites: tiles 61 % → 84 %; used.")
    assert "61 % → 84 %" in panel.verdict_label.text()
    assert bench.state.model_name == folder
    request = bench.worker.requests[-1]  # the view, again
    assert len(bench.worker.requests) == 3
    assert (request["model"], request["existing"]) == (folder, "revise")
    assert request["region"] is not None
    assert not panel.back_button.isHidden()
    assert panel.use_button.isHidden()
    bench.worker.answered.emit(3, RunCancelled(3))
    panel.back_button.click()
    assert bench.state.model_name == "fddm-small"
    assert bench.worker.requests[-1]["model"] == "fddm-small"
    assert not panel.use_button.isHidden()
    assert panel.back_button.isHidden()
    bench.worker.answered.emit(4, RunCancelled(4))
    panel.use_button.click()
    assert bench.worker.requests[-1]["model"] == folder


def test_what_is_not_better_changes_nothing(bench, panel, qtbot):
    learn(bench, panel, qtbot)
    finished(bench, None, "12 held-out sites: tiles 61 % → 55 %; not used.")
    assert "not used" in panel.verdict_label.text()
    assert bench.state.model_name == "fddm-small"
    assert len(bench.worker.requests) == 2
    assert panel.use_button.isHidden()
    assert panel.back_button.isHidden()
    assert not bench.state.busy


def test_a_refusal_of_the_engine_is_said(bench, panel, qtbot, said):
    learn(bench, panel, qtbot)
    bench.worker.failed.emit(2, NotEnoughStrokesError("too few.", hint="Paint more."))
    assert not bench.state.busy
    assert panel.verdict_label.text() == "too few. Paint more."
    assert said == ["too few. Paint more."]


def test_a_late_answer_is_dropped(bench, panel, qtbot):
    learn(bench, panel, qtbot)
    bench.worker.answered.emit(1, AdaptFinished(1, {"in_words": "old", "accepted": False}))
    assert bench.state.busy


def test_confirmations_are_kept_when_the_window_closes(bench, panel):
    paint(bench, SPREAD[:2], SAID)
    bench.controller.close()
    with AnalysisStore.open(bench.store) as store:
        assert read_strokes(store).cells > 0
