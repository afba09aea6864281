"""Keeps the class counts equal to the layer, whatever changes it (DESIGN section 6.9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from psygnal import Signal

from napari_fddm.core.cells import ChangedCells
from napari_fddm.core.edits import Edit, ShadowCounter
from napari_fddm.core.geometry import Window
from napari_fddm.core.necrosis import count_labels
from napari_fddm.core.outlines import InsideCounter
from napari_fddm.plugin.document.history import follow_model, has_steps, touched_cells
from napari_fddm.plugin.plumbing.connections import Connections

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_fddm.core.maps import LabelMap
    from napari_fddm.plugin.layers.corrected import CorrectedLabels


@dataclass(frozen=True, slots=True)
class Tally:
    """How labels differ from the model's.

    Attributes
    ----------
    edited : int
        Cells that differ.
    excluded : int
        Those of them that are 0 now.
    """

    edited: int
    excluded: int

    @classmethod
    def of(cls, labels: npt.NDArray[np.uint8], automatic: npt.NDArray[np.uint8]) -> Tally:
        """Compare two maps of the same shape."""
        different = labels != automatic
        return cls(
            int(np.count_nonzero(different)), int(np.count_nonzero(different & (labels == 0)))
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.edited + other.edited, self.excluded + other.excluded)

    def __sub__(self, other: Tally) -> Tally:
        return Tally(self.edited - other.edited, self.excluded - other.excluded)


@dataclass(frozen=True, slots=True)
class Counted:
    """The counts of a label map before anybody edits it here.

    Attributes
    ----------
    counter : ShadowCounter
        Of the labels.
    automatic : array of int64, shape (n_classes + 1,)
        Cells by what the model said.
    tally : Tally
        How the labels differ from that.
    """

    counter: ShadowCounter
    automatic: npt.NDArray[np.int64]
    tally: Tally

    @classmethod
    def of(cls, label_map: LabelMap, n_classes: int) -> Self:
        """Count a whole map."""
        return cls(
            ShadowCounter(label_map.labels, n_classes),
            count_labels(label_map.automatic, n_classes),
            Tally.of(label_map.labels, label_map.automatic),
        )


class LabelSync:
    """Counts a corrected layer and says what each edit changed.

    Parameters
    ----------
    layer : CorrectedLabels
        The layer. Edits made by its tools, undo, redo and by code that calls ``refresh``
        are seen at once; what other code writes into the array without a word is seen by
        `audit`, and by whatever happens next at that place or everywhere.
    label_map : LabelMap
        What the layer shows.
    n_classes : int
        Highest label value.
    counted : Counted, optional
        The counts of the map as it is now, where another thread has made them.

    Attributes
    ----------
    edited : psygnal signal of Edit
        After each change a person (or another plugin) made.
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
        counted: Counted | None = None,
    ) -> None:
        self.layer = layer
        self.label_map = label_map
        self._n_classes = n_classes
        counted = counted or Counted.of(label_map, n_classes)
        self._counter, self._tally = counted.counter, counted.tally
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
        """Cells by what the model said, int64 of shape (n_classes + 1,)."""
        return self._automatic_counts.copy()

    @property
    def edited_share(self) -> float:
        """Share of the cells that the model or a person labeled and that differ, in [0, 1]."""
        labeled = int(self.counts[1:].sum()) + self._tally.excluded
        return self._tally.edited / max(1, labeled)

    @property
    def excluded(self) -> int:
        """Number of cells that the model labeled and a person excluded."""
        return self._tally.excluded

    @property
    def bed_counts(self) -> npt.NDArray[np.int64] | None:
        """Cells by label value inside the outlined tumor bed; None without an outline."""
        return self._bed.counts if self._bed is not None else None

    def set_bed(self, mask: npt.NDArray[np.bool_] | None) -> None:
        """Count inside a mask of the map as well, or no longer (None)."""
        if mask is None and self._bed is None:
            return
        self.audit()  # else what nobody has seen yet would be counted twice
        labels = self.label_map.labels
        self._bed = InsideCounter(labels, mask, self._n_classes) if mask is not None else None

    def put_automatic(self, window: Window, labels: npt.NDArray[np.uint8]) -> None:
        """Take new labels of the model without calling it an edit."""
        self._look(window, "write")  # what nobody has seen yet is an edit, not the model's
        before, counted = self._tally_of(window), self._count_automatic(window)
        if self._bed is not None:
            self._bed.add(-self._bed.counted(self.label_map.labels, window))
        said = self.label_map.automatic[window.slices].copy() if has_steps(self.layer) else None
        self.label_map.put_automatic(window, labels)
        if said is not None:
            follow_model(self.layer, window, said, labels)
        if self._bed is not None:
            self._bed.add(self._bed.counted(self.label_map.labels, window))
        self._automatic_counts += self._count_automatic(window) - counted
        self._counter.update(self.label_map.labels, window)
        self._tally += self._tally_of(window) - before
        self.touched.emit(window)

    def audit(self) -> None:
        """Take over what other code wrote into the array without calling ``refresh``."""
        self._take(self._counter.update_all(self.layer.data, "write"))

    def take_stored(
        self, labels: npt.NDArray[np.uint8], held: npt.NDArray[np.bool_] | None = None
    ) -> None:
        """Take the labels that another program left, without calling it an edit.

        Parameters
        ----------
        labels : array of uint8, shape of the map
        held : array of bool, shape of the map, optional
            Cells that people gave a value of their own; by default those that differ
            from the model's.
        """
        self.label_map.labels[...] = labels
        self.label_map.held[...] = labels != self.label_map.automatic if held is None else held
        change = self._counter.update_all(self.label_map.labels)
        if change is not None and self._bed is not None:
            self._bed.apply(change)
        self._tally = Tally.of(self.label_map.labels, self.label_map.automatic)
        self.layer.forget_history()  # its steps start from labels that are gone
        self.layer.refresh()
        if change is not None:
            self.touched.emit(change.window)

    def repeat(self, edits: Sequence[Edit]) -> None:
        """Make edits again that were made before, as if by hand."""
        for edit in edits:
            edit.apply(self.label_map.labels)
        self._take(self._counter.update_all(self.label_map.labels, "rescue"))
        self.layer.refresh()

    def close(self) -> None:
        """Stop listening."""
        self._connections.close()

    def _on_layer_cells_written(self, window: Window) -> None:
        self._look(window, self.layer.doing)

    def _on_layer_rewritten(self, tool: str) -> None:
        self._take(self._counter.update_all(self.layer.data, tool))

    def _on_layer_stepped(self, atoms: Sequence[Any]) -> None:
        """Give cells back to the model whose undo led to what it says by now anyway."""
        y, x = touched_cells(atoms)
        labels = self.label_map
        mine = labels.held[y, x] & (labels.labels[y, x] == labels.automatic[y, x])
        if not mine.any():
            return
        y, x = y[mine], x[mine]
        top, left = int(y.min()), int(x.min())
        mask = np.zeros((int(y.max()) - top + 1, int(x.max()) - left + 1), np.bool_)
        mask[y - top, x - left] = True
        window = Window(top, left, *mask.shape)
        values = labels.labels[window.slices][mask]
        cells = ChangedCells.of_mask(mask, window, labels.geometry.shape)
        edit = Edit(self.layer.doing, cells, values, values.copy()).following(values)
        edit.update_held(labels.held)
        self.edited.emit(edit)

    def _look(self, window: Window, tool: str) -> None:
        self._take(self._counter.update(self.layer.data, window, tool))

    def _tally_of(self, window: Window) -> Tally:
        part = window.slices
        return Tally.of(self.label_map.labels[part], self.label_map.automatic[part])

    def _count_automatic(self, window: Window) -> npt.NDArray[np.int64]:
        return count_labels(self.label_map.automatic[window.slices], self._n_classes)

    def _take(self, edit: Edit | None) -> None:
        if edit is None:
            return
        automatic = self.label_map.automatic[edit.window.slices][edit.mask()]
        edit = edit.following(automatic)
        edit.update_held(self.label_map.held)
        self._tally += Tally.of(edit.after, automatic) - Tally.of(edit.before, automatic)
        if self._bed is not None:
            self._bed.apply(edit)
        self.edited.emit(edit)
        self.touched.emit(edit.window)
