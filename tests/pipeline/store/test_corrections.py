from __future__ import annotations

import errno
import logging
import subprocess
import sys

import numpy as np
import pytest
import zarr

from napari_fddm.core.edits import ShadowCounter, difference
from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.interop import validation
from napari_fddm.interop.pyramids import mode_halved
from napari_fddm.pipeline.outputs import opened_event
from napari_fddm.pipeline.store import AnalysisStore, eventlog
from napari_fddm.pipeline.store.eventlog import StoreBusyError
from tests.support.stores import (
    SHAPE,
    every_tile,
    make,
    random_labels,
    refine_all,
    replay,
    stored,
    stroke,
    write_tiles,
)


def in_other_process(code, *arguments):
    start = (
        "import os, sys; from pathlib import Path; import numpy as np\n"
        "from napari_fddm.core.geometry import Window\n"
        "from napari_fddm.pipeline.store.analysis_store import AnalysisStore\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", start + code, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


def test_edits_are_stored_replayed_and_shown_by_every_level(finished):
    path, labels = finished
    with AnalysisStore.open(path, "r+") as store:
        counter = ShadowCounter(labels, 7)
        for step, window in enumerate((Window(3, 4, 9, 50), Window(-5, 190, 40, 700))):
            labels[window.clipped(SHAPE).slices] = step + 2
            edit = counter.update(labels, window)
            assert edit is not None
            store.corrections.append_edit(edit, reader="A")
            store.corrections.append_edit(edit.inverted(), reader="A")
            store.corrections.append_edit(edit.inverted().inverted("redo"), reader="A")
        assert np.array_equal(store.labels("corrected"), labels)
        assert np.array_equal(replay(store), labels)
    validation.validate(path)
    assert np.array_equal(stored(path), labels)
    assert np.array_equal(stored(path, level=1), mode_halved(labels))
    tools = [r["edit"]["tool"] for r in AnalysisStore.open(path).log.records("edit")]
    assert tools == ["paint", "undo", "redo"] * 2


def test_write_corrected_logs_exactly_what_changed(finished):
    path, labels = finished
    with AnalysisStore.open(path, "r+") as store:
        window = Window(-2, -3, 10, 12)
        patch = np.full((10, 12), 6, np.uint8)
        store.corrections.write(window, patch, tool="import", reader="B")
        store.corrections.write(window, patch)  # nothing new
        store.corrections.write(Window(9999, 0, 10, 12), patch)  # outside
        records = list(store.log.records())
        assert len(records) == 1
        assert (records[0]["reader"], records[0]["edit"]["tool"]) == ("B", "import")
        assert records[0]["edit"]["cells"] == int((labels[:8, :9] != 6).sum())
        labels[:8, :9] = 6
        assert np.array_equal(replay(store), labels)
        assert np.array_equal(stored(path), labels)


def replayed(automatic, edits):
    labels = automatic.copy()
    for edit in edits:
        edit.apply(labels, automatic)
    return labels


@pytest.mark.parametrize("seed", range(6))
def test_the_corrected_map_always_is_automatic_plus_edits(tmp_path, seed):
    rng = np.random.default_rng(seed)
    path = tmp_path / "random.fddm.ome.zarr"
    automatic, edits = np.zeros(SHAPE, np.uint8), []
    store = make(path)
    for _ in range(25):
        action = rng.choice(["edit", "edit", "edit", "write", "run", "close", "crash"])
        window = Window(*(int(n) for n in rng.integers([-9, -9, 1, 1], [*SHAPE, 90, 90])))
        expected = replayed(automatic, edits)
        if action in ("edit", "write"):
            before = expected.copy()
            expected[window.clipped(SHAPE).slices] = rng.integers(0, 8)
            edit = difference(before, expected, window)
            if edit is not None and action == "write":
                edit = edit.following(automatic[edit.window.slices][edit.mask()])
            if edit is not None and action == "edit":
                store.corrections.append_edit(edit)
            inside = window.clipped(SHAPE)
            if action == "write":
                store.corrections.write(inside, expected[inside.slices])
            edits += [edit] if edit is not None else []
        elif action == "run":
            automatic = random_labels(rng)
            refine_all(store, automatic)
            if rng.random() < 0.5:
                store.finish(complete=bool(rng.random() < 0.5))
            expected = replayed(automatic, edits)
        elif action == "close":
            store.close()
            assert np.array_equal(stored(path), expected)
            store = AnalysisStore.open(path, "r+")
        else:  # a crash: locks end, nothing else happens
            store.log._lock and store.log._lock.release()
            store.maps.release()
            store = AnalysisStore.open(path, "r+")
        assert np.array_equal(store.labels("corrected"), expected)
        assert np.array_equal(replay(store), expected)
        with AnalysisStore.open(path) as other:
            assert np.array_equal(other.labels("corrected"), expected)
    store.close()
    validation.validate(path)
    assert np.array_equal(stored(path), expected)


def test_after_a_crash_the_log_wins(finished):
    path, labels = finished
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.append_edit(stroke(labels, Window(0, 0, 30, 30), 2))
    code = (
        "store = AnalysisStore.open(Path(sys.argv[1]), 'r+')\n"
        "store.corrections.write(Window(50, 60, 20, 20), np.full((20, 20), 3, np.uint8))\n"
        "os._exit(9)\n"
    )
    assert in_other_process(code, path)[0] == 9
    # The last stroke's array write is lost, as if the process had died before it.
    zarr.open_array(path / "labels" / "corrected" / "0", mode="r+")[50:70, 60:80] = 1
    labels[50:70, 60:80] = 3
    with AnalysisStore.open(path) as store:
        assert np.array_equal(store.labels("corrected"), labels)
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.sync()
        assert np.array_equal(stored(path), labels)
    assert np.array_equal(stored(path, level=1), mode_halved(labels))


def crash(store):
    """End an editor as a kill does: its locks are gone, nothing else happens."""
    store.log._lock.release()


def test_a_torn_log_line_costs_only_itself(finished):
    path, labels = finished
    store = AnalysisStore.open(path, "r+")
    store.corrections.append_edit(stroke(labels, Window(0, 0, 30, 30), 2))
    kept = labels.copy()
    store.corrections.append_edit(stroke(labels, Window(40, 40, 30, 30), 5))
    crash(store)
    log = path / "fddm" / "events.jsonl"
    log.write_bytes(log.read_bytes()[:-20])
    with AnalysisStore.open(path, "r+") as store:
        assert np.array_equal(store.labels("corrected"), kept)
        store.corrections.append_edit(stroke(kept, Window(9, 9, 3, 3), 7))
        assert np.array_equal(store.labels("corrected"), kept)
    assert np.array_equal(stored(path), kept)


def test_a_damaged_log_is_refused_and_left_alone(finished):
    path, labels = finished
    with AnalysisStore.open(path, "r+") as store:
        for value in (2, 3, 4):
            store.corrections.append_edit(stroke(labels, Window(0, 0, 30, 30), value))
    log = path / "fddm" / "events.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0] + b"garbage\n" + lines[2])
    before = log.read_bytes()
    store = AnalysisStore.open(path, "r+")
    edit = stroke(labels, Window(0, 0, 30, 30), 5)
    for action in (
        store.corrections.sync,
        lambda: store.labels("corrected"),
        lambda: store.corrections.append_edit(edit),
        store.close,  # a stroke is lost: that is said
    ):
        with pytest.raises(StoreError, match="line 2"):
            action()
    assert log.read_bytes() == before


@pytest.mark.parametrize("doomed", ["log", "array"])
def test_a_full_disk_loses_no_stroke_while_the_program_lives(finished, monkeypatch, doomed):
    path, labels = finished
    store = AnalysisStore.open(path, "r+")
    store.corrections.sync()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    target = (eventlog, "_write_at") if doomed == "log" else (zarr.Array, "__setitem__")
    with monkeypatch.context() as patch:
        patch.setattr(*target, full)
        with pytest.raises(StoreError, match="No space left"):
            store.corrections.append_edit(stroke(labels, Window(0, 0, 30, 30), 2))
        assert store.log.pending == (1 if doomed == "log" else 0)
        assert np.array_equal(store.labels("corrected"), labels)
    store.corrections.append_edit(stroke(labels, Window(40, 40, 30, 30), 5))
    assert store.log.pending == 0
    assert np.array_equal(store.labels("corrected"), labels)
    store.close()
    assert np.array_equal(stored(path), labels)


def test_impossible_edits_are_refused_before_they_are_logged(finished):
    path, labels = finished
    with AnalysisStore.open(path, "r+") as store:
        with pytest.raises(StoreError, match="beyond"):
            store.corrections.append_edit(stroke(labels.copy(), Window(0, 0, 3, 3), 8))
        with pytest.raises(StoreError, match="does not fit"):
            store.corrections.append_edit(stroke(np.zeros((5, 5), np.uint8), Window(0, 0, 3, 3), 1))
        for layer in ("patch", "refined", "reader-x", ""):
            with pytest.raises(StoreError, match="no editable"):
                store.corrections.append_edit(
                    stroke(labels.copy(), Window(0, 0, 3, 3), 1), layer=layer
                )
        with pytest.raises(StoreError, match="label map"):
            store.corrections.write(Window(0, 0, 3, 3), np.zeros((4, 4), np.uint8))
        with pytest.raises(StoreError, match="beyond"):
            store.corrections.write(Window(0, 0, 3, 3), np.full((3, 3), 99, np.uint8))
        assert list(store.log.records()) == []


def test_further_readers_start_from_the_automatic_labels(finished):
    path, labels = finished
    with AnalysisStore.open(path, "r+") as store:
        first = labels.copy()
        store.corrections.append_edit(stroke(first, Window(0, 0, 9, 9), 2))
        assert store.corrections.add_reader("kim-2") == "reader-kim-2"
        assert np.array_equal(store.labels("reader-kim-2"), labels)
        second = labels.copy()
        store.corrections.append_edit(
            stroke(second, Window(5, 5, 9, 9), 3), layer="reader-kim-2", reader="kim"
        )
        for name in ("", "../x", "a b", "é", "x" * 99, "-a"):
            with pytest.raises(StoreError, match="name a reader"):
                store.corrections.add_reader(name)
        with pytest.raises(StoreError, match="exists"):
            store.corrections.add_reader("kim-2")
    validation.validate(path)
    with AnalysisStore.open(path) as store:
        assert store.corrections.layers == ["corrected", "reader-kim-2"]
        assert np.array_equal(store.labels("corrected"), first)
        assert np.array_equal(store.labels("reader-kim-2"), second)
    assert np.array_equal(stored(path, "reader-kim-2"), second)


def test_two_editors_and_two_runs_refuse_each_other(finished, rng):
    path, labels = finished
    first, second = (AnalysisStore.open(path, "r+") for _ in range(2))
    first.corrections.append_edit(stroke(labels, Window(0, 0, 9, 9), 2))
    with pytest.raises(StoreBusyError) as caught:
        second.corrections.append_edit(stroke(labels.copy(), Window(0, 0, 9, 9), 3))
    assert caught.value.hint
    first.maps.begin()
    with pytest.raises(StoreBusyError):
        write_tiles(second, rng, every_tile())
    with pytest.raises(StoreBusyError):  # its stroke is lost, so it must say so
        second.close()
    first.close()
    with AnalysisStore.open(path, "r+") as third:
        third.maps.begin()
        third.corrections.sync()


def test_a_stroke_that_meets_a_rival_is_written_when_the_rival_has_gone(finished):
    path, labels = finished
    with AnalysisStore.open(path, "r+") as second:
        with AnalysisStore.open(path, "r+") as first:
            first.corrections.append_edit(stroke(labels, Window(0, 0, 30, 30), 2))
            with pytest.raises(StoreBusyError):
                second.corrections.append_edit(stroke(labels, Window(20, 20, 30, 30), 3))
            assert second.log.pending == 1
            with pytest.raises(StoreBusyError):
                second.corrections.append_edit(stroke(labels, Window(60, 20, 30, 30), 4))
        assert np.array_equal(second.labels("corrected"), labels)
    assert np.array_equal(stored(path), labels)
    assert np.array_equal(replay(AnalysisStore.open(path)), labels)


def test_finishing_a_run_does_not_keep_editors_out(finished, rng):
    path, labels = finished
    with AnalysisStore.open(path, "r+") as run, AnalysisStore.open(path, "r+") as editor:
        refine_all(run, labels := random_labels(rng))
        run.finish()
        assert np.array_equal(stored(path), labels)
        editor.corrections.append_edit(stroke(labels, Window(0, 0, 30, 30), 2))
        refine_all(run, labels)  # the run goes on, and so does the editor
        run.finish()
        assert np.array_equal(editor.labels("corrected"), labels)


def test_one_can_edit_while_another_runs(finished, rng, caplog):
    path, labels = finished
    with AnalysisStore.open(path, "r+") as editor, AnalysisStore.open(path, "r+") as run:
        edit = stroke(labels.copy(), Window(0, 0, 30, 30), 2)
        editor.corrections.append_edit(edit)
        new = random_labels(rng)
        refine_all(run, new)
        editor.corrections.append_edit(stroke(editor.labels("corrected"), Window(90, 90, 9, 9), 4))
        with caplog.at_level(logging.INFO):
            run.finish()
        assert "editor" in caplog.text
        new[:30, :30] = np.where(edit.mask(), 2, new[:30, :30])
        editor.corrections.sync()
        expected = editor.labels("corrected")
        assert np.array_equal(expected[:90], new[:90])
    assert np.array_equal(stored(path), expected)
    with AnalysisStore.open(path) as store:
        assert store.maps.complete
        assert np.array_equal(store.labels("corrected"), expected)


def test_a_writer_in_another_process_is_noticed_and_its_death_too(finished):
    path, labels = finished
    code = (
        "store = AnalysisStore.open(Path(sys.argv[1]), 'r+')\n"
        "try: store.corrections.sync()\n"
        "except Exception as error: print(type(error).__name__, file=sys.stderr); os._exit(3)\n"
        "os._exit(9)\n"
    )
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.sync()
        status, text = in_other_process(code, path)
        assert (status, text.strip()) == (3, "StoreBusyError")
    assert in_other_process(code, path)[0] == 9
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.append_edit(stroke(labels, Window(0, 0, 9, 9), 2))


def test_what_was_undone_before_the_model_looked_there_follows_it(path, rng):
    """An undone stroke over cells without labels is no exclusion of what comes later."""
    window, kept = Window(10, 10, 60, 80), Window(200, 20, 30, 40)
    automatic = np.zeros(SHAPE, np.uint8)
    labels = automatic.copy()
    with make(path) as store:
        for place in (window, kept):
            store.corrections.append_edit(stroke(labels, place, 2))
        undone = stroke(labels, window, 0)
        store.corrections.append_edit(
            undone.following(automatic[undone.window.slices][undone.mask()])
        )
        said = random_labels(rng)
        refine_all(store, said)
        store.finish()
    expected = said.copy()
    expected[kept.slices] = 2
    with AnalysisStore.open(path) as store:
        assert np.array_equal(store.labels("corrected"), expected)
        assert np.array_equal(replay(store), expected)
        held = np.zeros(SHAPE, bool)
        held[kept.slices] = True
        assert np.array_equal(store.corrections.held_cells(), held)
        assert opened_event(store).held.sum() == held.sum()


def test_restoring_through_the_store_follows_the_model(finished, rng):
    path, automatic = finished
    window = Window(5, 5, 40, 40)
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.write(window, np.full((40, 40), 7, np.uint8))
        store.corrections.write(window, automatic[window.slices])
        newer = random_labels(rng)
        refine_all(store, newer)
        store.finish()
    with AnalysisStore.open(path) as store:
        assert np.array_equal(store.labels("corrected"), newer)
