"""Strokes on full and read-only disks, beside rivals, and after crashes."""

from __future__ import annotations

import errno
import itertools

import numpy as np
import pytest

from napari_fddm.core.edits import Edit
from napari_fddm.pipeline.outputs.report import compute_store_report
from napari_fddm.pipeline.store import AnalysisStore, LogRecord, layout, rescue
from napari_fddm.pipeline.store.corrections import Corrections
from napari_fddm.pipeline.store.estimates import estimate_record, read_estimate
from napari_fddm.pipeline.store.signoff import sign_off
from napari_fddm.pipeline.store.tumor_bed import polygons_of, tumor_bed_record
from napari_fddm.plugin.document import store_writer as writer_module
from napari_fddm.plugin.document.store_writer import StoreWriter
from tests.plugin.document.test_store_writer import Painter, stored
from tests.support.disks import Faults, small_disk
from tests.support.leaks import leftovers
from tests.support.stores import SHAPE, make

pytestmark = pytest.mark.gui

FINGERPRINT = "abc"


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    """Retry soon, and rescue into a folder of the test."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(rescue.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    monkeypatch.setattr(writer_module, "RETRY_SECONDS", 0.1)


class FaultyDisk:
    def __init__(self, faults):
        self._faults = faults

    def fill(self):
        self._faults.on = True

    def free(self):
        self._faults.on = False


@pytest.fixture(params=["real", "write", "fsync"])
def disk_and_store(request, tmp_path, monkeypatch):
    """A disk that can be filled, and a store on it."""
    folder = tmp_path / "disk"
    if request.param == "real":
        with small_disk(folder) as disk:
            make(folder / "s.fddm.ome.zarr").close()
            yield disk, folder / "s.fddm.ome.zarr"
    else:
        folder.mkdir()
        make(folder / "s.fddm.ome.zarr").close()
        yield FaultyDisk(Faults(monkeypatch, folder, request.param)), folder / "s.fddm.ome.zarr"


class Watched:
    """A writer, everything it says, and strokes for it."""

    def __init__(self, path, **options):
        self.writer = StoreWriter(path, fingerprint=FINGERPRINT, **options)
        self.painter, self.states, self.failures = Painter(), [], []
        self.writer.changed.connect(self.states.append)
        self.writer.failed.connect(self.failures.append)
        self._places = itertools.count()

    def paint(self, value=3, tool="paint"):
        place = next(self._places)
        self.writer.append(self.painter.spray(5 * place % 100, 7 * place % 100, value, tool))

    @property
    def problems(self):
        return [state.problem for state in self.states if state.problem]


def wait_for(qtbot, watched, condition):
    qtbot.waitUntil(lambda: bool(condition(watched.writer.state)), timeout=10_000)


def test_a_full_disk_is_said_at_once_and_nothing_is_lost(disk_and_store, qtbot):
    disk, path = disk_and_store
    watched = Watched(path)
    watched.paint()
    assert watched.writer.flush()
    disk.fill()
    for i in range(6):
        watched.paint(2 + i % 3)
        wait_for(qtbot, watched, lambda state: state.problem)
    assert "disk is full" in watched.writer.state.problem
    assert watched.writer.state.waiting > 0
    disk.free()
    wait_for(qtbot, watched, lambda state: not state.problem and not state.waiting)
    assert watched.writer.flush()
    assert np.array_equal(stored(path)[0], watched.painter.labels)
    assert watched.writer.close() == ""
    assert leftovers(path) == {}


def test_closing_on_a_full_disk_leaves_a_rescue_file_that_comes_back(disk_and_store, qtbot):
    disk, path = disk_and_store
    first = Watched(path)
    first.paint()
    assert first.writer.flush()
    kept = first.painter.labels.copy()
    disk.fill()
    first.paint(5)
    first.paint(6, "erase")
    said = first.writer.close()
    (place,) = rescue.find_rescues(FINGERPRINT)
    assert "NOT SAVED" in said
    assert str(place) in said
    disk.free()

    second = Watched(path)
    with qtbot.waitSignal(second.writer.rescued, timeout=10_000) as found:
        second.writer.begin()
    edits, file = found.args
    assert file == place
    for edit in edits:
        edit.apply(kept)
    assert np.array_equal(kept, first.painter.labels)
    second.writer.close()


def test_outlines_and_estimates_are_rescued_in_their_order(disk_and_store, qtbot):
    disk, path = disk_and_store
    first = Watched(path)
    first.writer.begin()
    assert first.writer.flush()
    disk.fill()
    corners = np.array([[0.0, 0.0], [0.0, 90.0], [80.0, 90.0]])
    first.paint(5)
    first.writer.record(tumor_bed_record([corners]))
    first.paint(5)
    first.writer.record(estimate_record(0.4, definition="strict"))
    first.writer.run_when_logged(lambda store: sign_off(store, "AB", compute_store_report(store)))
    said = first.writer.close()
    assert "strokes, tumor bed, estimate" in said
    disk.free()

    second = Watched(path)
    with qtbot.waitSignal(second.writer.rescued, timeout=10_000) as found:
        second.writer.begin()
    entries, place = found.args
    kinds = ["edit" if isinstance(e, Edit) else e.kind for e in entries]
    assert kinds == ["edit", "tumor_bed", "edit", "estimate"]
    assert np.array_equal(polygons_of(entries[1].fields)[0], corners)
    for entry in entries:  # as the window does
        second.writer.append(entry) if isinstance(entry, Edit) else second.writer.record(entry)
    second.writer.remove_rescue(place)
    assert second.writer.close() == ""
    assert not place.exists()
    with AnalysisStore.open(path) as store:
        logged = [record["kind"] for record in store.log.records()]
        assert logged[-len(kinds) :] == kinds  # an fsync that failed may have left the first
        assert read_estimate(store) == 0.4
        assert np.array_equal(store.labels("corrected"), first.painter.labels)


def test_what_is_rescued_twice_lies_in_one_file(tmp_path, qtbot, monkeypatch):
    path = tmp_path / "s.fddm.ome.zarr"
    make(path).close()
    faults = Faults(monkeypatch, tmp_path, "write")
    older = rescue.write_rescue([estimate_record(0.4, definition="fddm")], FINGERPRINT, path)
    watched = Watched(path)
    with qtbot.waitSignal(watched.writer.rescued, timeout=10_000) as found:
        watched.writer.begin()
    faults.on = True
    monkeypatch.setattr(rescue, "workspace_folder", lambda: tmp_path.parent / "other" / "x")
    (record,), place = found.args
    watched.writer.record(record)
    watched.writer.remove_rescue(place)
    watched.writer.close()
    (newer,) = rescue.find_rescues(FINGERPRINT)
    assert newer != older
    assert rescue.read_rescue(newer, SHAPE) == [record]


def test_an_outline_that_was_replaced_since_does_not_come_back(tmp_path, qtbot):
    path = tmp_path / "s.fddm.ome.zarr"
    make(path).close()
    old = LogRecord("tumor_bed", {"layer": "corrected", "polygons": []}, "2020-01-01T00:00:00.000")
    estimate = estimate_record(0.4, definition="fddm")
    rescue.write_rescue([old, estimate], FINGERPRINT, path)
    with AnalysisStore.open(path, "r+") as store:
        store.records.append(tumor_bed_record([np.ones((3, 2))]))
    watched = Watched(path)
    with qtbot.waitSignal(watched.writer.rescued, timeout=10_000) as found:
        watched.writer.begin()
    assert found.args[0] == [estimate]
    watched.writer.close()


def test_a_disk_that_never_answers_does_not_hold_the_window(tmp_path, qtbot, monkeypatch):
    path = tmp_path / "s.fddm.ome.zarr"
    make(path).close()
    watched = Watched(path)
    watched.paint()
    assert watched.writer.flush()
    answers = writer_module.threading.Event()
    monkeypatch.setattr(Corrections, "log_edits", lambda *_, **__: answers.wait())
    watched.paint(4)
    said = watched.writer.close(timeout=0.3)
    answers.set()
    assert "does not answer" in said
    assert "strokes" in said
    assert rescue.find_rescues(FINGERPRINT)


def test_a_read_only_store_says_so_and_can_be_exported(tmp_path, qtbot):
    with small_disk(tmp_path / "disk") as disk:
        path = disk.folder / "s.fddm.ome.zarr"
        make(path).close()
        disk.set_read_only(True)
        watched = Watched(path)
        watched.writer.begin()
        wait_for(qtbot, watched, lambda state: "cannot be written" in state.locked)
        assert watched.problems == []
        with qtbot.waitSignal(watched.writer.exported, timeout=60_000):
            watched.writer.export(tmp_path / "copy.ome.zarr")
        disk.set_read_only(False)
        wait_for(qtbot, watched, lambda state: not state.locked)
        watched.writer.close()
        assert leftovers(path) == {}


def test_a_disk_that_becomes_read_only_keeps_strokes_in_memory(tmp_path, qtbot, monkeypatch):
    path = tmp_path / "s.fddm.ome.zarr"
    make(path).close()
    faults = Faults(monkeypatch, tmp_path, "write", errno.EROFS)
    watched = Watched(path)
    watched.paint()
    assert watched.writer.flush()
    faults.on = True
    watched.paint(4)
    wait_for(qtbot, watched, lambda state: "ead-only" in state.problem)
    assert not watched.writer.state.locked
    faults.on = False
    wait_for(qtbot, watched, lambda state: not state.waiting)
    watched.writer.close()
    assert np.array_equal(stored(path)[0], watched.painter.labels)


def test_the_second_writer_waits_and_then_sees_what_the_first_left(tmp_path, qtbot):
    path = tmp_path / "s.fddm.ome.zarr"
    make(path).close()
    first, second = Watched(path), Watched(path, seq=0)
    first.paint()
    assert first.writer.flush()
    second.writer.begin()
    wait_for(qtbot, second, lambda state: "another window" in state.locked)
    first.paint(6)
    with qtbot.waitSignal(second.writer.reread, timeout=10_000) as seen:
        first.writer.close()
    assert np.array_equal(seen.args[0].corrected, first.painter.labels)
    wait_for(qtbot, second, lambda state: not state.locked)
    second.writer.close()
    assert leftovers(path) == {}


def test_edits_made_before_the_lock_was_ours_are_told_from_the_log(tmp_path, qtbot):
    path = tmp_path / "s.fddm.ome.zarr"
    make(path).close()
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.append_edit(Painter().stroke(3, 3, 4))
    late = Watched(path, seq=0)  # read before that edit
    with qtbot.waitSignal(late.writer.reread, timeout=10_000) as seen:
        late.writer.begin()
    assert seen.args[0].corrected.any()
    late.writer.close()


def test_a_long_job_of_the_store_holds_no_stroke_back(tmp_path, qtbot):
    path = tmp_path / "s.fddm.ome.zarr"
    make(path).close()
    watched = Watched(path)
    go_on = writer_module.threading.Event()
    watched.writer._store_thread.submit(go_on.wait)  # an export, say
    watched.paint()
    wait_for(qtbot, watched, lambda _: AnalysisStore.open(path).log.last_seq == 1)
    assert np.array_equal(stored(path)[0], watched.painter.labels)
    go_on.set()
    watched.writer.close()


def test_an_export_holds_what_a_full_disk_did_not_take(disk_and_store, tmp_path, qtbot):
    disk, path = disk_and_store
    watched = Watched(path)
    disk.fill()
    watched.paint(5)
    wait_for(qtbot, watched, lambda state: state.problem)
    copy = tmp_path / "stick" / "copy.ome.zarr"
    with qtbot.waitSignal(watched.writer.exported, timeout=60_000):
        watched.writer.export(copy)
    assert np.array_equal(stored(copy)[0], watched.painter.labels)
    disk.free()
    watched.writer.close()


def test_an_outline_is_tried_again_and_a_signature_is_not(disk_and_store, qtbot):
    disk, path = disk_and_store
    watched = Watched(path)
    watched.writer.begin()
    assert watched.writer.flush()
    disk.fill()
    watched.writer.record(LogRecord("note", {"text": "outline"}))
    watched.writer.run_when_logged(lambda store: sign_off(store, "AB", compute_store_report(store)))
    qtbot.waitUntil(lambda: bool(watched.failures), timeout=10_000)
    disk.free()
    wait_for(qtbot, watched, lambda state: not state.waiting)
    watched.writer.close()
    with AnalysisStore.open(path) as store:
        assert [record["kind"] for record in store.log.records()] == ["note"]


@pytest.mark.parametrize("torn", [False, True])
def test_a_crash_between_log_and_map_loses_nothing(tmp_path, torn):
    path = tmp_path / "s.fddm.ome.zarr"
    make(path).close()
    painter = Painter()
    store = AnalysisStore.open(path, "r+")
    store.corrections.log_edits([painter.stroke(5, 5, 3), painter.stroke(30, 30, 4, "fill")])
    store.log._lock.release()  # as if the process had died: the map is behind the log
    if torn:
        with (path / layout.OURS / layout.EVENTS).open("ab") as file:
            file.write(b'{"seq":3,"time":"2026-01-01T00:00:00.000+00:00","kind":"ed')
    watched = Watched(path)
    watched.painter = painter
    assert np.array_equal(stored(path)[0], painter.labels)
    watched.paint(6)
    watched.writer.close()
    labels, tools = stored(path)
    assert np.array_equal(labels, painter.labels)
    assert tools == ["paint", "fill", "paint"]


def test_a_damaged_log_is_said_before_anybody_paints(tmp_path, qtbot):
    path = tmp_path / "s.fddm.ome.zarr"
    make(path).close()
    events = path / layout.OURS / layout.EVENTS
    events.write_text('{"seq":7}\n{"seq":8}\n')
    watched = Watched(path)
    watched.writer.begin()
    wait_for(qtbot, watched, lambda state: "damaged" in state.problem)
    events.unlink()  # somebody restores it: noticed without a stroke
    wait_for(qtbot, watched, lambda state: not state.problem)
    watched.writer.close()
