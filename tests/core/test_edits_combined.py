"""Edits that follow one another become one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fddm.core.edits import ShadowCounter, combined
from napari_fddm.core.geometry import Window

N = 7


def maps(rows: int = 9, cols: int = 11) -> st.SearchStrategy[np.ndarray]:
    values = st.binary(min_size=rows * cols, max_size=rows * cols)
    return values.map(lambda raw: (np.frombuffer(raw, np.uint8) % (N + 1)).reshape(rows, cols))


windows = st.builds(
    Window, st.integers(-6, 12), st.integers(-6, 14), st.integers(0, 20), st.integers(0, 20)
)


@settings(max_examples=60, deadline=None)
@given(maps(), st.lists(st.tuples(windows, st.integers(0, N)), max_size=8))
def test_a_combined_edit_does_what_its_parts_do(start, strokes):
    labels = start.copy()
    counter = ShadowCounter(labels, N)
    edits = []
    for window, value in strokes:
        labels[window.clipped(labels.shape).slices] = value
        edit = counter.update(labels, window, f"tool {value}")
        edits += [edit] if edit else []
    whole = combined(edits)
    replayed = start.copy()
    if whole is None:
        assert np.array_equal(start, labels)
        return
    assert whole.tool == edits[-1].tool
    whole.apply(replayed)
    assert np.array_equal(replayed, labels)
    whole.inverted().apply(replayed)
    assert np.array_equal(replayed, start)
    touched = np.zeros(start.shape, bool)
    for edit in edits:
        touched[edit.window.slices] |= edit.mask()
    assert whole.changed_cells == int(touched.sum())  # also what is as it was: a person said so
