"""What was painted with the class that was there: noted cell by cell, wherever the brush was."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from psygnal import Signal

from napari_fddm.core.edits import Edit
from napari_fddm.core.geometry import Window
from napari_fddm.plugin.document.confirmations import BLOCK, Confirmations

SHAPE = (2 * BLOCK + 37, 3 * BLOCK - 11)


class Layer:
    repainted = Signal(Window, np.ndarray, int)


def noted(records) -> np.ndarray:
    found = np.zeros(SHAPE, np.uint8)
    for record in records:
        Edit.from_record(record.fields["edit"]).apply(found)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_noted_is_what_was_painted_where_model_and_map_still_say_so(seed):
    rng = np.random.default_rng(seed)
    automatic = rng.integers(1, 4, SHAPE).astype(np.uint8)
    maps = SimpleNamespace(automatic=automatic, labels=automatic.copy())
    layer, geometry = Layer(), SimpleNamespace(shape=SHAPE)
    analysis = SimpleNamespace(layer=layer, label_map=maps, geometry=geometry)
    confirming = Confirmations(analysis)
    expected = np.zeros(SHAPE, np.uint8)
    for _ in range(12):
        height, width = rng.integers(1, 500, 2)
        y, x = (int(rng.integers(0, n)) for n in SHAPE)
        window = Window(y, x, int(height), int(width)).clipped(SHAPE)
        label = int(rng.integers(1, 4))
        same = maps.labels[window.slices] == label
        layer.repainted.emit(window, same, label)
        expected[window.slices][same] = label
    elsewhere = rng.random(SHAPE) < 0.1
    maps.labels[elsewhere] = 7
    expected[elsewhere] = 0
    assert np.array_equal(noted(confirming.take()), expected)
    assert confirming.take() == []
    confirming.close()
    layer.repainted.emit(Window(0, 0, 1, 1), np.ones((1, 1), bool), 1)
    assert confirming.take() == []
