"""Undo leads back to the model's labels, also to those that a run made after the stroke."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.edits import Edit
from napari_fddm.core.geometry import Window
from napari_fddm.plugin.document.pending_writes import joined_edits
from napari_fddm.plugin.state.tools import Action
from tests.plugin.document.test_edit_tracker import CLASS, POINT, SHAPE, UNDOABLE, build, perform

pytestmark = pytest.mark.gui

RUN = st.tuples(st.just("run"), POINT, st.integers(0, 7))


@given(st.lists(st.one_of(UNDOABLE, RUN), max_size=30))
@settings(max_examples=150, deadline=None)
def test_undoing_every_step_gives_what_the_model_says_now(operations):
    label_map, layer, sync = build()
    for operation in operations:
        perform(operation, layer, sync)
    while layer._undo_history:
        layer.undo()
    assert np.array_equal(layer.data, label_map.automatic)
    assert sync.edited_share == 0
    assert sync.excluded == 0


STEP = st.sampled_from([("undo",), ("redo",)])


@given(st.lists(st.one_of(UNDOABLE, RUN, STEP), max_size=30))
@settings(max_examples=150, deadline=None)
def test_the_logged_edits_give_what_is_seen_whatever_was_run_when(operations):
    label_map, layer, sync = build()
    edits = []
    sync.edited.connect(lambda edit: edits.append(Edit.from_record(edit.to_record())))
    for operation in operations:
        perform(operation, layer, sync)
    for logged in (edits, joined_edits(edits)):
        replayed = label_map.automatic.copy()
        held = np.zeros(SHAPE, bool)
        for edit in logged:
            edit.apply(replayed, label_map.automatic)
            held[edit.window.slices][edit.mask()] = ~edit.following_cells
        assert np.array_equal(replayed, layer.data)
    assert np.array_equal(held | (layer.data == label_map.automatic), np.ones(SHAPE, bool))


def test_a_stroke_that_the_model_agreed_with_for_a_while_is_kept():
    _, layer, sync = build()
    whole = Window(0, 0, *SHAPE)
    sync.put_automatic(whole, np.zeros(SHAPE, np.uint8))
    layer.brush_size = 9
    layer.paint((20, 20), 3)
    for said in (3, 2):
        sync.put_automatic(whole, np.full(SHAPE, said, np.uint8))
        assert layer.data[20, 20] == 3
    assert layer.data[0, 0] == 2


@given(POINT, CLASS, CLASS)
@settings(max_examples=30, deadline=None)
def test_redo_paints_again_what_was_painted(point, painted, said):
    label_map, layer, sync = build()
    perform(("paint", point, painted, 9), layer, sync)
    mine = layer.data != label_map.automatic
    perform(("undo",), layer, sync)
    perform(("run", (0, 0), said), layer, sync)
    perform(("redo",), layer, sync)
    assert (layer.data[mine] == painted).all()
    assert (layer.data[~mine] == said).all()


def test_a_stroke_on_cells_that_are_labeled_later_is_no_exclusion_when_undone():
    _, layer, sync = build()
    whole = Window(0, 0, *SHAPE)
    sync.put_automatic(whole, np.zeros(SHAPE, np.uint8))
    layer.brush_size = 9
    layer.paint((20, 20), 3)
    sync.put_automatic(whole, np.full(SHAPE, 2, np.uint8))
    assert layer.data[20, 20] == 3
    layer.undo()
    assert (layer.data == 2).all()
    assert sync.excluded == 0


def test_an_exclusion_is_still_one_after_undo_of_what_came_later():
    _, layer, sync = build()
    whole = Window(0, 0, *SHAPE)
    sync.put_automatic(whole, np.full(SHAPE, 2, np.uint8))
    layer.action = Action.EXCLUDE
    layer.brush_size = 9
    layer.paint((20, 20), 1)
    layer.action = Action.PAINT
    layer.paint((20, 20), 5)
    sync.put_automatic(whole, np.full(SHAPE, 4, np.uint8))
    layer.undo()
    assert layer.data[20, 20] == 0
    assert sync.excluded > 1
