from __future__ import annotations

import base64
import json
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.cells import ChangedCells
from napari_fddm.core.edits import Edit, ShadowCounter, difference
from napari_fddm.core.errors import ConfigError, FddmError, StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.core.necrosis import ClassAreas, count_labels, necrosis_report

N = 7


def maps(rows: int = 9, cols: int = 11) -> st.SearchStrategy[np.ndarray]:
    values = st.binary(min_size=rows * cols, max_size=rows * cols)
    return values.map(lambda raw: (np.frombuffer(raw, np.uint8) % (N + 1)).reshape(rows, cols))


windows = st.builds(
    Window, st.integers(-6, 12), st.integers(-6, 14), st.integers(0, 20), st.integers(0, 20)
)


def recount(labels: np.ndarray) -> list[int]:
    return [int((labels == value).sum()) for value in range(N + 1)]


@settings(max_examples=60, deadline=None)
@given(maps(), st.lists(st.tuples(windows, st.integers(0, N)), max_size=12))
def test_counts_always_equal_a_full_recount(start, strokes):
    labels = start.copy()
    counter = ShadowCounter(labels, N)
    history = []
    for window, value in strokes:
        before = labels.copy()
        labels[window.clipped(labels.shape).slices] = value
        edit = counter.update(labels, window)
        assert counter.counts.tolist() == recount(labels)
        changed = int((before != labels).sum())
        assert (edit.changed_cells if edit else 0) == changed
        if edit:
            history.append(edit)
    replayed = start.copy()
    for edit in history:
        edit.apply(replayed)
    assert np.array_equal(replayed, labels)
    for edit in reversed(history):
        edit.inverted().apply(replayed)
    assert np.array_equal(replayed, start)


@settings(max_examples=60, deadline=None)
@given(maps(), st.lists(st.tuples(windows, st.integers(0, N)), max_size=12))
def test_p31_the_rate_after_each_stroke_is_that_of_a_full_recount(start, strokes):
    labels = start.copy()
    counter = ShadowCounter(labels, N)
    for window, value in strokes:
        labels[window.clipped(labels.shape).slices] = value
        counter.update(labels, window)
        live = necrosis_report(ClassAreas.from_counts(counter.counts, 16e-6))
        assert live == necrosis_report(labels, mpp=4.0)


@given(maps(), maps())
def test_an_edit_survives_json_and_inverts(old, new):
    edit = difference(old, new, Window(0, 0, *old.shape))
    if edit is None:
        assert np.array_equal(old, new)
        return
    again = Edit.from_record(json.loads(json.dumps(edit.to_record())))
    assert again == edit
    labels = old.copy()
    again.apply(labels)
    assert np.array_equal(labels, new)
    again.inverted().apply(labels)
    assert np.array_equal(labels, old)
    assert edit.inverted("x").inverted(edit.tool) == edit


@given(maps(), maps(), windows)
def test_an_edit_never_reaches_beyond_its_window(old, new, window):
    edit = difference(old, new, window)
    labels = old.copy()
    if edit is not None:
        edit.apply(labels)
    expected = old.copy()
    inside = window.clipped(old.shape).slices
    expected[inside] = new[inside]
    assert np.array_equal(labels, expected)


@given(maps(), maps())
def test_the_mask_describes_the_change(old, new):
    edit = difference(old, new, Window(0, 0, *old.shape))
    changed = old != new
    if edit is None:
        assert not changed.any()
        return
    full = np.zeros(old.shape, bool)
    full[edit.window.slices] = edit.mask()
    assert np.array_equal(full, changed)
    assert edit.before.tolist() == old[changed].tolist()
    assert edit.after.tolist() == new[changed].tolist()


def test_the_window_is_the_bounding_box_of_the_change():
    old = np.zeros((20, 30), np.uint8)
    new = old.copy()
    new[4, 7] = 2
    new[9, 3] = 5
    edit = difference(old, new, Window(-50, -50, 200, 200))
    assert edit is not None
    assert edit.window == Window(4, 3, 6, 5)
    assert edit.cells.starts.tolist() == [4 * 30 + 7, 9 * 30 + 3]


def test_nothing_changed_is_no_edit():
    labels = np.ones((5, 5), np.uint8)
    counter = ShadowCounter(labels, N)
    assert counter.update_all(labels) is None
    assert counter.update(labels, Window(10, 10, 3, 3)) is None


def test_an_undefined_class_changes_neither_shadow_nor_counts():
    labels = np.ones((6, 6), np.uint8)
    counter = ShadowCounter(labels, N)
    labels[2, 2] = 9
    with pytest.raises(ConfigError, match=r"\[9\]"):
        counter.update_all(labels)
    assert counter.counts.tolist() == [0, 36, 0, 0, 0, 0, 0, 0]
    labels[2, 2] = 3
    edit = counter.update_all(labels)
    assert edit is not None
    assert edit.before.tolist() == [1]


@pytest.mark.parametrize(
    "labels", [np.zeros((5, 6), np.uint8), np.zeros((5, 5), np.int64), np.zeros(25, np.uint8)]
)
def test_another_map_is_refused(labels):
    counter = ShadowCounter(np.zeros((5, 5), np.uint8), N)
    with pytest.raises(ConfigError):
        counter.update_all(labels)


def test_counts_handed_out_cannot_damage_the_counter():
    counter = ShadowCounter(np.ones((3, 3), np.uint8), N)
    counter.counts[:] = 0
    assert counter.counts[1] == 9


def test_count_labels_counts_beyond_one_block():
    values = np.resize(np.arange(N + 1, dtype=np.uint8), 3_000_001)
    assert count_labels(values, N).tolist() == recount(values)


def test_edits_are_sealed():
    edit = difference(np.zeros((3, 3), np.uint8), np.ones((3, 3), np.uint8), Window(0, 0, 3, 3))
    assert edit is not None
    with pytest.raises(ValueError, match="read-only"):
        edit.after[0] = 4


def some_record() -> dict[str, object]:
    old = np.zeros((8, 8), np.uint8)
    new = old.copy()
    new[2:4, 1:6] = 4
    edit = difference(old, new, Window(0, 0, 8, 8))
    assert edit is not None
    return edit.to_record()


@pytest.mark.parametrize(
    "damage",
    [
        {"starts": "not base64!"},
        {"starts": "AAAA"},
        {"lengths": some_record()["before"]},
        {"before": ""},
        {"after": some_record()["starts"]},
        {"window": [0, 0, 1, 1]},
        {"window": [0, 0, 99, 99]},
        {"window": [1, 2]},
        {"window": None},
        {"shape": [8]},
        {"shape": [2, 2]},
        {"shape": [float("inf"), 1]},
        {"shape": [1e999, 1]},
        {"shape": [True, 99]},
        {"cells": 3},
        {"cells": -1},
        {"cells": 10**30},
        {"cells": []},
        {"tool": []},
    ],
)
def test_a_damaged_record_is_refused(damage):
    with pytest.raises(StoreError):
        Edit.from_record(some_record() | damage)


@pytest.mark.parametrize("key", ["starts", "lengths", "before", "after", "follows"])
def test_what_inflates_beyond_its_cells_is_refused_before_it_does(key):
    bomb = base64.b64encode(zlib.compress(bytes(50_000_000))).decode()
    tracemalloc.start()
    try:
        with pytest.raises(StoreError, match="as many"):
            Edit.from_record(some_record() | {key: bomb})
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_an_edit_of_another_map_is_refused_before_it_is_unpacked():
    record = some_record()
    shape = tuple(record["shape"])
    assert Edit.from_record(record, shape) == Edit.from_record(record)
    with pytest.raises(StoreError, match="does not fit"):
        Edit.from_record({"shape": [10**18, 10**18]}, shape)


def test_a_record_without_a_field_is_refused():
    for name in ("tool", "shape", "window", "cells", "starts", "lengths", "before", "after"):
        record = some_record()
        del record[name]
        with pytest.raises(StoreError):
            Edit.from_record(record)


@given(
    st.lists(st.integers(-5, 70), max_size=4),
    st.lists(st.integers(-2, 9), max_size=4),
    st.integers(0, 12),
)
def test_no_inconsistent_edit_can_be_built(starts, lengths, n_values):
    values = np.zeros(n_values, np.uint8)
    try:
        runs = np.array(starts, np.int64), np.array(lengths, np.int64)
        cells = ChangedCells.of_runs(*runs, Window(0, 0, 8, 8), (8, 8))
        edit = Edit("paint", cells, values, values)
    except FddmError:
        return
    assert int(edit.mask().sum()) == n_values
    edit.apply(np.zeros((8, 8), np.uint8))
