"""Undo leads back to the model's labels, also to those that a run made after the stroke."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.geometry import Window
from napari_fddm.plugin.actions import Action
from tests.plugin.test_label_sync import CLASS, POINT, SHAPE, UNDOABLE, build, perform

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
