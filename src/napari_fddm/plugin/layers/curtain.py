"""Compares two maps with a line to drag over the canvas: one map left of it, one right.

Layers are clipped in canvas pixels, not in the slide's, so that the line stays where it is
while the slide is moved and zoomed below it. The clipping is a vispy filter on the layer's
node, because napari's own clipping planes have no effect on images and labels in 2D.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import QLabel, QWidget
from vispy.visuals.filters import Clipper

from napari_fddm.plugin.plumbing.plain_text import PlainLabel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer
    from qtpy.QtGui import QMouseEvent, QPaintEvent

GRAB_PX = 13
"""Width in which the mouse catches the line, which alone is too thin."""
LINE_PX = 3
EDGE_PX = 2
"""Width of the dark margin on either side, which makes the line visible on glass as well."""
TITLE_GAP_PX = 10
"""Distance of the titles from the line and from the upper edge."""
FAR = 1e6
"""A coordinate beyond every canvas, px."""


class Curtain(QObject):
    """A vertical line to drag, with clipped layers left and right of it.

    Parameters
    ----------
    canvas : VispyCanvas
        napari's canvas.

    Attributes
    ----------
    share : float
        Position of the line, as a share of the canvas's width.
    """

    def __init__(self, canvas: Any) -> None:
        super().__init__()
        self._canvas = canvas
        self._native: QWidget = canvas.native
        self._clipped: list[tuple[Any, Clipper]] = []
        self._left, self._right = Clipper(), Clipper()
        self.share = 0.5
        self._titles = (_title(self._native), _title(self._native))
        self.line = _Line(self._native)
        self.line.moved.connect(self._on_line_moved)
        self._native.installEventFilter(self)
        self._place()
        self.line.show()

    def clip(self, left: Sequence[Layer], right: Sequence[Layer], titles: tuple[str, str]) -> None:
        """Draw some layers only left of the line, and others only right of it.

        Parameters
        ----------
        left, right : sequence of Layer
            A layer that is in both, or in neither, is drawn whole.
        titles : tuple of str
            The texts left and right of the line.
        """
        self._detach()
        for layers, other, clipper in ((left, right, self._left), (right, left, self._right)):
            for layer in layers:
                visual = self._canvas.layer_to_visual.get(layer)
                if visual is not None and layer not in other:
                    visual.node.attach(clipper)
                    self._clipped.append((visual.node, clipper))
        for label, text in zip(self._titles, titles, strict=True):
            label.setText(text)
            label.adjustSize()
            label.show()
        self._place()

    def remove(self) -> None:
        """Remove the line and draw every layer whole again."""
        self._detach()
        if isalive(self._native):
            self._native.removeEventFilter(self)
            for widget in (self.line, *self._titles):
                widget.hide()
                widget.deleteLater()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep the line at its share of the width when the canvas is resized."""
        if watched is self._native and event is not None and event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def _detach(self) -> None:
        for node, clipper in self._clipped:
            node.detach(clipper)
            node.update()
        self._clipped.clear()

    def _place(self) -> None:
        width, height = self._native.width(), self._native.height()
        x = round(self.share * width)
        self.line.setGeometry(x - GRAB_PX // 2, 0, GRAB_PX, height)
        self.line.raise_()
        for label, left in zip(self._titles, (True, False), strict=True):
            away = -label.width() - TITLE_GAP_PX if left else TITLE_GAP_PX
            label.move(x + away, TITLE_GAP_PX)
        pixel = x * self._native.devicePixelRatioF()  # of the frame buffer
        self._left.bounds = (pixel - FAR, -FAR, FAR, 2 * FAR)
        self._right.bounds = (pixel, -FAR, FAR, 2 * FAR)
        for node, _ in self._clipped:
            node.update()

    def _on_line_moved(self, x: float) -> None:
        self.share = min(max(x / max(1, self._native.width()), 0.0), 1.0)
        self._place()


class _Line(QWidget):
    """The line that the mouse drags; `moved` gives its new x in canvas px."""

    moved = Signal(float)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setCursor(Qt.CursorShape.SplitHCursor)
        self.setToolTip("Drag to compare left and right.")

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        """Draw a light line with dark edges."""
        painter = QPainter(self)
        center = GRAB_PX // 2
        for half, color in ((LINE_PX // 2 + EDGE_PX, "#202020"), (LINE_PX // 2, "#ffffff")):
            painter.fillRect(center - half, 0, 2 * half + 1, self.height(), QColor(color))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Accept the press, so that nothing is painted below the line."""
        if event is not None:
            event.accept()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Follow the mouse."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self.moved.emit(self.mapToParent(event.position().toPoint()).x())
            event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Accept the release, as the press."""
        if event is not None:
            event.accept()


def _title(parent: QWidget) -> QLabel:
    label = PlainLabel(parent=parent)
    label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    label.setStyleSheet(
        "background: rgba(32, 32, 32, 200); color: white; padding: 2px 6px; border-radius: 3px;"
    )
    return label
