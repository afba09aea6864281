"""Turns every change of the corrected labels into an `Edit` and updates the class counts.

It works whatever makes the change: a tool, undo, redo or other code.
Why: ``docs/architecture.md#editing-and-the-live-rate``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_fddm.core.cells import ChangedCells
from napari_fddm.core.edits import Edit
from napari_fddm.core.geometry import Window
from napari_fddm.core.necrosis import count_labels
from napari_fddm.core.outlines import InsideCounter
from napari_fddm.plugin.document.label_counts import EditedCells, LabelCounts
from napari_fddm.plugin.document.undo_history import follow_model, has_steps, touched_cells
from napari_fddm.plugin.plumbing import Connections

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_fddm.core.maps import LabelMap
    from napari_fddm.plugin.layers import CorrectedLabels


class EditTracker:
    """Finds what changes in the corrected layer, and counts the classes.

    Parameters
    ----------
    layer : CorrectedLabels
        The layer. Changes by its tools, by undo and redo and by code that calls ``refresh``
        are found at once; those by code that writes into the array and calls nothing are
        found by `audit`, or together with the next change of these cells.
    label_map : LabelMap
        What the layer shows.
    n_classes : int
        Highest label value.
    counted : LabelCounts, optional
        The counts of the map as it is now, if another thread has made them already.

    Attributes
    ----------
    edited : psygnal signal of Edit
        After each change by a person or another plugin.
    touched : psygnal signal of Window
        After the labels inside a window changed, by a person or by the model.
    """

    edited = Signal(Edit)
    touched = Signal(Window)

    def __init__(
        self,
        layer: CorrectedLabels,
        label_map: LabelMap,
        n_classes: int,
        counted: LabelCounts | None = None,
    ) -> None:
        self.layer = layer
        self.label_map = label_map
        self._n_classes = n_classes
        counted = counted or LabelCounts.of(label_map, n_classes)
        self._counter, self._edited = counted.counter, counted.edited_cells
        self._automatic_counts = counted.automatic.copy()
        self._bed: InsideCounter | None = None
        self._connections = Connections()
        self._connections.add(layer.cells_written, self._on_layer_cells_written)
        self._connections.add(layer.rewritten, self._on_layer_rewritten)
        self._connections.add(layer.stepped, self._on_layer_stepped)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Cells by label value, int64 of shape (n_classes + 1,)."""
        return self._counter.counts

    @property
    def automatic_counts(self) -> npt.NDArray[np.int64]:
        """Cells by the model's label, int64 of shape (n_classes + 1,)."""
        return self._automatic_counts.copy()

    @property
    def edited_share(self) -> float:
        """Share of edited cells among those that the model or a person labeled, in [0, 1]."""
        labeled = int(self.counts[1:].sum()) + self._edited.excluded
        return self._edited.edited / max(1, labeled)

    @property
    def excluded(self) -> int:
        """Number of cells that the model labeled and a person excluded."""
        return self._edited.excluded

    @property
    def bed_counts(self) -> npt.NDArray[np.int64] | None:
        """Cells by label value inside the outlined tumor bed; None without an outline."""
        return self._bed.counts if self._bed is not None else None

    def set_bed(self, mask: npt.NDArray[np.bool_] | None) -> None:
        """Count inside the tumor bed as well, or no longer (None).

        Parameters
        ----------
        mask : array of bool, shape of the map, or None
            True inside.
        """
        if mask is None and self._bed is None:
            return
        self.audit()  # or a change that was not found yet would be counted twice
        labels = self.label_map.labels
        self._bed = InsideCounter(labels, mask, self._n_classes) if mask is not None else None

    def put_automatic(self, window: Window, labels: npt.NDArray[np.uint8]) -> None:
        """Write new labels of the model, which are no edit.

        Parameters
        ----------
        window : Window
            Where they lie.
        labels : array of uint8, shape of the window
        """
        self._find_edit(window, "write")  # what other code wrote there before is an edit
        edited, counted = self._edited_of(window), self._count_automatic(window)
        if self._bed is not None:
            self._bed.add(-self._bed.counted(self.label_map.labels, window))
        before = self.label_map.automatic[window.slices].copy() if has_steps(self.layer) else None
        self.label_map.put_automatic(window, labels)
        if before is not None:
            follow_model(self.layer, window, before, labels)
        if self._bed is not None:
            self._bed.add(self._bed.counted(self.label_map.labels, window))
        self._automatic_counts += self._count_automatic(window) - counted
        self._counter.update(self.label_map.labels, window)
        self._edited += self._edited_of(window) - edited
        self.touched.emit(window)

    def audit(self) -> None:
        """Find what other code wrote into the array without calling ``refresh``."""
        self._finish_edit(self._counter.update_all(self.layer.data, "write"))

    def take_stored(
        self, labels: npt.NDArray[np.uint8], held: npt.NDArray[np.bool_] | None = None
    ) -> None:
        """Show the labels that another program has stored, which is no edit.

        Parameters
        ----------
        labels : array of uint8, shape of the map
        held : array of bool, shape of the map, optional
            Cells whose value a person chose; by default those that differ from the
            model's.
        """
        self.label_map.labels[...] = labels
        self.label_map.held[...] = labels != self.label_map.automatic if held is None else held
        change = self._counter.update_all(self.label_map.labels)
        if change is not None and self._bed is not None:
            self._bed.apply(change)
        self._edited = EditedCells.of(self.label_map.labels, self.label_map.automatic)
        self.layer.forget_history()  # its steps lead to labels that were replaced
        self.layer.refresh()
        if change is not None:
            self.touched.emit(change.window)

    def repeat(self, edits: Sequence[Edit]) -> None:
        """Make edits again, e.g. rescued ones, as if by hand."""
        for edit in edits:
            edit.apply(self.label_map.labels)
        self._finish_edit(self._counter.update_all(self.label_map.labels, "rescue"))
        self.layer.refresh()

    def close(self) -> None:
        """Stop listening."""
        self._connections.close()

    def _on_layer_cells_written(self, window: Window) -> None:
        self._find_edit(window, self.layer.doing)

    def _on_layer_rewritten(self, tool: str) -> None:
        self._finish_edit(self._counter.update_all(self.layer.data, tool))

    def _on_layer_stepped(self, atoms: Sequence[Any]) -> None:
        """Let runs change cells again that undo or redo brought back to the model's label."""
        y, x = touched_cells(atoms)
        labels = self.label_map
        returned = labels.held[y, x] & (labels.labels[y, x] == labels.automatic[y, x])
        if not returned.any():
            return
        y, x = y[returned], x[returned]
        top, left = int(y.min()), int(x.min())
        mask = np.zeros((int(y.max()) - top + 1, int(x.max()) - left + 1), np.bool_)
        mask[y - top, x - left] = True
        window = Window(top, left, *mask.shape)
        values = labels.labels[window.slices][mask]
        cells = ChangedCells.of_mask(mask, window, labels.geometry.shape)
        edit = Edit(self.layer.doing, cells, values, values.copy()).following(values)
        edit.update_held(labels.held)
        self.edited.emit(edit)

    def _find_edit(self, window: Window, tool: str) -> None:
        self._finish_edit(self._counter.update(self.layer.data, window, tool))

    def _edited_of(self, window: Window) -> EditedCells:
        part = window.slices
        return EditedCells.of(self.label_map.labels[part], self.label_map.automatic[part])

    def _count_automatic(self, window: Window) -> npt.NDArray[np.int64]:
        return count_labels(self.label_map.automatic[window.slices], self._n_classes)

    def _finish_edit(self, edit: Edit | None) -> None:
        if edit is None:
            return
        automatic = self.label_map.automatic[edit.window.slices][edit.mask()]
        edit = edit.following(automatic)
        edit.update_held(self.label_map.held)
        self._edited += EditedCells.of(edit.after, automatic) - EditedCells.of(
            edit.before, automatic
        )
        if self._bed is not None:
            self._bed.apply(edit)
        self.edited.emit(edit)
        self.touched.emit(edit.window)
