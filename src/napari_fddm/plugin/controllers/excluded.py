"""Hatches excluded cells, to tell them from cells that were not analyzed.

Both have label 0. The hatching is a layer of its own, added when the first cell is excluded;
each edit and each window of a run updates the cells that it changed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_fddm.core.geometry import Window
from napari_fddm.plugin.layers.excluded import ExcludedMarks

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_fddm.plugin.document import Analysis, Session


class ExcludedController:
    """Keeps the hatching of every analysis up to date with its labels.

    Parameters
    ----------
    session : Session
        Its analyses are hatched.
    """

    def __init__(self, session: Session) -> None:
        self._viewer: Viewer = session.viewer
        self._marks: dict[Analysis, ExcludedMarks] = {}
        session.connections.add(session.added, self._on_session_added)
        session.connections.add(session.removed, self._on_session_removed)

    def marks_of(self, analysis: Analysis) -> ExcludedMarks | None:
        """Return the hatching layer; None as long as nothing was excluded."""
        return self._marks.get(analysis)

    def _on_session_added(self, analysis: Analysis) -> None:
        analysis.tracker.touched.connect(partial(self._show, analysis))
        self._show(analysis, Window(0, 0, *analysis.geometry.shape))

    def _on_session_removed(self, analysis: Analysis) -> None:
        marks = self._marks.pop(analysis, None)
        if marks is not None and marks in self._viewer.layers:
            self._viewer.layers.remove(marks)

    def _show(self, analysis: Analysis, window: Window) -> None:
        marks = self._marks.get(analysis)
        if marks is None and not analysis.tracker.excluded:
            return
        if marks is None:
            marks, window = self._make(analysis), Window(0, 0, *analysis.geometry.shape)
        if marks in self._viewer.layers:  # else the user has deleted the layer
            labels, automatic = analysis.label_map.labels, analysis.label_map.automatic
            excluded = (labels[window.slices] == 0) & (automatic[window.slices] != 0)
            if excluded.any() or marks.data[window.slices].any():  # most strokes exclude nothing
                marks.put(window, excluded)

    def _make(self, analysis: Analysis) -> ExcludedMarks:
        layers = self._viewer.layers
        marks = ExcludedMarks(
            analysis.geometry, "excluded by hand", str(analysis.store_path), analysis.place
        )
        self._marks[analysis] = marks
        active = layers.selection.active
        layers.insert(layers.index(analysis.layer), marks)  # below what is painted
        layers.selection.active = active  # a stroke may be in progress
        return marks
