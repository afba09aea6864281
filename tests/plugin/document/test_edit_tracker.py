"""The counts equal a full recount after every kind of edit, in any order."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.geometry import MapGeometry, Window
from napari_fddm.core.maps import LabelMap
from napari_fddm.core.necrosis import count_labels
from napari_fddm.plugin.document.edit_tracker import EditTracker
from napari_fddm.plugin.layers import CorrectedLabels
from napari_fddm.plugin.state.tools import Action

SHAPE = (40, 50)
POINT = st.tuples(st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1))
CLASS = st.integers(1, 7)
MODES = ("paint", "erase", "fill")
UNDOABLE = st.one_of(
    st.tuples(st.just("paint"), POINT, st.integers(0, 7), st.integers(1, 20)),
    st.tuples(st.just("fill"), POINT, st.integers(0, 7)),
    st.tuples(st.just("polygon"), st.lists(POINT, min_size=3, max_size=5), st.integers(0, 7)),
    st.tuples(st.just("setitem"), POINT, CLASS),
    st.tuples(st.just("undo")),
    st.tuples(st.just("redo")),
    st.tuples(st.just("stroke"), st.lists(POINT, min_size=1, max_size=4), st.sampled_from(MODES)),
    st.tuples(st.just("lasso"), st.lists(POINT, min_size=3, max_size=5), st.booleans()),
)
OPERATION = st.one_of(
    UNDOABLE,
    st.tuples(st.just("write"), POINT, st.integers(0, 7)),
    st.tuples(st.just("hide")),
    st.tuples(st.just("action"), st.sampled_from(Action)),
    st.tuples(st.just("from"), st.integers(0, 7)),
    st.tuples(st.just("held key"), POINT, CLASS),
    st.tuples(st.just("silent write"), POINT, st.integers(0, 7)),
    st.tuples(st.just("replace"), st.integers(0, 7)),
    st.tuples(st.just("reset")),
    st.tuples(st.just("bed"), POINT, st.booleans()),
    st.tuples(st.just("lock"), CLASS),
    st.tuples(st.just("run"), POINT, CLASS),
)


def build():
    automatic = np.random.default_rng(1).integers(0, 8, SHAPE).astype(np.uint8)
    label_map = LabelMap(automatic.copy(), automatic.copy(), MapGeometry(SHAPE, 8.0, 0.5))
    layer = CorrectedLabels(label_map, OSTEOSARCOMA, "corrected")
    return label_map, layer, EditTracker(layer, label_map, 7)


def paint(layer, point, value, size):
    layer.brush_size = size
    layer.paint(point, value)


def set_cell(layer, place, value):
    layer.data_setitem(tuple(np.array([n]) for n in place), value)


def write(layer, place, value):
    layer.data[place[0] :, place[1]] = value
    layer.refresh()


def stroke(layer, points, mode):
    """Do what napari does while the mouse is dragged."""
    layer.mode = mode
    with layer.block_history():
        for last, point in pairwise([points[0], *points]):
            layer._draw(0 if layer.mode == "erase" else layer.selected_label, last, point)


def lasso(layer, points, completed):
    """Draw with the right button and end at the start or by Escape."""
    layer._begin_stroke()
    for last, point in pairwise([points[0], *points]):
        layer._draw(layer.selected_label, last, point)
    if completed:
        layer.paint_polygon(points, layer.selected_label)
        layer._commit_stroke()
    else:
        layer._abort_stroke()


def hold_key(layer, point, value):
    layer.stroke_action = Action.RESTORE
    layer.paint(point, value)
    layer.stroke_action = None


def replace(layer, value):
    new = layer.data.copy()
    new[::3] = value
    layer.data = new


ON_LAYER = {
    "paint": paint,
    "fill": lambda layer, *values: layer.fill(*values),
    "polygon": lambda layer, points, value: layer.paint_polygon(np.array(points, float), value),
    "setitem": set_cell,
    "write": write,
    "stroke": stroke,
    "lasso": lasso,
    "held key": hold_key,
    "replace": replace,
    "action": lambda layer, action: setattr(layer, "action", action),
    "from": lambda layer, value: setattr(layer, "relabel_source", value),
    "lock": lambda layer, value: setattr(layer, "protected", layer.protected ^ {value}),
    "hide": lambda layer: setattr(layer, "visible", not layer.visible),
    "undo": lambda layer: layer.undo(),
    "redo": lambda layer: layer.redo(),
    "reset": lambda layer: layer.reset(),
}


def write_silently(layer, sync, place, value):
    layer.data[place[0] :, place[1]] = value
    sync.audit()


def run(layer, sync, place, value):
    window = Window(*place, SHAPE[0] - place[0], SHAPE[1] - place[1])
    sync.put_automatic(window, np.full((window.height, window.width), value, np.uint8))
    layer.refresh()


def outline(_layer, sync, place, wanted):
    mask = np.zeros(SHAPE, bool)
    mask[place[0] :, place[1] :] = True
    sync.set_bed(mask if wanted else None)


ON_SYNC = {"silent write": write_silently, "run": run, "bed": outline}


def perform(operation, layer, sync):
    name, *values = operation
    if name in ON_SYNC:
        ON_SYNC[name](layer, sync, *values)
    else:
        ON_LAYER[name](layer, *values)


def check(label_map, layer, sync, bed):
    """Compare every number with a full recount."""
    labels, automatic = np.asarray(layer.data), label_map.automatic
    assert np.shares_memory(labels, label_map.labels)
    assert np.array_equal(sync.counts, count_labels(labels, 7))
    assert np.array_equal(sync.automatic_counts, count_labels(automatic, 7))
    assert sync.excluded == np.count_nonzero((labels == 0) & (automatic != 0))
    analyzed = max(1, np.count_nonzero(labels | automatic))
    assert sync.edited_share == pytest.approx(np.count_nonzero(labels != automatic) / analyzed)
    if bed is None:
        assert sync.bed_counts is None
    else:
        assert np.array_equal(sync.bed_counts, count_labels(labels[bed], 7))


@given(st.lists(OPERATION, max_size=20))
@settings(max_examples=120, deadline=None)
def test_counts_and_share_equal_a_recount_and_edits_replay(operations):
    label_map, layer, sync = build()
    replayed, edits, bed = label_map.labels.copy(), [], None
    sync.edited.connect(edits.append)
    for operation in operations:
        untouched = label_map.labels == label_map.automatic
        before = layer.data.copy()
        perform(operation, layer, sync)
        if operation[0] in ("paint", "fill", "polygon", "stroke", "lasso", "held key", "reset"):
            safe = np.isin(before, list(layer.protected))
            assert np.array_equal(layer.data[safe], before[safe])
        if operation[0] == "lasso" and operation[2] is False:
            assert np.array_equal(layer.data, before)
        if operation[0] == "run":  # no edit: untouched cells follow the model
            replayed[untouched] = label_map.labels[untouched]
            assert not edits
        if operation[0] == "bed":
            (y, x), wanted = operation[1:]
            bed = np.s_[y:, x:] if wanted else None
        for edit in edits:
            edit.apply(replayed)
        edits.clear()
        assert np.array_equal(replayed, layer.data)
        check(label_map, layer, sync, bed)


def test_what_nobody_announced_is_an_edit_even_if_the_model_answers_first():
    label_map, layer, sync = build()
    edits = []
    sync.edited.connect(edits.append)
    unseen = label_map.automatic[3, 4] % 7 + 1
    layer.data[3, 4] = unseen
    sync.put_automatic(Window(0, 0, 20, 20), np.full((20, 20), 7, np.uint8))
    assert [edit.changed_cells for edit in edits] == [1]
    assert layer.data[3, 4] == unseen
    layer.data[39, 49] = layer.data[39, 49] % 7 + 1
    sync.set_bed(np.ones(SHAPE, bool))
    check(label_map, layer, sync, np.s_[:])
    layer.data[30, 30] = layer.data[30, 30] % 7 + 1
    layer.undo()
    layer.refresh()
    check(label_map, layer, sync, np.s_[:])


@pytest.mark.parametrize("visible", [True, False])
def test_edits_are_named_by_what_made_them(visible):
    _, layer, sync = build()
    edits = []
    sync.edited.connect(lambda edit: edits.append(edit.tool))
    layer.mode = "fill"
    layer.fill((3, 3), int(layer.data[3, 3]) % 7 + 1)
    layer.action = Action.EXCLUDE
    layer.paint((20, 20), 3)
    layer.visible = visible
    layer.undo()
    layer.redo()
    layer.reset()
    layer.data[0, 0] = layer.data[0, 0] % 7 + 1
    layer.refresh()
    assert edits == ["fill", "exclude", "undo", "redo", "reset", "write"]


def test_each_stroke_is_seen_without_help():
    _, layer, sync = build()
    edits = []
    sync.edited.connect(edits.append)
    for value in (2, 3, 0):
        layer.paint((20, 20), value)
        assert np.array_equal(sync.counts, count_labels(layer.data, 7))
    layer.visible = False
    layer.undo()
    assert np.array_equal(sync.counts, count_labels(layer.data, 7))
    assert len(edits) == 4


def test_corrections_win_over_a_later_run():
    label_map, layer, sync = build()
    layer.paint((20, 20), 2)
    corrected = label_map.edited.copy()
    before = layer.data[corrected].copy()
    sync.put_automatic(Window(0, 0, *SHAPE), np.full(SHAPE, 7, np.uint8))
    assert np.array_equal(layer.data[corrected], before)
    assert (layer.data[~corrected] == 7).all()
    assert (label_map.automatic == 7).all()


def test_after_closing_nothing_is_heard():
    _, layer, sync = build()
    counts = sync.counts
    sync.close()
    layer.paint((20, 20), 2)
    assert np.array_equal(sync.counts, counts)
