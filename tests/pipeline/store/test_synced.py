"""A log and what was derived from it watch each other: labels are right, or there are none."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.core.outside.checked_json import write_checked
from napari_fddm.pipeline.outputs import export_store, store_report
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.store.estimates import estimate_record, read_estimate
from napari_fddm.pipeline.store.log_lines import LogMismatchError
from napari_fddm.pipeline.store.replacing import replace_store
from tests.support.stores import make, stored, stroke

LOG, SYNCED = "events.jsonl", "synced.json"
PLACES = [Window(0, 0, 30, 30), Window(40, 40, 30, 30), Window(90, 10, 20, 60)]


@pytest.fixture
def edited(finished):
    """A store with three strokes and an estimate, closed; its path and labels."""
    path, labels = finished
    with AnalysisStore.open(path, "r+") as store:
        for value, place in enumerate(PLACES, 2):
            store.corrections.append_edit(stroke(labels, place, value))
        store.records.append(estimate_record(0.4, definition="fddm"))
    return path, labels


def corrected(path):
    with AnalysisStore.open(path) as store:
        return store.labels("corrected")


def files(path):
    return {p: p.read_bytes() for p in path.rglob("*") if p.is_file() and p.suffix != ".lock"}


def lines_of(path):
    return (path / "fddm" / LOG).read_bytes().splitlines(keepends=True)


def lose(path):
    (path / "fddm" / LOG).unlink()


def empty(path):
    (path / "fddm" / LOG).write_bytes(b"")


def shorten(path):
    (path / "fddm" / LOG).write_bytes(b"".join(lines_of(path)[:-2]))


def lose_the_last_record(path):
    (path / "fddm" / LOG).write_bytes(b"".join(lines_of(path)[:-1]))


def tear_the_last_line(path):
    (path / "fddm" / LOG).write_bytes(b"".join(lines_of(path))[:-9])


def alter_the_last_line(path):
    *lines, last = lines_of(path)
    (path / "fddm" / LOG).write_bytes(b"".join([*lines, last.replace(b"0.4", b"0.9")]))


def take_one_of_another_store(path):
    other = path.with_name("other.fddm.ome.zarr")
    with make(other) as store:
        for value in range(5):
            store.records.append(estimate_record(value / 10, definition="fddm"))
    shutil.copy(other / "fddm" / LOG, path / "fddm" / LOG)


DAMAGES = [
    lose,
    empty,
    shorten,
    lose_the_last_record,
    tear_the_last_line,
    alter_the_last_line,
    take_one_of_another_store,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_log_behind_its_map_is_refused_everywhere_and_nothing_is_overwritten(edited, damage):
    path, labels = edited
    damage(path)
    before = files(path)
    for read in (corrected, lambda p: store_report(AnalysisStore.open(p))):
        with pytest.raises(LogMismatchError, match="event log"):
            read(path)
    edit = stroke(labels, Window(3, 3, 9, 9), 7)
    for write in (
        lambda store: store.corrections.sync(),
        lambda store: store.corrections.write(edit.window, np.full((9, 9), 7, np.uint8)),
        lambda store: store.corrections.log_edits([edit]),
        lambda store: store.corrections.add_reader("kim"),
        lambda store: store.records.append(estimate_record(0.1, definition="fddm")),
        lambda store: store.maps.begin(),
        lambda store: export_store(store, path.with_name("copy.ome.zarr")),
        lambda store: export_store(store, path.with_name("copy.ome.zarr"), with_name=True),
    ):
        with AnalysisStore.open(path, "r+") as store, pytest.raises(LogMismatchError):
            write(store)
    assert files(path) == before
    assert not path.with_name("copy.ome.zarr").exists()


def test_a_stroke_that_is_refused_is_not_forgotten_without_a_word(edited):
    path, labels = edited
    lose(path)
    store = AnalysisStore.open(path, "r+")
    for lost in (
        lambda: store.corrections.append_edit(stroke(labels, Window(3, 3, 9, 9), 7)),
        store.close,
    ):
        with pytest.raises(LogMismatchError):
            lost()


def test_starting_over_keeps_a_store_whose_log_is_refused(edited):
    path, _ = edited
    lose(path)
    kept = replace_store(path, lambda new: make(new).close())
    assert kept is not None
    assert stored(kept).any()


@pytest.mark.parametrize("missing", ["it is gone", "it is damaged"])
@pytest.mark.parametrize("damage", DAMAGES[:3])
def test_the_map_itself_tells_of_lost_strokes_when_what_was_seen_is_lost_too(
    edited, damage, missing
):
    path, _ = edited
    synced = path / "fddm" / SYNCED
    synced.unlink() if missing == "it is gone" else synced.write_text("{}x")
    damage(path)
    with pytest.raises(LogMismatchError, match="labels/corrected"):
        corrected(path)
    with AnalysisStore.open(path, "r+") as store, pytest.raises(LogMismatchError):
        store.corrections.sync()


def test_without_what_was_seen_the_map_is_derived_again_from_its_log(edited):
    path, labels = edited
    (path / "fddm" / SYNCED).unlink()
    assert np.array_equal(corrected(path), labels)
    (path / "fddm" / SYNCED).write_text('{"maps": 1}')
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.append_edit(stroke(labels, Window(3, 3, 9, 9), 7))
    assert np.array_equal(corrected(path), labels)
    lose(path)
    with pytest.raises(LogMismatchError, match="is missing"):
        corrected(path)


def test_a_damaged_map_is_derived_again_from_its_log(edited):
    path, labels = edited
    for chunk in (path / "labels" / "corrected" / "0" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(chunk.read_bytes()[:-9])
    assert np.array_equal(corrected(path), labels)


def test_a_log_may_be_ahead_of_its_map(finished):
    """After a crash: the locks are gone, nothing else happened."""
    path, labels = finished
    store = AnalysisStore.open(path, "r+")
    for value, place in enumerate(PLACES, 2):
        store.corrections.append_edit(stroke(labels, place, value))
    store.log._lock.release()
    assert np.array_equal(corrected(path), labels)


@pytest.fixture(scope="module")
def chained(tmp_path_factory):
    """A closed store with strokes and an estimate: its path, and what it says after each record."""
    path = tmp_path_factory.mktemp("chained") / "s.fddm.ome.zarr"
    labels = np.zeros(make(path).geometries.label.shape, np.uint8)
    states = [(labels.copy(), None)]
    with AnalysisStore.open(path, "r+") as store:
        for value, place in enumerate(PLACES, 2):
            store.corrections.append_edit(stroke(labels, place, value))
            states.append((labels.copy(), None))
        store.records.append(estimate_record(0.4, definition="fddm"))
        states.append((labels.copy(), 0.4))
    ours = path / "fddm"
    return path, states, {name: (ours / name).read_bytes() for name in (LOG, SYNCED)}


def says(path):
    with AnalysisStore.open(path) as store:
        return store.labels("corrected"), read_estimate(store)


def is_one_of(said, states):
    return any(np.array_equal(said[0], labels) and said[1] == rate for labels, rate in states)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_after_any_flipped_bit_the_labels_are_right_or_refused(chained, data):
    path, states, contents = chained
    name = data.draw(st.sampled_from([LOG, SYNCED]))
    content = bytearray(contents[name])
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    for other, kept in contents.items():
        (path / "fddm" / other).write_bytes(content if other == name else kept)
    try:
        assert is_one_of(says(path), states[-1:])
    except StoreError as error:
        assert error.hint  # noqa: PT017


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_beginning_of_a_log_reads_as_such_or_is_refused(chained, data):
    path, states, contents = chained
    lines = contents[LOG].splitlines(keepends=True)
    seen = data.draw(st.integers(0, len(lines)), "records that were seen")
    cut = data.draw(st.integers(0, len(contents[LOG])), "bytes that are left")
    whole = contents[LOG][:cut].count(b"\n")
    (path / "fddm" / LOG).write_bytes(contents[LOG][:cut])
    chain = lines[seen - 1][-35:-3].decode() if seen else ""
    write_checked(path / "fddm" / SYNCED, {"maps": {}, "log": {"seq": seen, "chain": chain}})
    if whole < seen:
        with pytest.raises(LogMismatchError):
            says(path)
    else:
        assert is_one_of(says(path), states[whole : whole + 1])
