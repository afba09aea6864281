"""Hatches what a person excluded, so that a reader tells it from what no model looked at.

Both are 0 in the labels. The marks are a layer of their own, made when the first cell
is excluded; each edit and each window of a run updates the cells that it touched.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_fddm.core.geometry import Window
from napari_fddm.plugin.layers.corrected import EXCLUDED_ROLE, METADATA, placement

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.viewer import Viewer

    from napari_fddm.core.geometry import MapGeometry
    from napari_fddm.plugin.document.analysis import Analysis
    from napari_fddm.plugin.document.session import Session
    from napari_fddm.plugin.state.placement import Placement

HATCH_CELLS, LINE_CELLS = 8, 2
"""Lines of 8 µm every 32 µm on the 4 µm grid: three quarters of the tissue stay free."""
GROUND, LINE = 1, 2
COLORS: dict[int | None, Any] = {GROUND: (0.5, 0.5, 0.5, 0.25), LINE: (0.12, 0.12, 0.12, 0.8)}


class ExcludedMarks(Labels):
    """Hatched where cells are excluded; nobody paints it.

    Parameters
    ----------
    geometry : MapGeometry
        Of the corrected labels.
    name : str
        Shown in the layer list.
    store : str
        The analysis.
    place : Placement, optional
        Where the slide lies.
    """

    def __init__(
        self, geometry: MapGeometry, name: str, store: str, place: Placement | None = None
    ) -> None:
        clear = (0.0, 0.0, 0.0, 0.0)
        colors: dict[int | None, Any] = {None: clear, 0: clear, **COLORS}
        super().__init__(
            np.zeros(geometry.shape, np.uint8),  # takes no memory before it is written
            name=name,
            colormap=DirectLabelColormap(color_dict=colors),
            metadata={METADATA: {"role": EXCLUDED_ROLE, "store": store}},
            **placement(geometry, place),
        )

    def _reset_editable(self) -> None:
        self.editable = False

    @property
    def _type_string(self) -> str:
        return "labels"

    def put(self, window: Window, excluded: npt.NDArray[np.bool_]) -> None:
        """Show which cells of a window are excluded, shape of the window."""
        rows = np.arange(window.y, window.y + window.height)[:, None]
        cols = np.arange(window.x, window.x + window.width)
        hatch = np.where((rows + cols) % HATCH_CELLS < LINE_CELLS, LINE, GROUND)
        self.data[window.slices] = np.where(excluded, hatch, 0)
        self._accumulate_updated_slice(window.slices)
        self._partial_labels_refresh()


class Excluded:
    """Keeps the marks of every analysis the same as its labels.

    Parameters
    ----------
    session : Session
        Its analyses are marked.
    """

    def __init__(self, session: Session) -> None:
        self._viewer: Viewer = session.viewer
        self._marks: dict[Analysis, ExcludedMarks] = {}
        session.connections.add(session.added, self._on_session_added)
        session.connections.add(session.removed, self._on_session_removed)

    def marks_of(self, analysis: Analysis) -> ExcludedMarks | None:
        """Return the marks, if something was excluded and they were not deleted."""
        return self._marks.get(analysis)

    def _on_session_added(self, analysis: Analysis) -> None:
        analysis.sync.touched.connect(partial(self._show, analysis))
        self._show(analysis, Window(0, 0, *analysis.geometry.shape))

    def _on_session_removed(self, analysis: Analysis) -> None:
        marks = self._marks.pop(analysis, None)
        if marks is not None and marks in self._viewer.layers:
            self._viewer.layers.remove(marks)

    def _show(self, analysis: Analysis, window: Window) -> None:
        marks = self._marks.get(analysis)
        if marks is None and not analysis.sync.excluded:
            return
        if marks is None:
            marks, window = self._make(analysis), Window(0, 0, *analysis.geometry.shape)
        if marks in self._viewer.layers:  # else the user has deleted them
            labels, said = analysis.label_map.labels, analysis.label_map.automatic
            excluded = (labels[window.slices] == 0) & (said[window.slices] != 0)
            if excluded.any() or marks.data[window.slices].any():  # most strokes touch none
                marks.put(window, excluded)

    def _make(self, analysis: Analysis) -> ExcludedMarks:
        layers = self._viewer.layers
        marks = ExcludedMarks(
            analysis.geometry, "excluded by hand", str(analysis.store_path), analysis.place
        )
        self._marks[analysis] = marks
        active = layers.selection.active
        layers.insert(layers.index(analysis.layer), marks)  # below what is painted
        layers.selection.active = active  # a stroke may be going on
        return marks
