"""Prepares a stored analysis for the window in another thread: copies its maps, counts cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.maps import LabelMap
from napari_fddm.plugin.document.label_counts import LabelCounts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from napari_fddm.core.events import AnalysisOpened


@dataclass(frozen=True, slots=True)
class PreparedAnalysis:
    """What a store holds, and everything made of it that takes long for a large map.

    Attributes
    ----------
    opened : AnalysisOpened
        What the store holds.
    patch : array of uint8, shape of the tile grid
        Class per tile; a run writes into it.
    label_map : LabelMap
        The labels, to be edited.
    counted : LabelCounts
        The counts of the label map.
    """

    opened: AnalysisOpened
    patch: npt.NDArray[np.uint8]
    label_map: LabelMap
    counted: LabelCounts

    @classmethod
    def of(cls, opened: AnalysisOpened) -> Self:
        """Copy and count, which takes about 10 ns per cell: not for the main thread."""
        held = opened.held
        label_map = LabelMap(
            opened.corrected.copy(),
            opened.automatic.copy(),
            opened.label_geometry,
            held.copy() if held is not None else opened.corrected != opened.automatic,
        )
        counted = LabelCounts.of(label_map, len(OSTEOSARCOMA))
        return cls(opened, opened.patch.copy(), label_map, counted)
