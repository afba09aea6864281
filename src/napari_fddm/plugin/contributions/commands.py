"""What the menus call; works without the dock widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari import current_viewer
from napari.utils.notifications import show_error

from napari_fddm.core.errors import FddmError
from napari_fddm.plugin.contributions.reader import read_slide, read_store
from napari_fddm.plugin.controllers.slide import choose_files, choose_folder

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Layer
    from napari.viewer import Viewer
    from qtpy.QtWidgets import QWidget


def open_slide_files() -> None:
    """Menu "Open slide…": ask for files and open them."""
    viewer, window = _front()
    if viewer is not None:
        for path in choose_files(window):
            open_in(viewer, path)


def open_slide_folder() -> None:
    """Menu "Open slide folder…": ask for an OME-Zarr or a DICOM folder and open it."""
    viewer, window = _front()
    path = choose_folder(window) if viewer is not None else None
    if viewer is not None and path is not None:
        open_in(viewer, path)


def open_in(viewer: Viewer, path: Path) -> list[Layer]:
    """Add a slide's layer, or an analysis' layers; an error is told and adds nothing."""
    from napari.layers import Layer as Kind

    from napari_fddm.plugin.document.slide_files import is_store

    read = read_store if is_store(path) else read_slide
    try:
        layers = [Kind.create(*data) for data in read(str(path))]
    except FddmError as error:
        show_error(str(error))
        return []
    for layer in layers:
        viewer.add_layer(layer)
    return layers


def _front() -> tuple[Viewer | None, QWidget | None]:
    viewer = current_viewer()
    return viewer, viewer.window._qt_window if viewer is not None else None
