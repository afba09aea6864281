from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.cells import changed_window


@pytest.mark.parametrize("shape", [(1, 1), (7, 13), (3, 400_003)])
def test_the_changed_window_holds_every_change(shape):
    rng = np.random.default_rng(0)
    old = rng.integers(0, 8, shape).astype(np.uint8)
    assert changed_window(old, old.copy()).is_empty
    for y, x in {(0, 0), (shape[0] - 1, shape[1] - 1), (shape[0] // 2, shape[1] // 3)}:
        new = old.copy()
        new[y, x] = 9
        window = changed_window(old, new)
        assert window.y <= y < window.y + window.height
        assert window.x <= x < window.x + window.width
        assert window == window.clipped(shape)
        assert not changed_window(old[::-1], new[::-1]).is_empty
