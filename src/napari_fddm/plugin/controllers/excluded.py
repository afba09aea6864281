"""Hatches what a person excluded, so that a reader tells it from what no model looked at.

Both are 0 in the labels. The marks are a layer of their own, made when the first cell
is excluded; each edit and each window of a run updates the cells that it touched.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_fddm.core.geometry import Window
from napari_fddm.plugin.layers.excluded import ExcludedMarks

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_fddm.plugin.document.analysis import Analysis
    from napari_fddm.plugin.document.session import Session


class ExcludedController:
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
