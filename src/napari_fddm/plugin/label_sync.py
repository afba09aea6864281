"""Keeps the class counts equal to the layer, whatever changes it (DESIGN section 6.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_fddm.core.edits import Edit, ShadowCounter
from napari_fddm.core.geometry import Window
from napari_fddm.plugin.connections import Connections

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.maps import LabelMap
    from napari_fddm.plugin.layers import CorrectedLabels


class LabelSync:
    """Counts a corrected layer and says what each edit changed.

    Parameters
    ----------
    layer : CorrectedLabels
        The layer; edits made by brush, fill, polygon, undo, redo and by code that
        calls ``refresh`` are seen.
    label_map : LabelMap
        What the layer shows.
    n_classes : int
        Highest label value.

    Attributes
    ----------
    edited : psygnal signal of Edit
        After each change a person (or another plugin) made.
    """

    edited = Signal(Edit)

    def __init__(self, layer: CorrectedLabels, label_map: LabelMap, n_classes: int) -> None:
        self.layer = layer
        self.label_map = label_map
        self._counter = ShadowCounter(label_map.labels, n_classes)
        self._edited_cells = int(np.count_nonzero(label_map.edited))
        self._connections = Connections()
        self._connections.add(layer.events.labels_update, self._on_layer_labels_update)
        self._connections.add(layer.events.set_data, self._on_layer_set_data)
        self._connections.add(layer.history_loaded, self._on_layer_history_loaded)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Cells by label value, int64 of shape (n_classes + 1,)."""
        return self._counter.counts

    @property
    def edited_share(self) -> float:
        """Share of the analyzed cells that differ from the model's, in [0, 1]."""
        return self._edited_cells / max(1, int(self.counts[1:].sum()))

    def put_automatic(self, window: Window, labels: npt.NDArray[np.uint8]) -> None:
        """Take new labels of the model without calling it an edit."""
        before = self._edited_in(window)
        self.label_map.put_automatic(window, labels)
        self._counter.update(self.label_map.labels, window)
        self._edited_cells += self._edited_in(window) - before

    def close(self) -> None:
        """Stop listening."""
        self._connections.close()

    def _on_layer_labels_update(self, event: Any) -> None:
        height, width = event.data.shape[:2]
        y, x = (int(n) for n in event.offset)
        self._take(self._counter.update(self.layer.data, Window(y, x, height, width), self._tool))

    def _on_layer_set_data(self, event: Any = None) -> None:
        self._take(self._counter.update_all(self.layer.data, "write"))

    def _on_layer_history_loaded(self) -> None:
        self._take(self._counter.update_all(self.layer.data, "undo"))

    def _edited_in(self, window: Window) -> int:
        part = window.slices
        different = self.label_map.labels[part] != self.label_map.automatic[part]
        return int(np.count_nonzero(different))

    @property
    def _tool(self) -> str:
        return str(self.layer.mode)

    def _take(self, edit: Edit | None) -> None:
        if edit is None:
            return
        automatic = self.label_map.automatic[edit.window.slices][edit.mask()]
        before, after = edit.before != automatic, edit.after != automatic
        self._edited_cells += int(np.count_nonzero(after)) - int(np.count_nonzero(before))
        self.edited.emit(edit)
