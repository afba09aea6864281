"""An analysis whose event log is lost: the window asks, and does what was chosen."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.store.log_lines import LogMismatchError
from tests.support.stores import SHAPE, stored, stroke

pytestmark = pytest.mark.gui


@pytest.fixture
def lost(bench, qtbot):
    """A bench whose store lost its log, with the dialog open."""
    with AnalysisStore.open(bench.store, "r+") as store:
        store.corrections.append_edit(stroke(np.zeros(SHAPE, np.uint8), Window(9, 9, 9, 9), 3))
    (bench.store / "fddm" / "events.jsonl").unlink()
    bench.open_slide()
    bench.controller.run.open_store(bench.store)
    qtbot.waitUntil(lambda: bench.controller.lost_log.dialog is not None, timeout=30_000)
    return bench


def chosen(lost, qtbot, button):
    dialog = lost.controller.lost_log.dialog
    assert "is missing" in dialog.text.text()
    dialog.reader_edit.clear()  # the name of the last sign-off is proposed
    assert not button(dialog).isEnabled()
    dialog.reader_edit.setText("A. Bee")
    with qtbot.waitSignal(lost.controller.run.ready, timeout=30_000):
        button(dialog).click()
    assert lost.controller.lost_log.dialog is None
    return lost.controller.current.layer.data


def test_closing_the_dialog_changes_nothing(lost):
    before = stored(lost.store)
    lost.controller.lost_log.dialog.close_button.click()
    assert lost.controller.lost_log.dialog is None
    assert not (lost.store / "fddm" / "events.jsonl").exists()
    assert np.array_equal(stored(lost.store), before)
    with pytest.raises(LogMismatchError), AnalysisStore.open(lost.store) as store:
        store.labels("corrected")


def test_the_stored_map_is_shown_and_can_be_edited(lost, qtbot):
    labels = chosen(lost, qtbot, lambda dialog: dialog.from_map_button)
    assert (labels[9:18, 9:18] == 3).all()


def test_corrections_are_given_up(lost, qtbot):
    labels = chosen(lost, qtbot, lambda dialog: dialog.without_button)
    assert not labels.any()


def test_a_run_that_finds_it_asks_too(lost):
    lost.controller.lost_log.dialog.close_button.click()
    with AnalysisStore.open(lost.store) as store, pytest.raises(StoreError) as caught:
        store.log.last_seq  # noqa: B018
    from_engine = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert from_engine.store == lost.store
    lost.controller.run.start("slide")
    lost.worker.failed.emit(len(lost.worker.requests), from_engine)
    assert lost.controller.lost_log.dialog is not None
    assert not lost.state.busy
