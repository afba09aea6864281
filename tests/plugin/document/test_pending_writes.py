"""What waits for the event log keeps its order; neighboring strokes of one tool become one."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.edits import Edit
from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.store import LogRecord
from napari_fddm.plugin.document.pending_writes import (
    RescueRemoval,
    StoreJob,
    joined_edits,
    joined_entries,
    remove_rescue,
)
from tests.support.stores import stroke

SHAPE = (40, 50)


def test_neighbors_of_one_tool_are_joined_and_records_stay_between(tmp_path):
    labels = np.ones(SHAPE, np.uint8)
    edits = [stroke(labels, Window(5 * i, 5, 8, 8), 2 + i) for i in range(4)]
    undo = edits[3].inverted()
    record = LogRecord("note", {"text": "x"})
    items = [
        edits[0],
        edits[1],
        record,
        edits[2],
        StoreJob(id),
        edits[3],
        RescueRemoval(tmp_path),
        undo,
    ]
    joined = joined_entries(items)
    kinds = [entry.tool if isinstance(entry, Edit) else entry.kind for entry in joined]
    assert kinds == ["paint", "note", "paint", "undo"]
    replayed, expected = np.ones(SHAPE, np.uint8), np.ones(SHAPE, np.uint8)
    for entry in joined:
        if isinstance(entry, Edit):
            entry.apply(replayed)
    for edit in (*edits, undo):
        edit.apply(expected)
    assert np.array_equal(replayed, expected)


def test_nothing_waits():
    assert joined_edits([]) == joined_entries([StoreJob(id)]) == []


def test_a_rescue_file_may_be_gone_already(tmp_path):
    remove_rescue(tmp_path / "gone")
    with pytest.raises(StoreError, match="remove"):
        remove_rescue(tmp_path)  # a folder
