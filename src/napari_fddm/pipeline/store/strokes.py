"""Strokes in the event log: how one becomes a record, and which cells were painted in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_fddm.core.cells import ChangedCells
from napari_fddm.core.edits import Edit
from napari_fddm.pipeline.store.eventlog import EDIT
from napari_fddm.pipeline.store.layout import CORRECTED
from napari_fddm.pipeline.store.records import LogRecord

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry, Window
    from napari_fddm.pipeline.store.eventlog import EventLog
    from napari_fddm.pipeline.store.layout import StoreGeometries

TAKEN_BACK = frozenset({"undo", "abort", "restore", "reset"})
"""Tools that take strokes back: cells that follow the model after them are not painted."""
CONFIRMED = "confirmed"
"""Kind of record: cells painted with the class they had, so that the model was right."""
CONFIRM_TOOL = "confirm"


class HasLog(Protocol):
    """What reading strokes needs of an analysis; `AnalysisStore` has it."""

    geometries: StoreGeometries

    @property
    def log(self) -> EventLog:
        """The event log."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Strokes:
    """What a person painted on one slide.

    Attributes
    ----------
    painted : array of uint8, shape (H, W)
        The class a person painted, on the label grid; 0 where nobody painted. Excluded
        cells are 0, too: a fold or a pen mark is no sample of any class.
    geometry : MapGeometry
        The label grid.
    """

    painted: npt.NDArray[np.uint8]
    geometry: MapGeometry

    @property
    def cells(self) -> int:
        """Number of label cells that were painted."""
        return int(np.count_nonzero(self.painted))


def stroke_fields(edit: Edit, layer: str, reader: str) -> dict[str, Any]:
    """Return the fields of the record (of kind `EDIT`) that logs a stroke or another edit.

    Parameters
    ----------
    edit : Edit
        What it changed, on the label grid.
    layer : str
        Whose map.
    reader : str
        Name or initials; empty if unknown.
    """
    return {"layer": layer, "reader": reader, "edit": edit.to_record()}


def read_strokes(store: HasLog, layer: str = CORRECTED) -> Strokes:
    """Read what was painted from the log of a store.

    A comparison of the corrected with the automatic map would not do. It misses strokes
    that a model has learned, because its labels then agree with them, and it takes the
    cells for painted whose automatic label changed because strokes were spread.

    Parameters
    ----------
    store : AnalysisStore or alike
        Open; also while another program edits it.
    layer : str
        Whose strokes.

    Raises
    ------
    StoreError
        If the log is damaged or belongs to another grid.
    """
    painted = np.zeros(store.geometries.label.shape, np.uint8)
    for edit in store.log.edits(layer, store.geometries.label.shape, (EDIT, CONFIRMED)):
        values = edit.after
        if edit.tool in TAKEN_BACK:
            values = np.where(edit.following_cells, 0, values).astype(np.uint8)
        painted[edit.window.slices][edit.mask()] = values
    return Strokes(painted, store.geometries.label)


def confirmation_record(
    labels: npt.NDArray[np.uint8], whole: tuple[int, int], window: Window, layer: str = CORRECTED
) -> LogRecord | None:
    """Return the record of confirmed cells for the event log; None if there are none.

    Parameters
    ----------
    labels : array of uint8, shape of the window
        The class of each confirmed cell, 0 elsewhere.
    whole : tuple of int
        (rows, columns) of the label map.
    window : Window
        The part of the label map that the labels cover.
    layer : str
        Whose map.
    """
    mask = labels != 0
    if not mask.any():
        return None
    values = np.ascontiguousarray(labels[mask])
    edit = Edit(
        CONFIRM_TOOL, ChangedCells.of_mask(mask.copy(), window, whole), values, values.copy()
    )
    return LogRecord(CONFIRMED, {"layer": layer, "edit": edit.to_record()})
