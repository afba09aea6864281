"""The outline of the tumor bed that a pathologist drew, kept as a record of the event log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.pipeline.store.records import LogRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from napari_fddm.pipeline.store.analysis_store import AnalysisStore

    Polygon = npt.NDArray[np.float64]

KIND = "tumor_bed"
DECIMALS = 2
"""Corners are stored to a hundredth of a level-0 pixel."""


def tumor_bed_record(
    polygons: Sequence[Polygon], *, layer: str = "corrected", reader: str = ""
) -> LogRecord:
    """Return the record of an outline; one without polygons removes an earlier outline.

    Parameters
    ----------
    polygons : sequence of array of float, shape (corners, 2)
        (y, x) in level-0 px, edge coordinates.
    layer, reader : str
        Whose label map it belongs to.
    """
    corners = [np.round(polygon, DECIMALS).tolist() for polygon in polygons]
    return LogRecord(KIND, {"layer": layer, "reader": reader, "polygons": corners})


def polygons_of(fields: Mapping[str, Any]) -> tuple[Polygon, ...]:
    """Return the outline in a record's fields."""
    return tuple(np.asarray(p, np.float64).reshape(-1, 2) for p in fields["polygons"])


def read_tumor_bed(store: AnalysisStore, *, layer: str = "corrected") -> tuple[Polygon, ...]:
    """Return the outline that was logged last; empty if there is none.

    Raises
    ------
    StoreError
        If the log is damaged.
    """
    records = list(store.records.of(KIND, layer))
    return polygons_of(records[-1]) if records else ()
