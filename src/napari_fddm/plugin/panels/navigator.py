"""The navigator panel: an overview of the slide to move in, and the magnification. Qt only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPen
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_fddm.plugin.panels.widgets import qt_image
from napari_fddm.plugin.plumbing.plain_text import PlainLabel, tooltip

if TYPE_CHECKING:
    from qtpy.QtGui import QImage, QMouseEvent, QPaintEvent

    from napari_fddm.core.geometry import Region
    from napari_fddm.core.protocols import RgbImage

MAGNIFICATIONS = (2, 4, 10, 20, 40)
MAP_SIZE_PX = (190, 118)
"""Width and height of the minimap, px."""
SMALLEST_FRAME_PX = 7.0
"""Smallest width and height at which the frame is drawn, px: a smaller one is easily missed."""
LINE = QColor("#00b8ff")
_BACKGROUND = QColor(128, 128, 128, 60)

NO_MPP = "unknown: this slide does not say how large its pixels are"
MEANING = (
    "Magnification as scanners count it: at 40× one screen pixel shows 0.25 µm, at 20× 0.5 µm, "
    "in general 10 µm divided by the magnification. A 40× scan at 40× is shown pixel by pixel. "
    "How large a cell looks depends on the screen, so it differs from an eyepiece."
)


class Minimap(QWidget):
    """An overview of the whole slide with a frame around what the canvas shows.

    Signals
    -------
    moved : float, float
        The position (y, x) that was clicked or dragged to, level-0 px.
    """

    moved = Signal(float, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image: QImage | None = None
        self._shape: tuple[int, int] | None = None
        self._view: Region | None = None
        self.setFixedSize(*MAP_SIZE_PX)
        self.setToolTip("The whole slide. Click or drag to move the view there.")

    def set_slide(self, shape: tuple[int, int] | None) -> None:
        """Prepare for a slide of this size (height, width), level-0 px; None for no slide."""
        self._shape, self._image, self._view = shape, None, None
        cursor = Qt.CursorShape.PointingHandCursor if shape else Qt.CursorShape.ArrowCursor
        self.setCursor(cursor)
        self.update()

    def set_image(self, rgb: RgbImage) -> None:
        """Show a picture of the whole slide, uint8 (h, w, 3)."""
        self._image = qt_image(rgb)
        self.update()

    def set_view(self, region: Region | None) -> None:
        """Draw the frame around a region, level-0 px; None for no frame."""
        self._view = region
        self.update()

    @property
    def has_image(self) -> bool:
        """Whether the overview was read."""
        return self._image is not None

    @property
    def frame(self) -> QRectF | None:
        """The frame as drawn, px of the widget; None if there is none."""
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
        grow_x, grow_y = (
            max(0.0, SMALLEST_FRAME_PX - n) / 2 for n in (rect.width(), rect.height())
        )
        return rect.adjusted(-grow_x, -grow_y, grow_x, grow_y)

    def place_of(self, y: float, x: float) -> QPointF:
        """Return where a position in level-0 px is drawn, px of the widget."""
        area, scale = self._area()
        return QPointF(area.left() + x * scale, area.top() + y * scale)

    def sizeHint(self) -> QSize:
        """Return the fixed size."""
        return QSize(*MAP_SIZE_PX)

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        """Draw background, overview and frame."""
        painter = QPainter(self)
        if self._shape is None:
            painter.fillRect(self.rect(), _BACKGROUND)
            painter.end()
            return
        area, _ = self._area()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(area, _BACKGROUND)
        if self._image is not None:
            painter.drawImage(area, self._image)
        frame = self.frame
        if frame is not None:
            painter.setPen(QPen(QColor("white"), 4))  # visible on tissue and on glass
            painter.drawRect(frame)
            painter.setPen(QPen(LINE, 2))
            painter.drawRect(frame)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Move the view to where the left button is pressed."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._move_to(event.position())

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Move the view along with a drag of the left button."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self._move_to(event.position())

    def _move_to(self, place: QPointF) -> None:
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
    """Minimap, magnification buttons and the current magnification.

    Signals
    -------
    moved : float, float
        The position (y, x) that was clicked on the minimap, level-0 px.
    magnification_clicked : int
        The user chose this magnification.
    """

    moved = Signal(float, float)
    magnification_clicked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.map = Minimap()
        self.readout = PlainLabel()
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
        """Prepare for a slide of this size (height, width), level-0 px; None for no slide."""
        self.map.set_slide(shape)
        self.set_magnification(None, "no slide is open")

    def set_magnification(self, value: float | None, reason: str = NO_MPP) -> None:
        """Show the magnification of the view; None shows a dash, with the reason as tooltip."""
        self.readout.setText("–" if value is None else magnification_text(value))
        self.readout.setToolTip(
            tooltip(MEANING if value is not None else f"Magnification: {reason}.")
        )
        for power, button in self.buttons.items():
            button.setEnabled(value is not None)
            button.setChecked(value is not None and abs(value / power - 1) < 0.02)
            tip = f"Zoom to {power}×: {10 / power:g} µm per screen pixel."
            button.setToolTip(tooltip(tip if value is not None else f"Magnification: {reason}."))

    def _on_button_clicked(self, power: int) -> None:
        self.magnification_clicked.emit(power)


def magnification_text(value: float) -> str:
    """Return a magnification with sensible digits: "0.42×", "7.3×", "23×"."""
    digits = 2 if value < 0.995 else 1 if value < 9.95 and round(value, 1) % 1 else 0
    return f"{value:.{digits}f}×"


def _button(power: int) -> QPushButton:
    button = QPushButton(f"{power}×")
    button.setCheckable(True)
    button.setMinimumWidth(28)
    button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return button
