"""The slide panel shows names as they are written."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QTextDocument

from napari_fddm.plugin.panels.slide import SlidePanel

pytestmark = pytest.mark.gui
NAME = "<b>x</b>.tif is <h1>3 %</h1>"


def test_html_in_a_name_is_text_everywhere(qtbot):
    panel = SlidePanel()
    qtbot.addWidget(panel)
    panel.set_refusal(NAME)
    panel.set_earlier(NAME)
    panel.set_neighbors(NAME, None)
    for label in (panel.warning_label, panel.earlier_label):
        assert label.textFormat() == Qt.TextFormat.PlainText
        assert label.text() == NAME
    tip = QTextDocument()
    tip.setHtml(panel.back_button.toolTip())
    assert NAME in tip.toPlainText()
