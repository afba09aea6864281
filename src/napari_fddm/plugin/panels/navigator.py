"""The navigator: where on the slide one is, how near, and moving there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QImage, QPainter, QPen
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from qtpy.QtGui import QMouseEvent, QPaintEvent

    from napari_fddm.core.geometry import Region
    from napari_fddm.core.protocols import RgbImage

MAGNIFICATIONS = (2, 4, 10, 20, 40)
MAP_SIZE = (190, 118)
"""Most of the dock's width and height that the minimap may take, px."""
SMALLEST_MARK = 7.0
"""A frame smaller than this, px, would be lost on the map."""
LINE = QColor("#00b8ff")
_GROUND = QColor(128, 128, 128, 60)

NO_MPP = "not known: this slide does not say how large its pixels are"
MEANING = (
    "How near the view is, as on a microscope: at 40× one pixel of the screen shows 0.25 µm, "
    "at 20× 0.5 µm, in general 10 µm divided by the magnification. Screens differ, so this "
    "compares with the objective of a scanner (a 40× scan at 40× is shown pixel by pixel), "
    "not with the size of a cell in an eyepiece."
)


class Minimap(QWidget):
    """The whole slide, small, with a frame around what the canvas shows.

    Signals
    -------
    moved : float, float
        A place (y, x) in level-0 px was clicked or dragged to.
    """

    moved = Signal(float, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image: QImage | None = None
        self._shape: tuple[int, int] | None = None
        self._view: Region | None = None
        self.setFixedSize(*MAP_SIZE)
        self.setToolTip("The whole slide. Click or drag: the view goes there.")

    def set_slide(self, shape: tuple[int, int] | None) -> None:
        """Take up a slide of this size (height, width), level-0 px; None for no slide."""
        self._shape, self._image, self._view = shape, None, None
        cursor = Qt.CursorShape.PointingHandCursor if shape else Qt.CursorShape.ArrowCursor
        self.setCursor(cursor)
        self.update()

    def set_image(self, rgb: RgbImage) -> None:
        """Show a picture of the whole slide, uint8 (h, w, 3)."""
        rgb = np.ascontiguousarray(rgb)
        height, width = rgb.shape[:2]
        image = QImage(rgb.data, width, height, 3 * width, QImage.Format.Format_RGB888)
        self._image = image.copy()  # Qt does not keep the array alive
        self.update()

    def set_view(self, region: Region | None) -> None:
        """Frame what the canvas shows, level-0 px; None for nothing."""
        self._view = region
        self.update()

    @property
    def has_image(self) -> bool:
        """Whether there is a picture yet."""
        return self._image is not None

    @property
    def frame(self) -> QRectF | None:
        """Where the frame is drawn, px of the widget."""
        if self._view is None or self._shape is None:
            return None
        area, scale = self._area()
        rect = QRectF(
            area.left() + self._view.x * scale,
            area.top() + self._view.y * scale,
            self._view.width * scale,
            self._view.height * scale,
        ).intersected(area)
        if rect.isEmpty():
            return None
        grow_x, grow_y = (max(0.0, SMALLEST_MARK - n) / 2 for n in (rect.width(), rect.height()))
        return rect.adjusted(-grow_x, -grow_y, grow_x, grow_y)

    def place_of(self, y: float, x: float) -> QPointF:
        """Return where a level-0 place is drawn, px of the widget."""
        area, scale = self._area()
        return QPointF(area.left() + x * scale, area.top() + y * scale)

    def sizeHint(self) -> QSize:
        """Return the fixed size."""
        return QSize(*MAP_SIZE)

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        """Draw ground, picture and frame."""
        painter = QPainter(self)
        if self._shape is None:
            painter.fillRect(self.rect(), _GROUND)
            painter.end()
            return
        area, _ = self._area()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(area, _GROUND)
        if self._image is not None:
            painter.drawImage(area, self._image)
        frame = self.frame
        if frame is not None:
            painter.setPen(QPen(QColor("white"), 4))  # seen on tissue as well as on glass
            painter.drawRect(frame)
            painter.setPen(QPen(LINE, 2))
            painter.drawRect(frame)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Go where the left button is pressed."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._go(event.position())

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Follow a drag."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self._go(event.position())

    def _go(self, place: QPointF) -> None:
        if self._shape is None:
            return
        area, scale = self._area()
        y, x = (place.y() - area.top()) / scale, (place.x() - area.left()) / scale
        height, width = self._shape
        self.moved.emit(min(max(y, 0.0), float(height)), min(max(x, 0.0), float(width)))

    def _area(self) -> tuple[QRectF, float]:
        """Return where the slide is drawn, and widget px per level-0 px."""
        height, width = self._shape or (1, 1)
        scale = min(self.width() / width, self.height() / height)
        left, top = (self.width() - width * scale) / 2, (self.height() - height * scale) / 2
        return QRectF(left, top, width * scale, height * scale), scale


class NavigatorPanel(QWidget):
    """Minimap, magnification buttons and read-out.

    Signals
    -------
    moved : float, float
        A place (y, x) in level-0 px was clicked on the minimap.
    magnification_clicked : int
        A magnification was asked for.
    """

    moved = Signal(float, float)
    magnification_clicked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.map = Minimap()
        self.readout = QLabel()
        self.readout.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.readout.setStyleSheet("font-size: 12pt; font-weight: bold")
        self.buttons = {power: _button(power) for power in MAGNIFICATIONS}
        for power, button in self.buttons.items():
            button.clicked.connect(lambda _checked=False, p=power: self._on_button_clicked(p))
        self.map.moved.connect(self.moved)
        self._lay_out()
        self.set_slide(None)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(2)
        for button in self.buttons.values():
            row.addWidget(button)
        side = QVBoxLayout()
        side.addStretch()
        side.addWidget(self.readout)
        side.addLayout(row)
        side.addStretch()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.map)
        layout.addLayout(side, 1)

    def set_slide(self, shape: tuple[int, int] | None) -> None:
        """Take up a slide of this size (height, width), level-0 px; None for no slide."""
        self.map.set_slide(shape)
        self.set_magnification(None, "no slide is open")

    def set_magnification(self, value: float | None, reason: str = NO_MPP) -> None:
        """Show the magnification of the view; None with the reason why there is none."""
        self.readout.setText("–" if value is None else magnification_text(value))
        self.readout.setToolTip(MEANING if value is not None else f"Magnification: {reason}.")
        for power, button in self.buttons.items():
            button.setEnabled(value is not None)
            button.setChecked(value is not None and abs(value / power - 1) < 0.02)
            tip = f"Show the middle of the view at {power}×: {10 / power:g} µm per screen pixel."
            button.setToolTip(tip if value is not None else f"Magnification: {reason}.")

    def _on_button_clicked(self, power: int) -> None:
        self.magnification_clicked.emit(power)


def magnification_text(value: float) -> str:
    """Say a magnification as people do: "0.42×", "7.3×", "23×"."""
    digits = 2 if value < 0.995 else 1 if value < 9.95 and round(value, 1) % 1 else 0
    return f"{value:.{digits}f}×"


def _button(power: int) -> QPushButton:
    button = QPushButton(f"{power}×")
    button.setCheckable(True)
    button.setMinimumWidth(28)
    button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return button
