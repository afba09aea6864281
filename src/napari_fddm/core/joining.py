"""Several edits as one: what waits for the disk is written together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.cells import ChangedCells
from napari_fddm.core.edits import Edit
from napari_fddm.core.geometry import Window

if TYPE_CHECKING:
    from collections.abc import Sequence


def combined(edits: Sequence[Edit]) -> Edit | None:
    """Return one edit that does what several do one after the other; None if there are none.

    It is called after the last one's tool.
    """
    if not edits:
        return None
    y, x = (min(getattr(e.window, n) for e in edits) for n in ("y", "x"))
    y_end = max(e.window.y + e.window.height for e in edits)
    x_end = max(e.window.x + e.window.width for e in edits)
    before = np.zeros((y_end - y, x_end - x), np.uint8)
    after, touched = np.zeros_like(before), np.zeros(before.shape, np.bool_)
    follows = np.zeros_like(touched)
    for edit in edits:
        w = edit.window
        part = Window(w.y - y, w.x - x, w.height, w.width).slices
        changed = edit.mask()
        first = ~touched[part][changed]  # cells that no earlier edit changed
        before[part][changed] = np.where(first, edit.before, before[part][changed])
        after[part][changed] = edit.after
        follows[part][changed] = edit.following_cells
        touched[part] |= changed
    # Also where the value is what it was: whose it is, a person's or the model's, may differ.
    kept = follows[touched]
    return Edit(
        edits[-1].tool,
        ChangedCells.of_mask(touched, Window(y, x, y_end - y, x_end - x), edits[-1].shape),
        before[touched],
        after[touched],
        kept if kept.any() else None,
    )
