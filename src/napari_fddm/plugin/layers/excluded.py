"""The layer that hatches excluded cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_fddm.plugin.layers.common import EXCLUDED_ROLE, METADATA, placement
from napari_fddm.plugin.plumbing.napari_text import unmarked

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry, Window
    from napari_fddm.plugin.state.placement import Placement

HATCH_CELLS, LINE_CELLS = 8, 2
"""Distance and width of the lines, cells: 32 and 8 µm on the 4 µm grid, so that three quarters
of the tissue stay visible."""
GROUND, LINE = 1, 2
COLORS: dict[int | None, Any] = {GROUND: (0.5, 0.5, 0.5, 0.25), LINE: (0.12, 0.12, 0.12, 0.8)}


class ExcludedMarks(Labels):
    """A layer that is hatched where cells are excluded; it cannot be painted.

    Parameters
    ----------
    geometry : MapGeometry
        Of the corrected labels.
    name : str
        Shown in the layer list.
    store : str
        Path of the analysis' store.
    place : Placement, optional
        Where the slide lies.
    """

    def __init__(
        self, geometry: MapGeometry, name: str, store: str, place: Placement | None = None
    ) -> None:
        clear = (0.0, 0.0, 0.0, 0.0)
        colors: dict[int | None, Any] = {None: clear, 0: clear, **COLORS}
        super().__init__(
            np.zeros(geometry.shape, np.uint8),  # the system gives memory on writing
            name=unmarked(name),
            colormap=DirectLabelColormap(color_dict=colors),
            metadata={METADATA: {"role": EXCLUDED_ROLE, "store": store}},
            **placement(geometry, place),
        )

    def _reset_editable(self) -> None:
        self.editable = False

    @property
    def _type_string(self) -> str:
        return "labels"  # as in `CorrectedLabels`

    def put(self, window: Window, excluded: npt.NDArray[np.bool_]) -> None:
        """Show which cells are excluded.

        Parameters
        ----------
        window : Window
            Where.
        excluded : array of bool, shape of the window
            True where a cell is excluded.
        """
        rows = np.arange(window.y, window.y + window.height)[:, None]
        cols = np.arange(window.x, window.x + window.width)
        hatch = np.where((rows + cols) % HATCH_CELLS < LINE_CELLS, LINE, GROUND)
        self.data[window.slices] = np.where(excluded, hatch, 0)
        self._accumulate_updated_slice(window.slices)
        self._partial_labels_refresh()
