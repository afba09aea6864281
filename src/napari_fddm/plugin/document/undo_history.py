"""Rewrites napari's undo steps when a run changes the model's labels.

Undoing a stroke must bring back the label that the model gives now, not the one that it gave
when the stroke was made.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers.labels.labels import _MaskedPaintAtom

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt
    from napari.layers import Labels

    from napari_fddm.core.geometry import Window

    Values = npt.NDArray[np.uint8]


def follow_model(layer: Labels, window: Window, before: Values, after: Values) -> None:
    """Replace the model's old labels in undo and redo steps with its new ones.

    The undo step of a stroke over cells that were not analyzed holds 0 for them. When a run
    labels them later, undo must give the model's label: 0 would mean that they are excluded.

    Parameters
    ----------
    layer : Labels
        Its undo and redo steps are changed, in place.
    window : Window
        Cells with new labels of the model.
    before, after : array of uint8, shape of the window
        The model's labels before and after the run.
    """
    steps = chain(layer._undo_history, layer._redo_history, [layer._staged_history])
    for atom in chain.from_iterable(steps):
        if isinstance(atom, _MaskedPaintAtom):
            _follow_in_box(atom, window, before, after)
        else:
            places, *remembered = atom
            for values in remembered:
                _follow_at(places, values, window, before, after)


def touched_cells(atoms: Iterable[Any]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return rows and columns of every cell that an undo or redo step has written."""
    rows, cols = [], []
    for atom in atoms:
        if isinstance(atom, _MaskedPaintAtom):
            y, x = _cells_in_box(atom)
        else:
            y, x = atom[0][-2:]
        y, x = np.broadcast_arrays(np.asarray(y), np.asarray(x))
        rows.append(y.ravel())
        cols.append(x.ravel())
    if not rows:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    return np.concatenate(rows).astype(np.intp), np.concatenate(cols).astype(np.intp)


def has_steps(layer: Labels) -> bool:
    """Return whether a layer has undo or redo steps."""
    return bool(layer._undo_history or layer._redo_history or layer._staged_history)


def _follow_in_box(atom: _MaskedPaintAtom, window: Window, before: Values, after: Values) -> None:
    rows, cols = atom.slice_key
    apart = (
        rows.start >= window.y + window.height
        or rows.stop <= window.y
        or cols.start >= window.x + window.width
        or cols.stop <= window.x
    )
    if not apart:
        _follow_at(_cells_in_box(atom), atom.old_values, window, before, after)


def _cells_in_box(atom: _MaskedPaintAtom) -> tuple[Any, Any]:
    rows, cols = atom.slice_key
    if atom.mask is None:
        y, x = np.ogrid[rows, cols]
        return y, x
    y, x = np.nonzero(atom.mask)
    return y + rows.start, x + cols.start


def _follow_at(places: Any, values: Any, window: Window, before: Values, after: Values) -> None:
    """Replace values of a step in place; a scalar is the class that was painted, which stays."""
    if not isinstance(values, np.ndarray) or values.ndim == 0:
        return
    y, x = np.broadcast_arrays(*(np.asarray(n) for n in places[-2:]))
    y, x = y - window.y, x - window.x
    inside = (y >= 0) & (y < window.height) & (x >= 0) & (x < window.width)
    y, x = y[inside], x[inside]
    old = values[inside]
    values[inside] = np.where(old == before[y, x], after[y, x], old)
