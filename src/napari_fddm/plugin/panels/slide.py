"""The slide panel: the open slide, its pixel size, warnings, and opening slides. Qt only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_fddm.core.geometry import Mpp
from napari_fddm.plugin.panels.widgets import wrapped_label
from napari_fddm.plugin.plumbing.plain_text import ElidedLabel, tooltip
from napari_fddm.slides.choosing import is_no_slide
from napari_fddm.slides.spec import shown_place

if TYPE_CHECKING:
    from napari_fddm.plugin.state.window_state import ShownSlide

NO_SLIDE = "none: click Open…, or drop a file on the window"
BACK, ON = -1, 1
"""Directions in a folder: the previous and the next slide."""


class SlidePanel(QWidget):
    """Shows the slide, and asks for its pixel size where the file does not have it.

    Signals
    -------
    mpp_typed
        The user changed the pixel size.
    open_file_clicked, open_folder_clicked
        The user wants to choose a slide and open it.
    step_clicked : int
        The user wants the previous (`BACK`) or the next (`ON`) slide of the folder.
    properties_clicked
        The user wants to see the properties of the file.
    earlier_clicked
        The user wants to see the stored analysis.
    series_chosen : int
        The user wants another image of the file.
    """

    mpp_typed = Signal()
    open_file_clicked = Signal()
    open_folder_clicked = Signal()
    step_clicked = Signal(int)
    properties_clicked = Signal()
    earlier_clicked = Signal()
    series_chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.slide_label = ElidedLabel(NO_SLIDE)
        self.size_label = ElidedLabel()
        self.series_box = QComboBox()
        self.series_box.setToolTip(
            "The file holds several images. Choose which of them is shown and analyzed."
        )
        self.warning_label = wrapped_label()
        self.mpp_box = _mpp_box()
        self.open_button, self.folder_button = QPushButton("Open…"), QPushButton("Folder…")
        self.open_button.setToolTip("Open a slide file.")
        self.folder_button.setToolTip("Open an OME-Zarr, or a folder that holds one DICOM slide.")
        self.back_button, self.on_button = QPushButton("◀"), QPushButton("▶")
        self.properties_button = QPushButton("Properties…")
        self.properties_button.setToolTip(
            "Levels, pixel size and what the scanner wrote into the file. The macro and label "
            "images are shown on request."
        )
        self.earlier_label = wrapped_label()
        self.earlier_button = QPushButton("Show it")
        self.earlier_button.setToolTip("Show the stored classes and corrections without a new run.")
        self.earlier_notice = QFrame()
        self._warnings: list[str] = []
        self._lay_out()
        self._connect()
        self.set_slide(None)

    def _lay_out(self) -> None:
        self._form = QFormLayout()
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.addRow("Slide", self.slide_label)
        self._form.addRow("Image", self.series_box)
        self._form.addRow("Size", self.size_label)
        self._form.addRow("µm per pixel", self.mpp_box)
        buttons = QHBoxLayout()
        buttons.addWidget(self.open_button, 1)
        buttons.addWidget(self.folder_button, 1)
        buttons.addWidget(self.back_button)
        buttons.addWidget(self.on_button)
        buttons.addWidget(self.properties_button, 1)
        notice = QHBoxLayout(self.earlier_notice)
        notice.setContentsMargins(0, 0, 0, 0)
        notice.addWidget(self.earlier_label, 1)
        notice.addWidget(self.earlier_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._form)
        layout.addLayout(buttons)
        layout.addWidget(self.warning_label)
        layout.addWidget(self.earlier_notice)

    def _connect(self) -> None:
        self.mpp_box.valueChanged.connect(self._on_mpp_box_changed)
        self.series_box.activated.connect(self._on_series_box_activated)
        self.open_button.clicked.connect(self.open_file_clicked)
        self.folder_button.clicked.connect(self.open_folder_clicked)
        self.back_button.clicked.connect(lambda: self.step_clicked.emit(BACK))
        self.on_button.clicked.connect(lambda: self.step_clicked.emit(ON))
        self.properties_button.clicked.connect(self.properties_clicked)
        self.earlier_button.clicked.connect(self.earlier_clicked)

    @property
    def mpp(self) -> float | None:
        """The pixel size that the user typed, µm; None if there is none or the file has one."""
        value = float(self.mpp_box.value())
        return value if self.mpp_box.isVisibleTo(self) and value > 0 else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings about the slide's file that are shown."""
        return tuple(self._warnings)

    def set_slide(self, info: ShownSlide | None) -> None:
        """Show a slide; None if none is open."""
        self.slide_label.setText(info.name if info else NO_SLIDE)
        origin = (shown_place(info.uri) or "the pixels of this layer") if info else ""
        tip = f"{origin}\npixel size from: {info.mpp_source}" if info else ""
        self.slide_label.setToolTip(tooltip(tip))
        self.size_label.setText(info.size_text if info else "")
        self._set_images(info)
        self._form.setRowVisible(self.mpp_box, info is not None and info.mpp is None)
        self._warnings = list(info.warnings) if info else []
        self._show_warnings()
        self.set_earlier("")
        self.set_neighbors(None, None)
        self.properties_button.setEnabled(info is not None)

    def _set_images(self, info: ShownSlide | None) -> None:
        """List the images of the file; hidden if the others are label, macro or thumbnail."""
        images = info.images if info is not None else ()
        self.series_box.clear()
        for row, image in enumerate(images):
            self.series_box.addItem(str(image), image.series)
            if image.refusal or min(image.shape) < 1:
                self.series_box.model().item(row).setEnabled(False)
                self.series_box.setItemData(
                    row, tooltip(image.refusal), Qt.ItemDataRole.ToolTipRole
                )
        series = info.series if info is not None else 0
        others = [image for image in images if image.series != series]
        self.show_series(series)
        self._form.setRowVisible(
            self.series_box, not all(is_no_slide(image.name) for image in others)
        )

    def show_series(self, series: int) -> None:
        """Show which image of the file is open."""
        self.series_box.setCurrentIndex(self.series_box.findData(series))

    def add_warning(self, text: str) -> None:
        """Show one more warning about the slide's file, unless it is empty or already shown."""
        if text and text not in self._warnings:
            self._warnings.append(text)
            self._show_warnings()

    def set_neighbors(self, back: str | None, on: str | None, reason: str = "") -> None:
        """Show which slides come before and after this one in its folder.

        Parameters
        ----------
        back, on : str or None
            Their names; None if there is none.
        reason : str
            Why there is none; by default that this is the first or last slide.
        """
        ends = (
            (self.back_button, back, "first", "Previous"),
            (self.on_button, on, "last", "Next"),
        )
        for button, name, end, title in ends:
            button.setEnabled(name is not None)
            why = reason or f"this is the {end} slide of its folder"
            button.setToolTip(tooltip(f"{title} slide of the folder: {name or why}."))

    def set_earlier(self, text: str) -> None:
        """Offer a stored analysis with its description; empty for none."""
        self.earlier_label.setText(text)
        self.earlier_notice.setVisible(bool(text))

    def _show_warnings(self) -> None:
        self.warning_label.setText("\n".join(self._warnings))
        self.warning_label.setVisible(bool(self._warnings))

    def set_refusal(self, text: str) -> None:
        """Show why the selected layer cannot be analyzed; only while no slide is shown."""
        self.warning_label.setText(text)
        self.warning_label.setVisible(bool(text))

    def _on_series_box_activated(self, row: int) -> None:
        self.series_chosen.emit(self.series_box.itemData(row))

    def _on_mpp_box_changed(self, _value: float) -> None:
        self.mpp_typed.emit()


def _mpp_box() -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    low, high = Mpp.PLAUSIBLE
    box.setRange(0.0, high)
    box.setDecimals(4)
    box.setSingleStep(0.01)
    box.setSpecialValueText("unknown: type it")
    box.setToolTip(tooltip(f"The file has no pixel size. Type it: {low}–{high} µm."))
    return box
