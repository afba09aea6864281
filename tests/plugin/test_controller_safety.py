"""Locks, signatures, rivals and losses, as the window handles them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.settings import get_settings
from qtpy.QtWidgets import QWidget

from napari_fddm.core.edits import difference
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.outputs import opened_event
from napari_fddm.pipeline.store import AnalysisStore, rescue
from napari_fddm.pipeline.store.estimates import read_estimate
from napari_fddm.pipeline.store.tumor_bed import read_tumor_bed
from napari_fddm.plugin.controller import Controller
from napari_fddm.plugin.controllers import saving, signoff
from napari_fddm.plugin.document import store_writer
from napari_fddm.plugin.document.prepared_analysis import PreparedAnalysis
from napari_fddm.plugin.layers.slides import slide_layer_data
from napari_fddm.plugin.panels import Panels
from napari_fddm.plugin.state.window_state import PluginState, Scope
from napari_fddm.slides import open_slide
from tests.support.controllers import URI, FakeWorker
from tests.support.leaks import leftovers

pytestmark = pytest.mark.gui

CELLS = (np.array([10, 11]), np.array([20, 20]))


@pytest.fixture(autouse=True)
def told(monkeypatch, tmp_path):
    """Everything that is said; quick retries; rescue files in a folder of the test."""
    messages = []
    for module, names in (
        (saving, ("show_info", "show_error")),
        (signoff, ("show_info", "show_warning")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, messages.append)
    monkeypatch.setattr(get_settings().experimental, "async_", False)  # there is no canvas
    monkeypatch.setattr(saving, "warn", lambda _window, text: messages.append(text))
    monkeypatch.setattr(store_writer, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(rescue.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    monkeypatch.setattr(
        "napari_fddm.plugin.controllers.run.show_error", lambda text: messages.append(text)
    )
    return messages


class Viewer:
    """One more window on the bench's store, opened without a run."""

    def __init__(self, qtbot, store):
        self.viewer, self.state, self.parent = ViewerModel(), PluginState(), QWidget()
        qtbot.addWidget(self.parent)
        self.panels = Panels.build(self.parent)
        self.controller = Controller(
            self.viewer, self.state, self.panels, parent=self.parent, worker=FakeWorker()
        )
        data, options, _ = slide_layer_data(open_slide(URI), URI)
        self.viewer.add_image(data, **options)
        with AnalysisStore.open(store) as opened:
            self.controller.run._on_opener_opened(PreparedAnalysis.of(opened_event(opened)))
        self.analysis.layer.set_view_slice()  # a canvas would have asked for it

    @property
    def analysis(self):
        return self.controller.current


@pytest.fixture
def window(bench, qtbot):
    window = Viewer(qtbot, bench.store)
    yield window
    window.controller.close()


def sign(window, qtbot, reader="A. Bee"):
    window.panels.signoff.set_reader(reader)
    window.panels.signoff.sign_confirmed.emit(reader)
    qtbot.waitUntil(lambda: window.analysis.sign_off is not None, timeout=10_000)


def test_a_signed_analysis_takes_no_stroke_no_undo_no_run(window, bench, qtbot, told):
    analysis = window.analysis
    layer = analysis.layer
    layer.data_setitem(CELLS, 3)
    sign(window, qtbot)
    before = layer.data.copy()
    told.clear()
    layer.data_setitem(CELLS, 5)
    layer.undo()
    layer.paint((50, 50), 2)
    layer.paint((10, 20), 0)
    layer.fill((50, 50), 2)
    layer.mode = "paint"
    assert str(layer.mode) == "pan_zoom"
    layer.visible = False
    layer.visible = True
    layer.refresh()
    assert not layer.editable
    assert np.array_equal(layer.data, before)
    assert len(told) >= 4
    assert all("signed off by A. Bee" in text for text in told)
    assert "signed off by A. Bee" in window.panels.signoff.state_label.text()
    assert window.panels.signoff.button.text() == "Unlock…"
    with AnalysisStore.open(bench.store) as store:
        assert np.array_equal(store.labels("corrected"), before)


def test_unlocking_is_logged_and_frees_the_layer(window, bench, qtbot):
    sign(window, qtbot)
    window.panels.signoff.unlock_confirmed.emit("C. Dee")
    qtbot.waitUntil(lambda: window.analysis.sign_off is None, timeout=10_000)
    window.analysis.layer.data_setitem(CELLS, 4)
    assert (window.analysis.layer.data[CELLS] == 4).all()
    assert window.analysis.writer.flush()
    with AnalysisStore.open(bench.store) as store:
        kinds = [(r["kind"], r["reader"]) for r in store.log.records()]
    assert kinds == [("sign_off", "A. Bee"), ("unlock", "C. Dee"), ("edit", "")]


def test_the_lock_comes_back_and_changed_labels_are_told(window, bench, qtbot, told):
    sign(window, qtbot)
    window.controller.close()
    again = Viewer(qtbot, bench.store)
    assert "signed off by A. Bee" in again.analysis.layer.lock_reason
    assert "WARNING" not in again.panels.signoff.state_label.text()
    labels = np.zeros(again.analysis.layer.data.shape, np.uint8)
    again.controller.close()
    changed = labels.copy()
    changed[CELLS] = 6
    edit = difference(labels, changed, Window(0, 0, *labels.shape))
    with AnalysisStore.open(bench.store, "r+") as store:
        store.log.append("edit", layer="corrected", reader="", edit=edit.to_record())
    forged = Viewer(qtbot, bench.store)
    assert "WARNING" in forged.panels.signoff.state_label.text()
    assert any("not those that were signed" in text for text in told)
    forged.controller.close()


def test_a_run_of_a_signed_slide_is_one_sentence(bench, qtbot, told):
    bench.start()
    bench.controller.run._end("")
    sign_off = {"reader": "A. Bee"}
    bench.panels.signoff.sign_confirmed.emit(sign_off["reader"])
    qtbot.waitUntil(lambda: bench.controller.current.sign_off is not None, timeout=10_000)
    bench.controller.current.fingerprint = bench.state.slide.fingerprint
    told.clear()
    bench.controller.run.start(Scope.SLIDE)
    assert len(bench.worker.requests) == 1
    assert len(told) == 1
    assert "signed off by A. Bee" in told[0]


def test_nobody_signs_a_rate_that_is_hidden(window, told):
    window.state.estimate_first = True
    window.panels.signoff.sign_confirmed.emit("A. Bee")
    assert "estimate first" in told[-1]
    assert window.analysis.sign_off is None
    assert not window.analysis.layer.lock_reason


def test_a_second_viewer_is_read_only_until_the_first_closes(window, bench, qtbot, told):
    window.analysis.layer.data_setitem(CELLS, 3)
    assert window.analysis.writer.flush()
    second = Viewer(qtbot, bench.store)
    analysis = second.analysis
    qtbot.waitUntil(lambda: bool(analysis.layer.lock_reason), timeout=10_000)
    assert any("another window" in text for text in told)
    assert "Read-only" in second.panels.rate.saved_label.text()
    assert not second.panels.signoff.button.isEnabled()
    analysis.layer.data_setitem((np.array([90]), np.array([90])), 6)
    assert not analysis.layer.data[90, 90]
    window.analysis.layer.data_setitem((np.array([30]), np.array([30])), 5)
    window.controller.close()
    qtbot.waitUntil(lambda: not analysis.layer.lock_reason, timeout=10_000)
    assert analysis.layer.data[30, 30] == 5  # what the first did meanwhile
    assert analysis.tracker.counts[5] == 1
    assert not analysis.layer._undo_history
    analysis.layer.data_setitem((np.array([90]), np.array([90])), 6)
    second.controller.close()
    with AnalysisStore.open(bench.store) as store:
        labels = store.labels("corrected")
    assert [labels[10, 20], labels[30, 30], labels[90, 90]] == [3, 5, 6]
    assert leftovers(bench.store) == {}


def test_what_could_not_be_saved_is_told_on_closing_and_comes_back(
    window, bench, qtbot, told, monkeypatch
):
    layer = window.analysis.layer
    layer.data_setitem(CELLS, 3)
    assert window.analysis.writer.flush()
    painted = layer.data.copy()
    with monkeypatch.context() as patch:
        patch.setattr("napari_fddm.pipeline.store.eventlog._write_at", _full)
        layer.data_setitem((np.array([60, 61]), np.array([70, 70])), 6)
        qtbot.waitUntil(
            lambda: "NOT SAVED" in window.panels.rate.saved_label.text(), timeout=10_000
        )
        painted = layer.data.copy()
        window.controller.close()
    assert "come back" in told[-1]
    again = Viewer(qtbot, bench.store)
    qtbot.waitUntil(lambda: bool(again.analysis.layer.data[60, 70]), timeout=10_000)
    differing = np.argwhere(again.analysis.layer.data != painted)
    assert not len(differing), differing
    assert again.analysis.tracker.counts[6] == 2
    assert again.analysis.writer.flush()
    assert rescue.find_rescues(bench.fingerprint) == []
    again.controller.close()
    with AnalysisStore.open(bench.store) as store:
        assert np.array_equal(store.labels("corrected"), painted)


def test_outline_and_estimate_of_a_full_disk_come_back_drawn_and_counted(
    window, bench, qtbot, told, monkeypatch
):
    window.analysis.fingerprint = window.state.slide.fingerprint
    assert window.analysis.writer.flush()
    corners = np.array([[0, 0], [0, 900], [800, 900], [800, 0]], float)
    with monkeypatch.context() as patch:
        patch.setattr("napari_fddm.pipeline.store.eventlog._write_at", _full)
        window.panels.rate.estimate_entered.emit(0.4)
        window.panels.rate.outline_clicked.emit()
        window.viewer.layers.selection.active.add_polygons([corners])
        window.controller.close()  # before the outline has settled
    assert "estimate" in told[-1]
    assert "tumor bed" in told[-1]
    again = Viewer(qtbot, bench.store)
    qtbot.waitUntil(lambda: again.analysis.estimate == 0.4, timeout=10_000)
    assert np.allclose(again.analysis.tumor_bed[0], corners + 0.5)
    assert again.analysis.tracker.bed_counts is not None
    assert again.analysis.writer.flush()
    again.controller.close()
    assert rescue.find_rescues(bench.fingerprint) == []
    with AnalysisStore.open(bench.store) as store:
        assert read_estimate(store) == 0.4
        assert np.allclose(read_tumor_bed(store)[0], corners + 0.5)


def test_an_outline_of_the_first_window_stays_when_the_second_takes_over(
    bench, qtbot, told, monkeypatch
):
    slide = open_slide(URI)
    monkeypatch.setattr(
        "tests.plugin.test_controller_safety.opened_event",
        lambda store, event=opened_event: replace(
            event(store), slide={"fingerprint": slide.fingerprint}
        ),
    )
    first = Viewer(qtbot, bench.store)
    qtbot.waitUntil(lambda: first.analysis.writer.flush(), timeout=10_000)
    second = Viewer(qtbot, bench.store)
    qtbot.waitUntil(lambda: bool(second.analysis.layer.lock_reason), timeout=10_000)
    corners = np.array([[0, 0], [0, 900], [800, 900], [800, 0]], float)
    first.panels.rate.outline_clicked.emit()
    first.viewer.layers.selection.active.add_polygons([corners])
    first.controller.close()
    qtbot.waitUntil(lambda: bool(second.analysis.tumor_bed), timeout=10_000)
    second.viewer.layers.remove(second.analysis.patch_layer)  # anything that lets outlines settle
    second.controller.tumor_bed.settle()
    assert np.allclose(second.analysis.tumor_bed[0], corners + 0.5)
    second.controller.close()
    with AnalysisStore.open(bench.store) as store:
        assert np.allclose(read_tumor_bed(store)[0], corners + 0.5)


def test_a_problem_is_said_once_and_so_is_its_end(window, qtbot, told, monkeypatch):
    label = window.panels.rate.saved_label
    with monkeypatch.context() as patch:
        patch.setattr("napari_fddm.pipeline.store.eventlog._write_at", _full)
        for i in range(5):
            window.analysis.layer.data_setitem((np.array([i]), np.array([i])), 2)
            qtbot.waitUntil(lambda: "NOT SAVED" in label.text(), timeout=10_000)
            qtbot.wait(30)
        assert len([text for text in told if "Not saved" in text]) == 1
    qtbot.waitUntil(lambda: label.text() == saving.SAVED, timeout=10_000)
    # The label shows how it is now, and may be a turn ahead of what is said of a change.
    qtbot.waitUntil(lambda: any("Saved again" in text for text in told), timeout=10_000)
    qtbot.wait(100)
    assert len([text for text in told if "Saved again" in text]) == 1


def _full(*_):
    raise OSError(28, "No space left on device")
