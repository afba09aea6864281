"""What all controllers share: viewer, state, open analyses, and closing everything in order."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_fddm.pipeline.store import default_store_path
from napari_fddm.plugin.plumbing import Connections

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari.layers import Labels
    from napari.viewer import Viewer

    from napari_fddm.plugin.document.analysis import Analysis
    from napari_fddm.plugin.state.window_state import PluginState, ShownSlide


class Session:
    """The analyses that are open in one window, and the one in front.

    Parameters
    ----------
    viewer : Viewer
        Shows slides and labels as layers.
    state : PluginState
        What the window shows.

    Attributes
    ----------
    connections : Connections
        Every connection of the window; undone when it closes.
    analyses : dict of Path to Analysis
        Those that have layers in the viewer, by the path of their store.
    added : psygnal signal of Analysis
        After an analysis got its layers.
    removed : psygnal signal of Analysis
        After its layers were removed, before it is closed.
    current_changed : psygnal signal of Analysis or None
        After another analysis, or none, came to the front.
    report_wanted : psygnal signal
        Something changed that the shown numbers depend on.
    locked : psygnal signal of Analysis
        After an analysis became read-only or editable.
    outlined : psygnal signal of Analysis
        After an analysis got a tumor bed that was not drawn in this window.
    settling : psygnal signal
        Listeners store at once what was drawn, instead of waiting for a pause.
    unsaved : psygnal signal of str
        A closed analysis could not be saved completely; says what is missing and where it is.
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
        self._closing = ExitStack()
        self.on_close(self._close_analyses)  # registered first, so strokes are written last

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
        """Return the store of a slide: of its analysis if that is shown, else the default path."""
        analysis = self.analysis_of(slide)
        if analysis is not None:
            return analysis.store_path
        return default_store_path(slide.local_path, slide.fingerprint, slide.other_series)

    def add(self, path: Path, analysis: Analysis) -> None:
        """Add an analysis whose layers are in the viewer, and bring it to the front."""
        self.analyses[path] = analysis
        self.added.emit(analysis)
        self.current = analysis

    def drop_hidden(self) -> None:
        """Close analyses whose layers were deleted; pending strokes are written first."""
        for path, analysis in list(self.analyses.items()):
            if not analysis.is_shown:
                del self.analyses[path]
                if self.current is analysis:
                    self.current = None
                self.removed.emit(analysis)
                self._close(analysis)

    def on_close(self, close: Callable[[], object]) -> None:
        """Register a function that `close` calls; the one registered last is called first.

        A controller registers itself when it is made, so that it is closed before the
        controllers that it was given.
        """
        self._closing.callback(close)

    def close(self) -> None:
        """End everything that the window began; later calls do nothing.

        Connections go first, so that nothing arrives in a window that is being deleted.
        Then what was registered with `on_close`: all of it is called, even if one of them
        fails. At last the analyses are closed, and their pending strokes are written.
        """
        self.connections.close()
        self._closing.close()

    def _close_analyses(self) -> None:
        while self.analyses:
            _, analysis = self.analyses.popitem()
            self._close(analysis)
        self._current = None

    def _close(self, analysis: Analysis) -> None:
        not_saved = analysis.close()
        if not_saved:
            self.unsaved.emit(not_saved)
