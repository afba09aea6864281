"""Keeps where a person painted the class that was there already: the model was right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.confirmations import confirmation_record
from napari_fddm.plugin.connections import Connections

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.pipeline.records import LogRecord
    from napari_fddm.plugin.analysis import Analysis

BLOCK = 256
"""Edge of the blocks in which confirmed cells are kept, label cells."""


class Confirming:
    """Listens to one analysis; `take` gives what goes into its event log.

    Parameters
    ----------
    analysis : Analysis
        Whose layer is painted.
    """

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self._blocks: dict[tuple[int, int], npt.NDArray[np.uint8]] = {}
        self._connections = Connections()
        self._connections.add(analysis.layer.repainted, self._on_layer_repainted)

    def take(self) -> list[LogRecord]:
        """Return, once, what was confirmed and still stands as the model said it."""
        records = []
        whole = self._analysis.geometry.shape
        for (row, col), values in self._blocks.items():
            window = Window(row * BLOCK, col * BLOCK, BLOCK, BLOCK).clipped(whole)
            said = values[: window.height, : window.width]
            stands = (self._analysis.label_map.labels[window.slices] == said) & (
                self._analysis.label_map.automatic[window.slices] == said
            )
            record = confirmation_record(np.where(stands, said, 0).astype(np.uint8), whole, window)
            if record is not None:
                records.append(record)
        self._blocks.clear()
        return records

    def close(self) -> None:
        """Stop listening."""
        self._connections.close()

    def _on_layer_repainted(self, window: Window, same: npt.NDArray[np.bool_], label: int) -> None:
        rows, cols = np.nonzero(same)
        rows, cols = rows + window.y, cols + window.x
        keys = np.stack([rows // BLOCK, cols // BLOCK], axis=1)
        for key in np.unique(keys, axis=0):
            here = (keys == key).all(axis=1)
            place = (int(key[0]), int(key[1]))
            block = self._blocks.setdefault(place, np.zeros((BLOCK, BLOCK), np.uint8))
            block[rows[here] % BLOCK, cols[here] % BLOCK] = label
