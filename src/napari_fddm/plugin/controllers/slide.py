"""Opens slides: chosen in a dialog, the next one of a folder, or with a stored analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QObject

from napari_fddm.core.errors import FddmError, SlideError
from napari_fddm.pipeline.store import default_store_path
from napari_fddm.plugin.dialogs.open_slide import choose_files, choose_folder
from napari_fddm.plugin.document.slide_files import is_store, neighbors
from napari_fddm.plugin.layers.common import METADATA
from napari_fddm.plugin.layers.slides import layer_of, slide_layer_data
from napari_fddm.plugin.layers.viewport import remove_layers
from napari_fddm.plugin.panels.slide import ON
from napari_fddm.plugin.plumbing import Background
from napari_fddm.slides import open_slide

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari.layers import Image

    from napari_fddm.core.protocols import Slide
    from napari_fddm.pipeline.outputs import StoreSummary
    from napari_fddm.plugin.controllers.run import RunController
    from napari_fddm.plugin.document import Analysis, Session
    from napari_fddm.plugin.panels import Panels
    from napari_fddm.plugin.state.window_state import ShownSlide


class SlideController(QObject):
    """Opens slides, and finds the other slides of the folder and the stored analysis.

    Parameters
    ----------
    session : Session
        Slides are added to its viewer.
    panels : Panels
        The slide panel requests slides.
    run : RunController
        Shows a stored analysis without a run.
    parent : QObject
        The owner.
    """

    def __init__(
        self, session: Session, panels: Panels, run: RunController, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._session, self._viewer, self._state = session, session.viewer, session.state
        self._panel, self._run = panels.slide, run
        self._background = Background("slides", self)
        self._around: tuple[Sequence[Path], Sequence[Path]] = ([], [])
        self._earlier: StoreSummary | None = None
        session.on_close(self.close)
        link = session.connections.add
        link(self._panel.open_file_clicked, self._on_panel_open_file_clicked)
        link(self._panel.open_folder_clicked, self._on_panel_open_folder_clicked)
        link(self._panel.step_clicked, self._on_panel_step_clicked)
        link(self._panel.earlier_clicked, self._on_panel_earlier_clicked)
        link(self._state.slide_changed, self._on_state_slide_changed)
        link(self._state.progress_changed, self._on_state_progress_changed)
        link(session.added, self._on_session_added)
        link(session.removed, self._on_session_removed)
        link(self._background.failed, self._on_background_failed)

    def open(self, path: Path) -> None:
        """Open a slide in addition to those shown, or a stored analysis without a run."""
        if is_store(path):
            self._run.open_store(path)
            return
        self._background.do(lambda: _opened(path), self._add)

    def step(self, direction: int) -> None:
        """Show another slide of the folder instead of the current one.

        Parameters
        ----------
        direction : int
            `BACK` or `ON` of `panels.slide`.
        """
        slide = self._state.slide
        if slide is None or self._state.busy:
            return
        queue = self._around[1 if direction == ON else 0]
        self._panel.set_neighbors(None, None, "the next slide is being opened")
        self._background.do(
            lambda: _first_other(queue, slide.fingerprint),
            lambda found: self._replace(slide, found),
            self._on_step_failed,
        )

    def close(self) -> None:
        """Stop opening and searching."""
        self._background.close()

    def _add(self, found: tuple[Slide, str]) -> Image:
        slide, uri = found
        data, options, _ = slide_layer_data(slide, uri)
        layer = self._viewer.add_image(data, **options)
        self._viewer.reset_view(layers=[layer])
        return layer

    def _replace(self, old: ShownSlide, found: tuple[Slide, str, Sequence[str]]) -> None:
        slide, uri, skipped = found
        layer = layer_of(self._viewer.layers, old)
        if self._state.slide != old or self._state.busy or layer is None:
            slide.close()  # the user did something else meanwhile
            self._show_around()
            return
        analysis = self._session.analysis_of(old)
        self._session.settling.emit()
        if analysis is not None and not analysis.writer.flush():
            slide.close()
            self._show_around()
            show_error(f"{old.name} stays open: its corrections are not saved yet. Try again.")
            return
        for note in skipped:
            show_info(note)
        # The old slide is removed first: napari does not mix units of µm and pixels.
        index = self._viewer.layers.index(layer)
        # The analysis before its outlines: otherwise they would count as deleted by the user.
        own = [analysis.layer, analysis.patch_layer, analysis.refined_layer] if analysis else []
        own += [
            other
            for other in self._viewer.layers
            if other.metadata.get(METADATA, {}).get("of") == old.fingerprint
        ]
        remove_layers(self._viewer, (*own, layer))
        new = self._add((slide, uri))
        below = min(index, len(self._viewer.layers) - 1)
        self._viewer.layers.move(self._viewer.layers.index(new), below)
        self._viewer.layers.selection.active = new

    def _show_around(self) -> None:
        slide = self._state.slide
        if slide is None:
            self._panel.set_neighbors(None, None, "no slide is open")
        elif slide.local_path is None:
            self._panel.set_neighbors(None, None, "this slide has no folder")
        elif self._state.busy:
            self._panel.set_neighbors(None, None, "a run is going on")
        else:
            back, on = (paths[0].name if paths else None for paths in self._around)
            self._panel.set_neighbors(back, on)

    def _look_around(self, slide: ShownSlide) -> None:
        path = slide.local_path
        if path is not None:
            self._background.do(
                lambda: neighbors(path), lambda found: self._on_around(slide, found)
            )
        if self._session.analysis_of(slide) is None:
            self._background.do(
                lambda: _stored_summary(path, slide.fingerprint),
                lambda found: self._on_earlier(slide, found),
                lambda error: self._on_earlier_failed(slide, error),
            )

    # Answers ------------------------------------------------------------------

    def _on_around(self, slide: ShownSlide, found: tuple[list[Path], list[Path]]) -> None:
        if slide == self._state.slide:
            self._around = found
            self._show_around()

    def _on_earlier(self, slide: ShownSlide, found: StoreSummary | None) -> None:
        if slide == self._state.slide and self._session.analysis_of(slide) is None:
            self._earlier = found
            self._panel.set_earlier(found.text if found is not None else "")

    def _on_earlier_failed(self, slide: ShownSlide, error: FddmError) -> None:
        if slide == self._state.slide:
            self._panel.add_warning(f"the stored analysis of this slide cannot be read: {error}")

    def _on_step_failed(self, error: FddmError) -> None:
        self._show_around()
        show_error(str(error))

    def _on_background_failed(self, error: FddmError) -> None:
        show_error(str(error))

    # Signals ------------------------------------------------------------------

    def _on_panel_open_file_clicked(self) -> None:
        for path in choose_files(self._panel, self._folder):
            self.open(path)

    def _on_panel_open_folder_clicked(self) -> None:
        path = choose_folder(self._panel, self._folder)
        if path is not None:
            self.open(path)

    @property
    def _folder(self) -> str:
        """The folder that a dialog shows first: that of the current slide."""
        slide = self._state.slide
        path = slide.local_path if slide is not None else None
        return str(path.parent) if path is not None else ""

    def _on_panel_step_clicked(self, direction: int) -> None:
        self.step(direction)

    def _on_panel_earlier_clicked(self) -> None:
        if self._earlier is not None:
            self._run.open_store(self._earlier.path)

    def _on_state_slide_changed(self, slide: ShownSlide | None) -> None:
        self._around, self._earlier = ([], []), None
        if slide is not None:
            self._look_around(slide)
        self._show_around()

    def _on_state_progress_changed(self, _progress: Any) -> None:
        self._show_around()

    def _on_session_added(self, analysis: Analysis) -> None:
        slide = self._state.slide
        if slide is not None and slide.fingerprint == analysis.fingerprint:
            self._panel.set_earlier("")

    def _on_session_removed(self, _analysis: Analysis) -> None:
        slide = self._state.slide
        if slide is not None:
            self._look_around(slide)


def _stored_summary(path: Path | None, fingerprint: str) -> StoreSummary | None:
    # late: a window opens faster
    from napari_fddm.pipeline.outputs import summarize_renamed, summarize_store

    found = summarize_store(default_store_path(path, fingerprint))
    if found is None and path is not None:
        found = summarize_renamed(path, fingerprint)
    return found


def _opened(path: Path) -> tuple[Slide, str]:
    return open_slide(path, look=False), str(path)


def _first_other(queue: Sequence[Path], fingerprint: str) -> tuple[Slide, str, list[str]]:
    """Open the first file that is another slide, e.g. not one of the same DICOM series.

    Raises
    ------
    SlideError
        If no other slide can be opened.
    """
    skipped: list[str] = []
    for path in queue:
        try:
            slide = open_slide(path, look=False)
        except FddmError as error:
            skipped.append(f"skipped: {error}")
            continue
        if slide.fingerprint != fingerprint:
            return slide, str(path), skipped
        slide.close()
    raise SlideError(
        "there is no other slide in this direction that can be opened.",
        hint=" ".join(skipped),
    )
