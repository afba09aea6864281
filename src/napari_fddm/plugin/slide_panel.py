"""The slide panel: what is looked at, how large it is, what to know about its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDoubleSpinBox, QFormLayout, QLabel, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_fddm.core.geometry import Mpp

if TYPE_CHECKING:
    from napari_fddm.plugin.state import SlideInfo

NO_SLIDE = "none: File ▸ Open, or drop one here"


class SlidePanel(QWidget):
    """Names the slide and asks for its pixel size where the file does not say it.

    Signals
    -------
    mpp_typed
        Another pixel size was given.
    """

    mpp_typed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.slide_label = QElidingLabel(NO_SLIDE)
        self.size_label = QElidingLabel()
        self.warning_label = QLabel()
        self.warning_label.setWordWrap(True)
        self.warning_label.hide()
        self.mpp_box = _mpp_box()
        self._lay_out()
        self.mpp_box.valueChanged.connect(self._on_mpp_box_changed)
        self.set_slide(None)

    def _lay_out(self) -> None:
        self._form = QFormLayout()
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.addRow("Slide", self.slide_label)
        self._form.addRow("Size", self.size_label)
        self._form.addRow("µm per pixel", self.mpp_box)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._form)
        layout.addWidget(self.warning_label)

    @property
    def mpp(self) -> float | None:
        """What the user typed as µm per pixel; None where the slide knows it or nothing was."""
        value = float(self.mpp_box.value())
        return value if self.mpp_box.isVisibleTo(self) and value > 0 else None

    def set_slide(self, info: SlideInfo | None) -> None:
        """Show a slide."""
        self.slide_label.setText(info.name if info else NO_SLIDE)
        place = (info.uri or "the pixels of this layer") if info else ""
        tip = f"{place}\npixel size from: {info.mpp_source}" if info else ""
        self.slide_label.setToolTip(tip)
        self.size_label.setText(info.size_text if info else "")
        self._form.setRowVisible(self.mpp_box, info is not None and info.mpp is None)
        text = "\n".join(info.warnings) if info else ""
        self.warning_label.setText(text)
        self.warning_label.setVisible(bool(text))

    def set_refusal(self, text: str) -> None:
        """Say why the selected layer is no slide; only where no other slide is shown."""
        self.warning_label.setText(text)
        self.warning_label.setVisible(bool(text))

    def _on_mpp_box_changed(self, _value: float) -> None:
        self.mpp_typed.emit()


def _mpp_box() -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    low, high = Mpp.PLAUSIBLE
    box.setRange(0.0, high)
    box.setDecimals(4)
    box.setSingleStep(0.01)
    box.setSpecialValueText("not known: type it")
    box.setToolTip(f"This slide does not say how large its pixels are: {low}–{high} µm.")
    return box
