"""Collects the properties of a slide and shows them in the properties dialog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_fddm.plugin.dialogs.properties import PropertiesDialog
from napari_fddm.plugin.layers.slides import layer_of, slide_of_layer
from napari_fddm.plugin.plumbing import Background
from napari_fddm.slides.extras import is_harmless

if TYPE_CHECKING:
    from napari_fddm.core.errors import FddmError
    from napari_fddm.core.protocols import RgbImage, Slide
    from napari_fddm.plugin.document import Session
    from napari_fddm.plugin.panels import Panels
    from napari_fddm.plugin.state.window_state import ShownSlide

    Rows = list[tuple[str, str]]

_SHOWN_ALREADY = ("openslide.level", "openslide.associated.", "openslide.mpp-", "openslide.bounds-")
"""OpenSlide's properties of levels, associated images and pixel size: in the table already."""
OBJECTIVES = (
    "openslide.objective-power",
    "aperio.AppMag",
    "hamamatsu.SourceLens",
    "leica.objective",
    "ventana.Magnification",
)
"""Properties in which scanners store the magnification of their objective."""


class PropertiesController(QObject):
    """Opens the dialog, and reads associated images when the user wants to see them.

    Parameters
    ----------
    session : Session
        Its current slide is described.
    panels : Panels
        The slide panel has the button.
    parent : QObject
        The owner.
    """

    def __init__(self, session: Session, panels: Panels, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._panel = session, panels.slide
        self._background = Background("pictures", self)
        self.dialog: PropertiesDialog | None = None
        session.on_close(self.close)
        session.connections.add(panels.slide.properties_clicked, self.show)

    def show(self) -> None:
        """Open the dialog for the current slide."""
        info = self._session.state.slide
        if info is None:
            return
        self._close_dialog()
        slide = slide_of_layer(layer_of(self._session.viewer.layers, info))
        dialog = self.dialog = PropertiesDialog(info.name, self._panel)
        dialog.finished.connect(self._on_dialog_finished)
        if slide is None:
            dialog.set_rows(_rows_of_info(info), [])
        else:
            vendor = [(k, v) for k, v in sorted(slide.properties.items()) if v and _is_new(k)]
            shown = [(k, v) for k, v in vendor if is_harmless(k)]
            dialog.set_rows(
                [*slide_rows(info, slide), *shown], [row for row in vendor if row not in shown]
            )
            dialog.set_pictures(slide.associated)
            dialog.picture_wanted.connect(lambda name: self._read(slide, name))
        dialog.open()

    def close(self) -> None:
        """Close the dialog and stop reading."""
        self._close_dialog()
        self._background.close()

    def _read(self, slide: Slide, name: str) -> None:
        self._background.do(
            lambda: slide.read_associated(name),
            lambda rgb: self._on_read(name, rgb),
            self._on_read_failed,
        )

    def _on_read(self, name: str, rgb: RgbImage) -> None:
        if self.dialog is not None:
            self.dialog.set_picture(name, rgb)

    def _on_read_failed(self, error: FddmError) -> None:
        if self.dialog is not None:
            self.dialog.set_picture_text(str(error))

    def _on_dialog_finished(self, _code: int) -> None:
        self.dialog = None

    def _close_dialog(self) -> None:
        if self.dialog is not None:
            self.dialog.close()


def slide_rows(info: ShownSlide, slide: Slide) -> Rows:
    """Return the properties that slides of every format have: size, levels, pixel size, reader."""
    rows = _rows_of_info(info)
    for level in slide.levels:
        height, width = level.shape
        rows.append((f"level {level.index}", f"{width} × {height} px, 1/{level.downsample:.5g}"))
    powers = (slide.properties.get(key) for key in OBJECTIVES)
    power = next((value for value in powers if value), None)
    rows.append(("objective", f"{power}×" if power else "not in the file"))
    rows.append(("reader", slide.backend))
    rows.append(("associated images", ", ".join(slide.associated) or "none"))
    rows.append(("fingerprint", slide.fingerprint))
    return rows


def _rows_of_info(info: ShownSlide) -> Rows:
    height, width = info.shape
    size = f"{width} × {height} px"
    if info.mpp is None:
        return [("size", size), ("µm per pixel", "unknown")]
    wide, high = (n * info.mpp / 1000 for n in (width, height))
    return [
        ("size", f"{size}, {wide:.2f} × {high:.2f} mm"),
        ("µm per pixel", f"{info.mpp:.4g} (from: {info.mpp_source})"),
    ]


def _is_new(key: str) -> bool:
    return not key.startswith(_SHOWN_ALREADY)
