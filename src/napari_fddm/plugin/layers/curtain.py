"""A line over the canvas with one map on each side: the curtain that a reader draws aside.

Layers are cut in the window's pixels, not in the slide's, so that the line stands still
while the slide is moved and zoomed below it and nothing has to follow. napari's own
clipping planes do not reach images and labels in 2D (tried): the cut is a vispy filter
on the layer's node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import QLabel, QWidget
from vispy.visuals.filters import Clipper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer
    from qtpy.QtGui import QMouseEvent, QPaintEvent

GRAB_PX = 13
"""Width that takes the mouse: a line alone is too thin to catch."""
LINE_PX = 3
EDGE_PX = 2
"""Dark margin on either side, so that the line is seen on glass as well."""
TITLE_GAP_PX = 10
FAR = 1e6
"""Beyond every canvas, px."""


class Curtain(QObject):
    """A draggable vertical line; layers left and right of it.

    Parameters
    ----------
    canvas : VispyCanvas
        napari's canvas.

    Attributes
    ----------
    share : float
        Where the line is, share of the canvas's width.
    """

    def __init__(self, canvas: Any) -> None:
        super().__init__()
        self._canvas = canvas
        self._native: QWidget = canvas.native
        self._hung: list[tuple[Any, Clipper]] = []
        self._left, self._right = Clipper(), Clipper()
        self.share = 0.5
        self._titles = (_title(self._native), _title(self._native))
        self.line = _Line(self._native)
        self.line.moved.connect(self._on_line_moved)
        self._native.installEventFilter(self)
        self._place()
        self.line.show()

    def hang(self, left: Sequence[Layer], right: Sequence[Layer], titles: tuple[str, str]) -> None:
        """Draw some layers left of the line only, and others right of it only.

        Parameters
        ----------
        left, right : sequence of Layer
            A layer in both is drawn whole, as is one in neither.
        titles : tuple of str
            What stands left and right of the line.
        """
        self._take_down()
        for layers, other, cut in ((left, right, self._left), (right, left, self._right)):
            for layer in layers:
                visual = self._canvas.layer_to_visual.get(layer)
                if visual is not None and layer not in other:
                    visual.node.attach(cut)
                    self._hung.append((visual.node, cut))
        for label, text in zip(self._titles, titles, strict=True):
            label.setText(text)
            label.adjustSize()
            label.show()
        self._place()

    def remove(self) -> None:
        """Take the line away and draw every layer whole again."""
        self._take_down()
        if isalive(self._native):
            self._native.removeEventFilter(self)
            for widget in (self.line, *self._titles):
                widget.hide()
                widget.deleteLater()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep the line's share of the width when the canvas changes its size."""
        if watched is self._native and event is not None and event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def _take_down(self) -> None:
        for node, cut in self._hung:
            node.detach(cut)
            node.update()
        self._hung.clear()

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
        for node, _ in self._hung:
            node.update()

    def _on_line_moved(self, x: float) -> None:
        self.share = min(max(x / max(1, self._native.width()), 0.0), 1.0)
        self._place()


class _Line(QWidget):
    """What the mouse drags; says where to, in px of the canvas."""

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
        """Keep the press: below the line nothing must be painted."""
        if event is not None:
            event.accept()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Follow the mouse."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self.moved.emit(self.mapToParent(event.position().toPoint()).x())
            event.accept()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """End here what began here."""
        if event is not None:
            event.accept()


def _title(parent: QWidget) -> QLabel:
    label = QLabel(parent)
    label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    label.setStyleSheet(
        "background: rgba(32, 32, 32, 200); color: white; padding: 2px 6px; border-radius: 3px;"
    )
    return label
