"""Collects confirmations: cells painted with the class that the model gave them already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.store.strokes import confirmation_record
from napari_fddm.plugin.plumbing import Connections

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.pipeline.store import LogRecord
    from napari_fddm.plugin.document.analysis import Analysis

BLOCK = 256
"""Edge of the blocks in which confirmed cells are stored, label cells."""


class Confirmations:
    """The confirmations of one analysis; `take` returns the records for its event log.

    Parameters
    ----------
    analysis : Analysis
        Its corrected layer reports what is painted.
    """

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self._blocks: dict[tuple[int, int], npt.NDArray[np.uint8]] = {}
        self._connections = Connections()
        self._connections.add(analysis.layer.repainted, self._on_layer_repainted)

    def take(self) -> list[LogRecord]:
        """Return the new confirmations, as far as the cells still have the model's class."""
        records = []
        whole = self._analysis.geometry.shape
        for (row, col), values in self._blocks.items():
            window = Window(row * BLOCK, col * BLOCK, BLOCK, BLOCK).clipped(whole)
            confirmed = values[: window.height, : window.width]
            valid = (self._analysis.label_map.labels[window.slices] == confirmed) & (
                self._analysis.label_map.automatic[window.slices] == confirmed
            )
            cells = np.where(valid, confirmed, 0).astype(np.uint8)
            record = confirmation_record(cells, whole, window)
            if record is not None:
                records.append(record)
        self._blocks.clear()
        return records

    def close(self) -> None:
        """Stop listening."""
        self._connections.close()

    def _on_layer_repainted(self, window: Window, same: npt.NDArray[np.bool_], label: int) -> None:
        """Store the cells block by block, fast: this runs at every move of the brush."""
        bottom, right = window.y + window.height, window.x + window.width
        for row in range(window.y // BLOCK, -(-bottom // BLOCK)):
            for col in range(window.x // BLOCK, -(-right // BLOCK)):
                top, left = row * BLOCK, col * BLOCK
                y, x = max(top, window.y), max(left, window.x)
                here = same[
                    y - window.y : top + BLOCK - window.y, x - window.x : left + BLOCK - window.x
                ]
                if here.any():
                    block = self._blocks.setdefault((row, col), np.zeros((BLOCK, BLOCK), np.uint8))
                    height, width = here.shape
                    inside = block[y - top : y - top + height, x - left : x - left + width]
                    inside[here] = label
