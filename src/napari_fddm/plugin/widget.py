"""The dock widget: all panels from top to bottom, with the rate always visible below them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_fddm.plugin.controller import Controller
from napari_fddm.plugin.panels import Panels
from napari_fddm.plugin.panels.section import GAP_PX, Section
from napari_fddm.plugin.state.window_state import PluginState

if TYPE_CHECKING:
    from napari.viewer import Viewer

MIN_WIDTH = 420
"""Wide enough for the longest class name, px."""


class FddmWidget(QWidget):
    """The FDDM dock widget.

    Parameters
    ----------
    napari_viewer : Viewer
        Passed in by napari.
    """

    def __init__(self, napari_viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.panels = Panels.build()
        self._lay_out()
        self.state = PluginState()
        self.controller = Controller(napari_viewer, self.state, self.panels, parent=self)
        self.controller.session.connections.add(self.controller.run.ready, self._on_run_ready)

    def _lay_out(self) -> None:
        content = QWidget()
        inner = QVBoxLayout(content)
        inner.setContentsMargins(9, 2, 9, 2)
        inner.setSpacing(GAP_PX)
        self.sections = {
            title: Section(title, panels) for title, panels in self.panels.sections().items()
        }
        for section in self.sections.values():
            inner.addWidget(section)
        inner.addStretch()
        self._scroll = scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(content)
        bar = scroll.verticalScrollBar()
        needed = content.minimumSizeHint().width() + (bar.sizeHint().width() if bar else 0)
        self.setMinimumWidth(max(MIN_WIDTH, needed))
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 6)
        outer.addWidget(scroll, 1)
        outer.addWidget(_line())
        outer.addWidget(self.panels.rate.head)

    def _on_run_ready(self) -> None:
        """Scroll to the section for corrections, the next step after a run."""
        bar = self._scroll.verticalScrollBar()
        if bar is not None:
            bar.setValue(self.sections["Correct"].y())


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    return line
