"""Shows the tissue mask as a layer, saves the user's edits, and passes it to the next run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_fddm.core.errors import FddmError, SlideError
from napari_fddm.core.tiling import TileGrid
from napari_fddm.pipeline.tissue import tissue_of_slide
from napari_fddm.plugin.document.tissue_mask import AUTOMATIC_TEXT, TissueEdits
from napari_fddm.plugin.layers.slides import info_of_layer, placement_of
from napari_fddm.plugin.layers.tissue import TissueLabels
from napari_fddm.plugin.layers.viewport import bare
from napari_fddm.plugin.plumbing import Background
from napari_fddm.plugin.plumbing.notices import show_error, show_info
from napari_fddm.plugin.plumbing.timers import single_shot
from napari_fddm.slides import open_slide

if TYPE_CHECKING:
    from napari_fddm.core.protocols import Slide
    from napari_fddm.plugin.controllers.foreign_images import ForeignImagesController
    from napari_fddm.plugin.document import Session
    from napari_fddm.plugin.panels import Panels
    from napari_fddm.plugin.state.window_state import ShownSlide

SAVE_MS = 500
"""Delay until strokes on the mask are saved."""
RETRY_MS = 5000
"""Delay until saving is tried again after an error."""
AUTO = "auto"
LOOKING = "finding the tissue…"
ANALYSIS_MPP = 1.0
"""Resolution of the tile grid, µm per px; finding tissue does not depend on it."""


class TissueController(QObject):
    """Lets the user edit the tissue mask of the next run.

    Parameters
    ----------
    session : Session
        The mask of its current slide is edited.
    panels : Panels
        The run panel has the row; the slide panel supplies a typed pixel size.
    images : ForeignImagesController
        Supplies the pixels of layers that have no file of their own.
    parent : QObject
        The owner.
    """

    def __init__(
        self, session: Session, panels: Panels, images: ForeignImagesController, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._session, self._state, self._viewer = session, session.state, session.viewer
        self._panels, self._row, self._images = panels, panels.run.tissue_row, images
        self._edits: dict[tuple[str, float], TissueEdits] = {}
        self._searching: set[TissueEdits] = set()
        self._background = Background("tissue", self)
        self._timer = single_shot(self)
        session.on_close(self.close)
        link = session.connections.add
        link(self._row.clicked, self._on_row_clicked)
        link(self._timer.timeout, self._save)
        link(self._state.slide_changed, self._on_state_slide_changed)
        link(panels.slide.mpp_typed, self._on_panel_mpp_typed)
        link(session.viewer.layers.events.removed, self._on_viewer_layers_removed)
        link(session.settling, self._save)
        self._show()

    @property
    def layer(self) -> TissueLabels | None:
        """The mask layer of the current slide."""
        edits = self._edits_of(self._state.slide)
        return edits.layer if edits is not None else None

    def setting(self, slide: ShownSlide) -> str:
        """Return the setting `AnalysisConfig.tissue` for a run of a slide.

        Raises
        ------
        StoreError
            If an edited mask cannot be written.
        """
        edits = self._edits_of(slide)
        if edits is None:
            return AUTO
        edits.take()
        self._show()
        return edits.setting

    def take_up(self, setting: str) -> None:
        """Use the mask of an earlier run for the next one."""
        edits = self._edits_of(self._state.slide)
        if edits is None:
            return
        try:
            edits.restore(setting)
        except FddmError as error:
            show_error(str(error))
        self._write(edits)

    def close(self) -> None:
        """Save unsaved edits, and end the thread."""
        self._timer.stop()
        self._background.close()
        for edits in self._edits.values():
            edits.take()
            try:
                edits.write()
            except FddmError as error:
                self._session.unsaved.emit(f"The tissue mask of {edits.info.name}: {error}")

    def _edits_of(self, slide: ShownSlide | None) -> TissueEdits | None:
        mpp = (slide.mpp or self._panels.slide.mpp) if slide is not None else None
        if slide is None or mpp is None:
            return None
        key = (slide.fingerprint, mpp)
        if key not in self._edits:
            self._edits[key] = TissueEdits(slide, mpp)
        return self._edits[key]

    def _show(self, _answer: object = None) -> None:
        edits = self._edits_of(self._state.slide)
        if edits is None:
            self._row.set_state(AUTOMATIC_TEXT, shown=False, enabled=False)
            return
        searching = edits in self._searching
        text = LOOKING if searching else edits.text
        self._row.set_state(text, shown=edits.layer is not None, enabled=not searching)

    def _on_state_slide_changed(self, _slide: ShownSlide | None) -> None:
        self._show()
        edits = self._edits_of(self._state.slide)
        if edits is not None:
            self._background.do(edits.load, self._show, self._on_load_failed)

    def _on_panel_mpp_typed(self) -> None:
        self._on_state_slide_changed(self._state.slide)

    def _on_load_failed(self, error: FddmError) -> None:
        show_error(str(error))

    # The layer ----------------------------------------------------------------

    def _on_row_clicked(self) -> None:
        edits = self._edits_of(self._state.slide)
        if edits is None or edits in self._searching:
            return
        if edits.layer is not None:
            self._viewer.layers.remove(edits.layer)
            return
        pixels = self._images.pixels_of(edits.info)
        self._searching.add(edits)
        self._show()
        self._background.do(
            partial(_find_tissue, edits, pixels),
            partial(self._add_layer, edits),
            partial(self._on_find_failed, edits),
        )

    def _on_find_failed(self, edits: TissueEdits, error: FddmError) -> None:
        self._searching.discard(edits)
        show_error(str(error))
        self._show()

    def _add_layer(self, edits: TissueEdits, _answer: object) -> None:
        self._searching.discard(edits)
        mask = edits.mask
        if mask is not None and self._is_open(edits):
            place = placement_of(self._viewer.layers, edits.info.fingerprint)
            name = f"tissue — {edits.info.name}"
            layer = TissueLabels(mask, edits.geometry, name, place)
            edits.layer, edits.changed = layer, False
            self._viewer.add_layer(layer)
            layer.touched.connect(partial(self._on_layer_touched, edits))
        self._show()

    def _is_open(self, edits: TissueEdits) -> bool:
        known = (info_of_layer(layer) for layer in self._viewer.layers)
        return any(i is not None and i.fingerprint == edits.info.fingerprint for i in known)

    def _on_viewer_layers_removed(self, event: Any) -> None:
        removed = bare(event.value)
        for edits in list(self._edits.values()):
            layer = edits.layer
            if layer is None:
                continue
            if layer is removed:
                edits.take()
                layer.touched.disconnect()
                edits.layer = None
                self._write(edits)
            elif not self._is_open(edits):
                self._viewer.layers.remove(layer)  # its slide was removed

    # Saving -------------------------------------------------------------------

    def _on_layer_touched(self, edits: TissueEdits) -> None:
        edits.changed = True
        if not self._timer.isActive():
            self._timer.start(SAVE_MS)

    def _save(self) -> None:
        for edits in self._edits.values():
            if edits.changed or edits.problem:
                edits.take()
                self._write(edits)

    def _write(self, edits: TissueEdits) -> None:
        self._show()
        self._background.do(
            edits.write, partial(self._on_written, edits), partial(self._on_write_failed, edits)
        )

    def _on_written(self, edits: TissueEdits, _answer: object) -> None:
        if edits.problem:
            edits.problem = ""
            show_info("Saved again: the tissue mask is on the disk.")

    def _on_write_failed(self, edits: TissueEdits, error: FddmError) -> None:
        if not edits.problem:
            show_error(f"Not saved: {error} The tissue mask stays in memory.")
        edits.problem = str(error)
        self._timer.start(RETRY_MS)


class _SizedSlide:
    """Reads regions of a slide without pixel size, by the pixel size of its layer."""

    def __init__(self, slide: Any, mpp: float) -> None:
        self._slide, self._mpp = slide, mpp

    def read_region(self, region: Any, mpp: float) -> Any:
        return self._slide.read_scaled(region, mpp / self._mpp)


def _find_tissue(edits: TissueEdits, pixels: Slide | None) -> None:
    """Load the edited mask and find the automatic one; must not run on the main thread."""
    edits.load()
    if edits.found is not None:
        return
    grid = TileGrid(edits.info.shape, edits.mpp, ANALYSIS_MPP)
    if pixels is not None:
        sized: Any = _SizedSlide(pixels, edits.mpp)
        edits.found = tissue_of_slide(sized, grid, AUTO, None).mask
        return
    if not edits.info.uri:
        raise SlideError(
            f"The pixels of {edits.info.name} are no longer available.",
            hint="Open the slide again.",
        )
    with open_slide(edits.info.uri, mpp=edits.mpp) as slide:
        edits.found = tissue_of_slide(slide, grid, AUTO, None).mask
