"""The file dialogs that choose slides to open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog

from napari_fddm.plugin.document.slide_files import SLIDE_SUFFIXES

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

FILTER = "Slides ({});;All files (*)".format(
    " ".join(f"*{suffix} *{suffix.upper()}" for suffix in SLIDE_SUFFIXES)
)
FOLDER_TITLE = "Open an OME-Zarr, or a folder with one DICOM slide"


def choose_files(parent: QWidget | None, folder: str = "") -> list[Path]:
    """Ask for slide files; empty if the user cancels."""
    names, _ = QFileDialog.getOpenFileNames(parent, "Open slide", folder, FILTER)
    return [Path(name) for name in names]


def choose_folder(parent: QWidget | None, folder: str = "") -> Path | None:
    """Ask for the folder of an OME-Zarr or a DICOM slide; None if the user cancels."""
    name = QFileDialog.getExistingDirectory(parent, FOLDER_TITLE, folder)
    return Path(name) if name else None
