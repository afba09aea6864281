"""Small icons, drawn here: no file, no theme, no download."""

from __future__ import annotations

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap

SIZE_PX = 16
_SCALE = 2
"""Drawn larger than shown, for screens with small pixels."""


def ink() -> QColor:
    """Return the text color of napari's theme; Qt's own palette does not know it."""
    from napari.settings import get_settings
    from napari.utils.theme import get_theme

    text = get_theme(str(get_settings().appearance.theme)).text
    return QColor(*(int(c) for c in text.as_rgb_tuple()[:3]))


def swatch(rgb: tuple[int, int, int], *, shown: bool = True) -> QIcon:
    """Return a square of a color; only its frame if the class is hidden."""
    picture = _empty()
    painter = QPainter(picture)
    box = QRectF(1, 1, SIZE_PX - 2, SIZE_PX - 2)
    if shown:
        painter.fillRect(box, QColor(*rgb))
    painter.setPen(QPen(QColor(*rgb) if not shown else QColor(128, 128, 128), 1))
    painter.drawRect(box)
    painter.end()
    return QIcon(picture)


def eye(color: QColor, *, opened: bool) -> QIcon:
    """Return an eye; closed it is struck through."""
    picture = _empty()
    painter = _pen(picture, color)
    lid = QPainterPath(QPointF(1, 8))
    lid.quadTo(8, 0, 15, 8)
    lid.quadTo(8, 16, 1, 8)
    if opened:
        painter.drawPath(lid)
        painter.setBrush(color)
        painter.drawEllipse(QPointF(8, 8), 2.4, 2.4)
    else:
        painter.setOpacity(0.6)
        painter.drawPath(lid)
        painter.drawLine(QPointF(2, 14), QPointF(14, 2))
    painter.end()
    return QIcon(picture)


def spot(color: QColor, *, lit: bool) -> QIcon:
    """Return a ring, filled when lit: this class alone."""
    picture = _empty()
    painter = _pen(picture, color)
    if lit:
        painter.setBrush(color)
    else:
        painter.setOpacity(0.6)
    painter.drawEllipse(QPointF(8, 8), 4.5, 4.5)
    painter.end()
    return QIcon(picture)


def _empty() -> QPixmap:
    picture = QPixmap(SIZE_PX * _SCALE, SIZE_PX * _SCALE)
    picture.setDevicePixelRatio(_SCALE)
    picture.fill(Qt.GlobalColor.transparent)
    return picture


def _pen(picture: QPixmap, color: QColor) -> QPainter:
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(color, 1.4))
    return painter
