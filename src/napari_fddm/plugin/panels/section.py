"""A titled section of the dock widget that can be collapsed."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QToolButton, QVBoxLayout, QWidget

from napari_fddm.plugin.plumbing.plain_text import tooltip

GAP_PX = 4
"""Vertical space between widgets."""


class Section(QWidget):
    """A clickable header with widgets below it; expanded at first.

    Parameters
    ----------
    title : str
        Text of the header.
    widgets : tuple of QWidget
        The content, from top to bottom.
    """

    def __init__(
        self, title: str, widgets: tuple[QWidget, ...], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.header = QToolButton()
        self.header.setText(title)
        self.header.setToolTip(tooltip(f"Collapse or expand: {title}."))
        self.header.setCheckable(True)
        self.header.setChecked(True)
        self.header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.header.setStyleSheet("font-weight: bold; border: none; background: transparent;")
        self.body = QWidget()
        inner = QVBoxLayout(self.body)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(GAP_PX)
        for widget in widgets:
            inner.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP_PX)
        layout.addWidget(self.header)
        layout.addWidget(self.body)
        self.header.toggled.connect(self.set_open)
        self.set_open(True)

    def set_open(self, wanted: bool) -> None:
        """Show or hide the widgets below the header."""
        self.header.setChecked(wanted)
        self.header.setArrowType(Qt.ArrowType.DownArrow if wanted else Qt.ArrowType.RightArrow)
        self.body.setVisible(wanted)
