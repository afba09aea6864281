"""The layers of an analysis; the editable one is a napari Labels layer with manners.

It holds single-scale uint8 (multiscale labels cannot be painted), refuses values
that are no class, and an erasing brush brings back what the model said: 0 means
"not analyzed" here and would silently shrink the denominator (DESIGN section 6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.layers.labels.labels import WrongSelectedLabelError
from psygnal import Signal
from scipy import ndimage
from skimage.draw import polygon2mask

from napari_fddm.core.classes import NOT_ANALYZED, ClassTable
from napari_fddm.core.geometry import Window
from napari_fddm.plugin.colors import class_colormap
from napari_fddm.plugin.placement import Placement

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry
    from napari_fddm.core.maps import LabelMap

METADATA = "napari_fddm"
"""Key of our block in ``layer.metadata``; layers are never looked up by name."""
OPACITY = 0.5
BRUSH_CELLS = 15


def placement(geometry: MapGeometry, place: Placement | None = None) -> dict[str, Any]:
    """Return the keyword arguments that lay a map over its slide.

    Parameters
    ----------
    geometry : MapGeometry
        The map.
    place : Placement, optional
        Where the slide lies; by default in µm, its first pixel at 0.
    """
    return (place or Placement.of_slide(geometry.mpp)).of_map(geometry)


def automatic_layer(
    labels: npt.NDArray[np.uint8],
    geometry: MapGeometry,
    table: ClassTable,
    name: str,
    place: Placement | None = None,
) -> Labels:
    """Return a layer of what the model says; the brush cannot change it."""
    layer = Labels(
        labels,
        name=name,
        colormap=class_colormap(table),
        opacity=OPACITY,
        metadata={METADATA: {"role": "automatic"}},
        **placement(geometry, place),
    )
    layer.editable = False
    return layer


class CorrectedLabels(Labels):
    """The label map that a pathologist corrects.

    Parameters
    ----------
    label_map : LabelMap
        Its ``labels`` are painted in place.
    table : ClassTable
        The values that may be painted.
    name : str
        Shown in the layer list.
    place : Placement, optional
        Where the slide lies.

    Attributes
    ----------
    protected : frozenset of int
        Classes whose cells no hand tool changes: brush, fill, polygon, eraser.
    history_loaded : psygnal signal
        After an undo or redo, also while the layer is hidden, when napari itself
        says nothing.
    excluding_changed : psygnal signal of bool
        After `excluding` was set to another value.
    """

    history_loaded = Signal()
    excluding_changed = Signal(bool)

    def __init__(
        self, label_map: LabelMap, table: ClassTable, name: str, place: Placement | None = None
    ) -> None:
        self._table_values = frozenset((NOT_ANALYZED, *table.values))
        self._label_map = label_map
        self._excluding = False
        self.protected: frozenset[int] = frozenset()
        super().__init__(
            label_map.labels,
            name=name,
            colormap=class_colormap(table),
            opacity=OPACITY,
            metadata={METADATA: {"role": "corrected"}},
            **placement(label_map.geometry, place),
        )
        self.brush_size = BRUSH_CELLS
        self.selected_label = table.values[1]
        for tissue in table:
            self.bind_key(str(tissue.value), self._class_key(tissue.value), overwrite=True)
        self.bind_key("c", _toggle_visible, overwrite=True)
        self.bind_key("x", _toggle_excluding, overwrite=True)
        self.bind_key("g", _use_polygon, overwrite=True)  # napari's own key for it is 3
        self.events.selected_label.connect(self._on_selected_label)

    @property
    def excluding(self) -> bool:
        """Whether brush, fill and polygon exclude cells instead of giving them a class.

        What is excluded (a fold, pen, bone dust, a section that is there twice) is
        "not analyzed" and leaves every sum at once. The eraser brings it back.
        """
        return self._excluding

    @excluding.setter
    def excluding(self, value: bool) -> None:
        if value != self._excluding:
            self._excluding = value
            self.excluding_changed.emit(value)

    @property
    def _type_string(self) -> str:
        # napari derives it from the class name, and saving then writes nothing.
        return "labels"

    def _validate_label_in_range(self, label: int) -> None:
        if int(label) not in self._table_values:
            highest = max(self._table_values)
            raise WrongSelectedLabelError(
                dtype=self.data.dtype, value=label, lower_bound=NOT_ANALYZED, upper_bound=highest
            )

    def _load_history(self, before: Any, after: Any, undoing: bool = True) -> None:
        super()._load_history(before, after, undoing)
        self.history_loaded.emit()

    def paint(self, coord: Sequence[float], new_label: int, refresh: bool = True) -> None:
        """Paint a disk of the brush's size; label 0 restores the automatic labels."""
        if new_label != NOT_ANALYZED:
            super().paint(coord, self._painted(new_label), refresh)
            return
        radius = self.brush_size // 2 + 0.5
        y, x = (round(float(c)) for c in coord)
        reach = int(radius)
        window = Window(y - reach, x - reach, 2 * reach + 1, 2 * reach + 1).clipped(self.data.shape)
        rows = np.arange(window.y, window.y + window.height)[:, None] - y
        cols = np.arange(window.x, window.x + window.width)[None, :] - x
        self._restore(window, rows**2 + cols**2 <= radius**2, refresh)

    def paint_polygon(self, points: Any, new_label: int) -> None:
        """Fill a polygon; label 0 restores the automatic labels within it."""
        if new_label != NOT_ANALYZED:
            super().paint_polygon(points, self._painted(new_label))
            return
        corners = np.asarray(points, dtype=float)
        low = np.floor(corners.min(axis=0)).astype(int)
        high = np.ceil(corners.max(axis=0)).astype(int) + 1
        window = Window(int(low[0]), int(low[1]), *(int(n) for n in high - low))
        inside = polygon2mask((window.height, window.width), corners - low)
        clipped = window.clipped(self.data.shape)
        offset = Window(clipped.y - window.y, clipped.x - window.x, clipped.height, clipped.width)
        self._restore(clipped, inside[offset.slices], refresh=True)

    def fill(self, coord: Sequence[float], new_label: int, refresh: bool = True) -> None:
        """Fill the connected patch under a point; label 0 restores the automatic labels."""
        if new_label != NOT_ANALYZED:
            super().fill(coord, self._painted(new_label), refresh)
            return
        y, x = (round(float(c)) for c in coord)
        height, width = self.data.shape
        if not (0 <= y < height and 0 <= x < width):
            return
        parts, _ = ndimage.label(self.data == self.data[y, x])
        self._restore(Window(0, 0, height, width), parts == parts[y, x], refresh)

    def _restore(self, window: Window, mask: npt.NDArray[np.bool_], refresh: bool) -> None:
        """Write the automatic labels where the mask of a window is set, undoably."""
        if window.is_empty:
            return
        rows, cols = np.nonzero(mask)
        index = (rows + window.y, cols + window.x)
        changed = self.data[index] != self._label_map.automatic[index]
        changed &= self._free(self.data[index])
        index = (index[0][changed], index[1][changed])
        if index[0].size:
            self.data_setitem(index, self._label_map.automatic[index], refresh)

    def _painted(self, label: int) -> int:
        return NOT_ANALYZED if self.excluding else label

    def _free(self, values: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """Return which values are of no locked class."""
        free = np.ones(256, bool)
        free[list(self.protected)] = False
        return np.asarray(free[values])

    def _paint_region_with_mask(
        self,
        slice_key: tuple[slice, ...],
        mask: npt.NDArray[np.bool_],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        # Brush, fill and polygon of napari all come through here.
        if self.protected:
            mask = mask & self._free(self.data[slice_key])
        super()._paint_region_with_mask(slice_key, mask, *args, **kwargs)

    def _on_selected_label(self, _event: Any = None) -> None:
        self.excluding = False

    def _class_key(self, value: int) -> Any:
        def select(layer: CorrectedLabels) -> None:
            layer.selected_label = value
            layer.excluding = False

        select.__doc__ = f"Select class {value}."
        return select


def _toggle_visible(layer: CorrectedLabels) -> None:
    """Show or hide the corrected labels."""
    layer.visible = not layer.visible


def _toggle_excluding(layer: CorrectedLabels) -> None:
    """Exclude cells with the brush, or paint classes again."""
    layer.excluding = not layer.excluding


def _use_polygon(layer: CorrectedLabels) -> None:
    """Paint by drawing polygons."""
    layer.mode = "polygon"
