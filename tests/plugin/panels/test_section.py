"""Sections of the dock fold away and come back."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_fddm.plugin.panels.section import Section

pytestmark = pytest.mark.gui


def test_a_click_on_the_header_folds_and_unfolds(qtbot):
    inside = QLabel("inside")
    section = Section("Correct", (inside,))
    qtbot.addWidget(section)
    section.show()
    assert inside.isVisible()
    open_height = section.sizeHint().height()
    qtbot.mouseClick(section.header, Qt.MouseButton.LeftButton)
    assert not inside.isVisible()
    assert section.sizeHint().height() < open_height
    qtbot.mouseClick(section.header, Qt.MouseButton.LeftButton)
    assert inside.isVisible()


def test_every_panel_stands_in_one_section(bench):
    placed = [panel for panels in bench.panels.sections().values() for panel in panels]
    assert len(placed) == len(set(placed))
    assert set(placed) == {getattr(bench.panels, name) for name in bench.panels.__slots__}
