"""An analysis made ready for the window, in another thread: its maps copied and counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.maps import LabelMap
from napari_fddm.plugin.document.edit_tracker import Counted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from napari_fddm.core.events import AnalysisOpened


@dataclass(frozen=True, slots=True)
class PreparedAnalysis:
    """What a store holds, with all that takes the longer the larger the map is.

    Attributes
    ----------
    opened : AnalysisOpened
        What the store holds.
    patch : array of uint8, shape of the tile grid
        Class per tile, to be written.
    label_map : LabelMap
        To be edited.
    counted : Counted
        Its counts.
    """

    opened: AnalysisOpened
    patch: npt.NDArray[np.uint8]
    label_map: LabelMap
    counted: Counted

    @classmethod
    def of(cls, opened: AnalysisOpened) -> Self:
        """Copy and count: about 10 ns per cell, so not for the main thread."""
        held = opened.held
        label_map = LabelMap(
            opened.corrected.copy(),
            opened.automatic.copy(),
            opened.label_geometry,
            held.copy() if held is not None else opened.corrected != opened.automatic,
        )
        counted = Counted.of(label_map, len(OSTEOSARCOMA))
        return cls(opened, opened.patch.copy(), label_map, counted)
