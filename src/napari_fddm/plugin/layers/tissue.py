"""The layer on which a tissue mask is edited: 1 is tissue, 0 is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.layers.labels.labels import WrongSelectedLabelError
from napari.utils.colormaps import DirectLabelColormap
from psygnal import Signal

from napari_fddm.core.errors import ConfigError
from napari_fddm.plugin.layers.common import METADATA, placement
from napari_fddm.plugin.plumbing.napari_text import unmarked

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry
    from napari_fddm.plugin.state.placement import Placement

ROLE = "tissue"
TISSUE = 1
COLOR = (0.25, 0.85, 0.85, 1.0)
"""Unlike every stain and every class; the layer's opacity keeps the cells visible."""
OPACITY = 0.3
BRUSH_CELLS = 20
"""Diameter of the brush: 320 µm, a little more than a tile, which is the unit of a run."""


class TissueLabels(Labels):
    """A tissue mask that can be painted; erasing removes tissue.

    Parameters
    ----------
    mask : array of bool, shape of the geometry
        True on tissue.
    geometry : MapGeometry
        The tissue grid.
    name : str
        Shown in the layer list.
    place : Placement, optional
        Where the slide lies.

    Attributes
    ----------
    touched : psygnal signal
        Cells may have changed, by a tool, undo, redo or code that called ``refresh``.
    """

    touched = Signal()

    def __init__(
        self,
        mask: npt.NDArray[np.bool_],
        geometry: MapGeometry,
        name: str,
        place: Placement | None = None,
    ) -> None:
        clear = (0.0, 0.0, 0.0, 0.0)
        colors: dict[int | None, Any] = {None: clear, 0: clear, TISSUE: COLOR}
        super().__init__(
            mask.astype(np.uint8),
            name=unmarked(name),
            colormap=DirectLabelColormap(color_dict=colors),
            opacity=OPACITY,
            metadata={METADATA: {"role": ROLE}},
            **placement(geometry, place),
        )
        self.brush_size = BRUSH_CELLS
        self.selected_label = TISSUE

    @property
    def data(self) -> npt.NDArray[np.uint8]:
        """0 or 1, uint8 of shape (H, W); assigning copies values into the same array."""
        return np.asarray(self._data)

    @data.setter
    def data(self, values: npt.ArrayLike) -> None:
        new = np.asarray(values)
        if new.shape != self.data.shape or not np.isin(new, (0, TISSUE)).all():
            raise ConfigError(
                f"a tissue mask has {self.data.shape} cells of 0 or 1; got {new.shape}, or "
                "other values.",
                hint="Add the array as a layer of its own.",
            )
        self.data[...] = new
        self.refresh()

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """A copy of the mask, True on tissue."""
        return np.asarray(self.data != 0)

    def put(self, mask: npt.NDArray[np.bool_]) -> None:
        """Write a whole mask, as a step that can be undone."""
        rows, cols = np.nonzero(mask != self.mask)
        if rows.size:
            self.data_setitem((rows, cols), mask[rows, cols].astype(np.uint8))

    def data_setitem(self, indices: Any, value: Any, refresh: bool = True) -> None:
        """Write cells as a step that can be undone; refuses values other than 0 and 1."""
        for label in np.unique(value):
            self._validate_label_in_range(int(label))
        super().data_setitem(indices, value, refresh)

    def refresh(self, event: Any = None, **parts: Any) -> None:
        """Draw, then emit `touched`."""
        super().refresh(event, **parts)
        if parts.get("data_displayed", True):
            self.touched.emit()

    def _paint_region_with_mask(
        self, slice_key: Any, mask: Any, new_label: int, *args: Any, **kwargs: Any
    ) -> None:
        # napari calls this for brush, fill and polygon.
        self._validate_label_in_range(new_label)
        super()._paint_region_with_mask(slice_key, mask, new_label, *args, **kwargs)

    def _partial_labels_refresh(self) -> None:
        super()._partial_labels_refresh()
        self.touched.emit()

    def _validate_label_in_range(self, label: int) -> None:
        if int(label) not in (0, TISSUE):
            raise WrongSelectedLabelError(
                dtype=self.data.dtype, value=label, lower_bound=0, upper_bound=TISSUE
            )

    @property
    def _type_string(self) -> str:
        return "labels"  # napari derives it from the class name, and saving would fail
