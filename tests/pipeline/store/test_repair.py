"""The ways out of a log that is lost: a new one from the stored map, or one without corrections."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.errors import ConfigError, StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.outputs import store_report
from napari_fddm.pipeline.store import AnalysisStore, read_strokes, repair
from napari_fddm.pipeline.store.eventlog import StoreBusyError
from napari_fddm.pipeline.store.log_lines import LogMismatchError
from napari_fddm.pipeline.store.signoff import labels_sha256
from tests.support.stores import stored, stroke

HERE, THERE = Window(10, 10, 30, 30), Window(60, 60, 20, 20)


@pytest.fixture
def lost(finished):
    """A store with a stroke and an excluded part whose log is gone.

    Returns its path, the model's and the corrected labels.
    """
    path, automatic = finished
    labels = automatic.copy()
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.append_edit(stroke(labels, HERE, 3))
        store.corrections.append_edit(stroke(labels, THERE, 0))
    log = path / "fddm" / "events.jsonl"
    log.write_bytes(log.read_bytes()[:-300])
    return path, automatic, labels


def kinds(path):
    with AnalysisStore.open(path) as store:
        return [(record["kind"], record.get("reader")) for record in store.log.records()]


def test_a_log_in_order_has_no_fault_and_is_not_replaced(finished):
    path, _ = finished
    assert repair.log_fault(path) is None
    for begin in (repair.begin_from_map, repair.give_up_corrections):
        with pytest.raises(StoreError, match="in order"):
            begin(path, "kim")


def test_the_stored_map_becomes_the_beginning_and_replay_needs_nothing_else(lost):
    path, automatic, labels = lost
    old = (path / "fddm" / "events.jsonl").read_bytes()
    assert isinstance(repair.log_fault(path), LogMismatchError)
    kept = repair.begin_from_map(path, " A.  Bee ")
    assert (kept / "events.jsonl").read_bytes() == old
    assert (kept / "synced.json").exists()
    assert repair.log_fault(path) is None
    assert kinds(path) == [("begun_from_map", "A. Bee"), ("edit", "A. Bee")]
    with AnalysisStore.open(path) as store:
        assert np.array_equal(store.labels("corrected"), labels)
        assert np.array_equal(store.corrections.held_cells(), labels != automatic)
        painted = read_strokes(store).painted
        assert np.array_equal(painted, np.where(labels != automatic, labels, 0))
        (begun,) = store.log.records(repair.BEGUN_FROM_MAP)
        assert begun["maps"] == {"corrected": labels_sha256(labels)}
        assert any("map by A. Bee" in note for note in store_report(store)["notes"])
    (path / "fddm" / "synced.json").unlink()
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.append_edit(stroke(labels, Window(0, 0, 5, 5), 6))
    assert np.array_equal(stored(path), labels)


def test_corrections_are_given_up_only_in_words(lost):
    path, automatic, _ = lost
    kept = repair.give_up_corrections(path, "A. Bee")
    assert (kept / "events.jsonl").exists()
    assert kinds(path) == [("corrections_given_up", "A. Bee")]
    assert np.array_equal(stored(path), automatic)
    with AnalysisStore.open(path) as store:
        assert np.array_equal(store.labels("corrected"), automatic)
        assert any("given up" in note for note in store_report(store)["notes"])


def test_a_map_of_older_labels_of_the_model_is_no_beginning(finished):
    path, labels = finished
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.append_edit(stroke(labels, HERE, 3))
    killed = AnalysisStore.open(path, "r+")
    killed.maps.begin()
    killed.maps.release()
    (path / "fddm" / "events.jsonl").unlink()
    with pytest.raises(StoreError, match="older labels"):
        repair.begin_from_map(path, "kim")
    assert not (path / "fddm" / "events.jsonl").exists()
    assert isinstance(repair.log_fault(path), LogMismatchError)
    repair.give_up_corrections(path, "kim")


@pytest.mark.parametrize("begin", [repair.begin_from_map, repair.give_up_corrections])
def test_nothing_is_begun_without_a_name_or_while_somebody_writes(lost, begin):
    path, _, _ = lost
    log = (path / "fddm" / "events.jsonl").read_bytes()
    with pytest.raises(ConfigError, match="name"):
        begin(path, " ")
    with repair._locked(path), pytest.raises(StoreBusyError):
        begin(path, "kim")
    assert (path / "fddm" / "events.jsonl").read_bytes() == log


def test_a_crash_before_the_end_leaves_a_log_that_is_refused(lost, monkeypatch):
    path, _, labels = lost

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(repair, "write_synced", killed)
        with pytest.raises(KeyboardInterrupt):
            repair.begin_from_map(path, "kim")
    assert isinstance(repair.log_fault(path), LogMismatchError)
    repair.begin_from_map(path, "kim")
    assert np.array_equal(stored(path), labels)
