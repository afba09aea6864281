"""Icons of the class table, drawn in code so that no image files are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE_PX = 16
_SCALES = (1, 2, 3)
"""Device pixel ratios for which each icon is drawn."""


def ink() -> QColor:
    """Return the text color of napari's theme, which Qt's own palette does not have."""
    from napari.settings import get_settings
    from napari.utils.theme import get_theme

    text = get_theme(str(get_settings().appearance.theme)).text
    return QColor(*(int(c) for c in text.as_rgb_tuple()[:3]))


def swatch(rgb: tuple[int, int, int], *, shown: bool = True) -> QIcon:
    """Return a filled square in the color of a class; only its frame if the class is hidden."""

    def draw(painter: QPainter) -> None:
        box = QRectF(1.5, 1.5, SIZE_PX - 3, SIZE_PX - 3)
        if shown:
            painter.fillRect(box, QColor(*rgb))
        painter.setPen(QPen(QColor(128, 128, 128) if shown else QColor(*rgb), 1))
        painter.drawRect(box)

    return _icon(draw)


def hatch() -> QIcon:
    """Return a hatched square for excluded cells."""

    def draw(painter: QPainter) -> None:
        box = QRectF(1.5, 1.5, SIZE_PX - 3, SIZE_PX - 3)
        painter.fillRect(box, QColor(160, 160, 160))
        painter.setPen(QPen(QColor(40, 40, 40), 1.2))
        for x in (5, 10, 15, 20):
            painter.drawLine(
                QPointF(max(2, x - 12), min(14, x)), QPointF(min(14, x), max(2, x - 12))
            )
        painter.drawRect(box)

    return _icon(draw)


def eye(color: QColor, *, opened: bool) -> QIcon:
    """Return an open eye, or a struck-through one."""

    def draw(painter: QPainter) -> None:
        lid = QPainterPath(QPointF(1, 8))
        lid.quadTo(8, 0, 15, 8)
        lid.quadTo(8, 16, 1, 8)
        painter.setPen(QPen(color, 1.4))
        if opened:
            painter.drawPath(lid)
            painter.setBrush(color)
            painter.drawEllipse(QPointF(8, 8), 2.4, 2.4)
        else:
            painter.setOpacity(0.6)
            painter.drawPath(lid)
            painter.drawLine(QPointF(2, 14), QPointF(14, 2))

    return _icon(draw)


def spot(color: QColor, *, lit: bool) -> QIcon:
    """Return a ring, filled if its class is shown alone."""

    def draw(painter: QPainter) -> None:
        painter.setPen(QPen(color, 1.4))
        if lit:
            painter.setBrush(color)
        else:
            painter.setOpacity(0.6)
        painter.drawEllipse(QPointF(8, 8), 4.5, 4.5)

    return _icon(draw)


def padlock(color: QColor, *, closed: bool) -> QIcon:
    """Return a closed padlock, or a faint open one."""

    def draw(painter: QPainter) -> None:
        painter.setPen(QPen(color, 1.4))
        if closed:
            painter.drawArc(QRectF(5, 2.5, 6, 9), 0, 180 * 16)
            painter.setBrush(color)
        else:
            painter.setOpacity(0.45)
            painter.drawArc(QRectF(5, 0.5, 6, 9), 40 * 16, 140 * 16)
        painter.drawRect(QRectF(3.5, 7.5, 9, 6))

    return _icon(draw)


def _icon(draw: Callable[[QPainter], None]) -> QIcon:
    icon = QIcon()
    for scale in _SCALES:
        picture = QPixmap(SIZE_PX * scale, SIZE_PX * scale)
        picture.setDevicePixelRatio(scale)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        draw(painter)
        painter.end()
        icon.addPixmap(picture)
    return icon
