"""The npe2 commands that open slides from the menus, with or without the dock widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari import current_viewer
from napari.layers import Layer

from napari_fddm.core.errors import FddmError
from napari_fddm.plugin.contributions.reader import read_slide, read_store
from napari_fddm.plugin.dialogs.open_slide import choose_files, choose_folder
from napari_fddm.plugin.plumbing.notices import show_error

if TYPE_CHECKING:
    from pathlib import Path

    from napari.viewer import Viewer
    from qtpy.QtWidgets import QWidget


def open_slide_files() -> None:
    """Menu "Open slide…": ask for files and open them."""
    viewer, window = _current_window()
    if viewer is not None:
        for path in choose_files(window):
            open_in(viewer, path)


def open_slide_folder() -> None:
    """Menu "Open slide folder…": ask for an OME-Zarr or a DICOM folder and open it."""
    viewer, window = _current_window()
    path = choose_folder(window) if viewer is not None else None
    if viewer is not None and path is not None:
        open_in(viewer, path)


def open_in(viewer: Viewer, path: Path) -> list[Layer]:
    """Add the layers of a slide or an analysis; on an error a message is shown instead."""
    from napari_fddm.plugin.document.slide_files import is_store

    read = read_store if is_store(path) else read_slide
    try:
        layers = [Layer.create(*data) for data in read(str(path))]
    except FddmError as error:
        show_error(str(error))
        return []
    for layer in layers:
        viewer.add_layer(layer)
    return layers


def _current_window() -> tuple[Viewer | None, QWidget | None]:
    viewer = current_viewer()
    return viewer, viewer.window._qt_window if viewer is not None else None
