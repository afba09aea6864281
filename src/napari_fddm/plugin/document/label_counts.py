"""Counts of a label map by class, and of the cells that differ from the model's labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from napari_fddm.core.edits import ShadowCounter
from napari_fddm.core.necrosis import count_labels

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.maps import LabelMap


@dataclass(frozen=True, slots=True)
class EditedCells:
    """How many labels differ from the model's.

    Attributes
    ----------
    edited : int
        Cells that differ.
    excluded : int
        Cells that differ and are 0 now.
    """

    edited: int
    excluded: int

    @classmethod
    def of(cls, labels: npt.NDArray[np.uint8], automatic: npt.NDArray[np.uint8]) -> EditedCells:
        """Compare two maps of the same shape."""
        different = labels != automatic
        return cls(
            int(np.count_nonzero(different)), int(np.count_nonzero(different & (labels == 0)))
        )

    def __add__(self, other: EditedCells) -> EditedCells:
        return EditedCells(self.edited + other.edited, self.excluded + other.excluded)

    def __sub__(self, other: EditedCells) -> EditedCells:
        return EditedCells(self.edited - other.edited, self.excluded - other.excluded)


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """The counts of a whole label map.

    Attributes
    ----------
    counter : ShadowCounter
        Counts the labels, and goes on counting as they change.
    automatic : array of int64, shape (n_classes + 1,)
        Cells by the model's label.
    edited_cells : EditedCells
        How the labels differ from the model's.
    """

    counter: ShadowCounter
    automatic: npt.NDArray[np.int64]
    edited_cells: EditedCells

    @classmethod
    def of(cls, label_map: LabelMap, n_classes: int) -> Self:
        """Count a whole map."""
        return cls(
            ShadowCounter(label_map.labels, n_classes),
            count_labels(label_map.automatic, n_classes),
            EditedCells.of(label_map.labels, label_map.automatic),
        )
