"""What the window's small controllers share: viewer, state, and the analyses that are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_fddm.pipeline.store.layout import default_store_path
from napari_fddm.plugin.plumbing.connections import Connections

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Labels
    from napari.viewer import Viewer

    from napari_fddm.plugin.document.analysis import Analysis
    from napari_fddm.plugin.state.window_state import PluginState, ShownSlide


class Session:
    """One widget's work: what is open and what is in front.

    Parameters
    ----------
    viewer : Viewer
        Where slides and labels are layers.
    state : PluginState
        The truth.

    Attributes
    ----------
    connections : Connections
        Every connection of the window; undone when it closes.
    analyses : dict of Path to Analysis
        Those that have layers in the viewer, by store.
    added : psygnal signal of Analysis
        After an analysis got its layers.
    removed : psygnal signal of Analysis
        After its layers went, before it is closed.
    current_changed : psygnal signal
        After another analysis, or none, came to the front.
    report_wanted : psygnal signal
        Somebody changed what the shown numbers follow from.
    locked : psygnal signal of Analysis
        After an analysis became read-only, or free again.
    outlined : psygnal signal of Analysis
        After an analysis got a tumor bed that was not drawn in this window.
    settling : psygnal signal
        What was drawn shall be stored now.
    unsaved : psygnal signal of str
        An analysis was closed and could not keep something; says what and where it is.
    """

    added = Signal(object)
    removed = Signal(object)
    current_changed = Signal(object)
    report_wanted = Signal()
    locked = Signal(object)
    outlined = Signal(object)
    settling = Signal()
    unsaved = Signal(str)

    def __init__(self, viewer: Viewer, state: PluginState) -> None:
        self.viewer, self.state = viewer, state
        self.connections = Connections()
        self.analyses: dict[Path, Analysis] = {}
        self._current: Analysis | None = None

    @property
    def current(self) -> Analysis | None:
        """The analysis in front."""
        return self._current

    @current.setter
    def current(self, value: Analysis | None) -> None:
        if value is not self._current:
            self._current = value
            self.current_changed.emit(value)

    @property
    def label_layers(self) -> list[Labels]:
        """The label layers of every analysis."""
        return [layer for analysis in self.analyses.values() for layer in analysis.layers]

    def analysis_of(self, slide: ShownSlide) -> Analysis | None:
        """Return the analysis of a slide that is shown, if there is one."""
        found = (a for a in self.analyses.values() if a.fingerprint == slide.fingerprint)
        return next(found, None)

    def store_path(self, slide: ShownSlide) -> Path:
        """Return the store of a slide: the one that is shown, or the one it should have."""
        analysis = self.analysis_of(slide)
        if analysis is not None:
            return analysis.store_path
        return default_store_path(slide.local_path, slide.fingerprint)

    def add(self, path: Path, analysis: Analysis) -> None:
        """Take up an analysis whose layers are in the viewer, and bring it to the front."""
        self.analyses[path] = analysis
        self.added.emit(analysis)
        self.current = analysis

    def drop_hidden(self) -> None:
        """Let go of analyses whose layers were deleted; what waits is written."""
        for path, analysis in list(self.analyses.items()):
            if not analysis.is_shown:
                del self.analyses[path]
                if self.current is analysis:
                    self.current = None
                self.removed.emit(analysis)
                self._close(analysis)

    def close(self) -> None:
        """Undo every connection, write what waits, let go of every analysis."""
        self.connections.close()
        for analysis in self.analyses.values():
            self._close(analysis)
        self.analyses.clear()
        self._current = None

    def _close(self, analysis: Analysis) -> None:
        said = analysis.close()
        if said:
            self.unsaved.emit(said)
