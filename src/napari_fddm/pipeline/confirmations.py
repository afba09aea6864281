"""Cells that a person painted with the class they had: the model was right there.

They change no label, so they are no edit. But who paints over a place says what it is,
and a model that learns from corrections alone would hear only of its mistakes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.cells import ChangedCells
from napari_fddm.core.edits import Edit
from napari_fddm.pipeline.store.layout import CORRECTED
from napari_fddm.pipeline.store.records import LogRecord

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.geometry import Window

KIND = "confirmed"
TOOL = "confirm"


def confirmation_record(
    labels: npt.NDArray[np.uint8], whole: tuple[int, int], window: Window, layer: str = CORRECTED
) -> LogRecord | None:
    """Return what goes into the event log; None if nothing was confirmed.

    Parameters
    ----------
    labels : array of uint8, shape of the window
        The class of each confirmed cell, 0 elsewhere.
    whole : tuple of int
        (rows, columns) of the label map.
    window : Window
        Where the labels lie in it.
    layer : str
        Whose map.
    """
    mask = labels != 0
    if not mask.any():
        return None
    values = np.ascontiguousarray(labels[mask])
    edit = Edit(TOOL, ChangedCells.of_mask(mask.copy(), window, whole), values, values.copy())
    return LogRecord(KIND, {"layer": layer, "edit": edit.to_record()})
