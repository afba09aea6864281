"""Maps of a slide: class probabilities (frozen) and the label map that people correct."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry, Window


TISSUE_FEATURES = 6
"""Numbers O that describe the tissue of a bridge cell: mean and standard deviation of its
red, green and blue."""


@dataclass(frozen=True, slots=True)
class ProbabilityMap:
    """Class probabilities on a grid.

    Attributes
    ----------
    probs : array of float16 or float32, shape (classes, H, W)
        Channel c belongs to label value c + 1.
    coverage : array of bool, shape (H, W)
        Cells that were analyzed; elsewhere ``probs`` means nothing.
    geometry : MapGeometry
        Where the grid lies.
    """

    probs: npt.NDArray[np.floating]
    coverage: npt.NDArray[np.bool_]
    geometry: MapGeometry

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit the geometry."""
        if self.probs.shape[1:] != self.geometry.shape or self.coverage.shape != (
            self.geometry.shape
        ):
            raise ConfigError(
                f"probabilities {self.probs.shape} and coverage {self.coverage.shape} "
                f"do not fit a map of {self.geometry.shape}."
            )

    @property
    def labels(self) -> npt.NDArray[np.uint8]:
        """Most probable class per cell, 0 where not analyzed, shape (H, W)."""
        values = (self.probs.argmax(axis=0) + 1).astype(np.uint8)
        values[~self.coverage] = 0
        return np.asarray(values)


@dataclass(slots=True)
class LabelMap:
    """The label map a pathologist corrects: the one mutable value.

    Attributes
    ----------
    labels : array of uint8, shape (H, W)
        Current values, 0 = not analyzed; changed in place by the editor.
    automatic : array of uint8, shape (H, W)
        The model's labels, read-only.
    geometry : MapGeometry
        Where the map lies.
    held : array of bool, shape (H, W)
        Cells that a person decided: they keep their value whatever the model's label becomes,
        also where both once agreed. By default those that differ from the model.
    """

    labels: npt.NDArray[np.uint8]
    automatic: npt.NDArray[np.uint8]
    geometry: MapGeometry
    held: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    def __post_init__(self) -> None:
        """Check shapes and protect the automatic map from writing."""
        if self.labels.shape != self.geometry.shape or self.automatic.shape != self.labels.shape:
            raise ConfigError(
                f"labels {self.labels.shape} and automatic labels {self.automatic.shape} "
                f"do not fit a map of {self.geometry.shape}."
            )
        self.automatic.flags.writeable = False
        if not self.held.size:
            self.held = self.labels != self.automatic

    @property
    def edited(self) -> npt.NDArray[np.bool_]:
        """Cells whose value is not the model's, shape (H, W)."""
        return np.asarray(self.labels != self.automatic)

    def put_automatic(self, window: Window, labels: npt.NDArray[np.uint8]) -> None:
        """Replace labels of the model; cells that a person decided keep their value.

        Parameters
        ----------
        window : Window
            Cells, inside the map.
        labels : array of uint8, shape of the window
            The model's new labels.
        """
        rows, cols = window.slices
        untouched = ~self.held[rows, cols]
        self.automatic.flags.writeable = True
        self.automatic[rows, cols] = labels
        self.automatic.flags.writeable = False
        np.copyto(self.labels[rows, cols], labels, where=untouched)
