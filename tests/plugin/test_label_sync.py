"""The counts equal a full recount after every kind of edit, in any order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.geometry import MapGeometry, Window
from napari_fddm.core.maps import LabelMap
from napari_fddm.core.necrosis import count_labels
from napari_fddm.plugin.actions import Action
from napari_fddm.plugin.label_sync import LabelSync
from napari_fddm.plugin.layers import CorrectedLabels

SHAPE = (40, 50)
POINT = st.tuples(st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1))
CLASS = st.integers(1, 7)
OPERATION = st.one_of(
    st.tuples(st.just("paint"), POINT, st.integers(0, 7), st.integers(1, 20)),
    st.tuples(st.just("fill"), POINT, st.integers(0, 7)),
    st.tuples(st.just("polygon"), st.lists(POINT, min_size=3, max_size=5), st.integers(0, 7)),
    st.tuples(st.just("setitem"), POINT, CLASS),
    st.tuples(st.just("write"), POINT, st.integers(0, 7)),
    st.tuples(st.just("undo")),
    st.tuples(st.just("redo")),
    st.tuples(st.just("hide")),
    st.tuples(st.just("exclude")),
    st.tuples(st.just("lock"), CLASS),
    st.tuples(st.just("run"), POINT, CLASS),
)


def build():
    automatic = np.random.default_rng(1).integers(0, 8, SHAPE).astype(np.uint8)
    label_map = LabelMap.from_automatic(automatic, MapGeometry(SHAPE, 8.0, 0.5))
    layer = CorrectedLabels(label_map, OSTEOSARCOMA, "corrected")
    return label_map, layer, LabelSync(layer, label_map, 7)


def perform(operation, label_map, layer, sync):
    name, *values = operation
    if name == "paint":
        point, value, layer.brush_size = values
        layer.paint(point, value)
    elif name == "fill":
        layer.fill(*values)
    elif name == "polygon":
        layer.paint_polygon(np.array(values[0], float), values[1])
    elif name == "setitem":
        (y, x), value = values
        layer.data_setitem((np.array([y]), np.array([x])), value)
    elif name == "write":
        (y, x), value = values
        layer.data[y:, x] = value
        layer.refresh()
    elif name == "exclude":
        layer.toggle(Action.EXCLUDE)
    elif name == "lock":
        layer.protected = layer.protected ^ {values[0]}
    elif name == "hide":
        layer.visible = not layer.visible
    elif name == "run":
        (y, x), value = values
        window = Window(y, x, SHAPE[0] - y, SHAPE[1] - x)
        sync.put_automatic(window, np.full((window.height, window.width), value, np.uint8))
        layer.refresh()
    else:
        getattr(layer, name)()


@given(st.lists(OPERATION, max_size=12))
@settings(max_examples=40, deadline=None)
def test_counts_and_share_equal_a_recount_and_edits_replay(operations):
    label_map, layer, sync = build()
    replayed, edits = label_map.labels.copy(), []
    sync.edited.connect(edits.append)
    for operation in operations:
        untouched = label_map.labels == label_map.automatic
        before = layer.data.copy()
        perform(operation, label_map, layer, sync)
        if operation[0] in ("paint", "fill", "polygon"):
            safe = np.isin(before, list(layer.protected))
            assert np.array_equal(layer.data[safe], before[safe])
        if operation[0] == "run":  # no edit: untouched cells follow the model
            replayed[untouched] = label_map.labels[untouched]
            assert not edits
        # A hidden layer says nothing of direct writes until it is shown again.
        sync._on_layer_set_data()
        for edit in edits:
            edit.apply(replayed)
        edits.clear()
        assert np.array_equal(sync.counts, count_labels(layer.data, 7))
        assert np.array_equal(sync.automatic_counts, count_labels(label_map.automatic, 7))
        assert np.array_equal(replayed, layer.data)
        analyzed = max(1, np.count_nonzero(layer.data | label_map.automatic))
        excluded = (layer.data == 0) & (label_map.automatic != 0)
        assert sync.excluded == np.count_nonzero(excluded)
        assert sync.edited_share == pytest.approx(np.count_nonzero(label_map.edited) / analyzed)


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
