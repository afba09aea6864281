"""The panel of tools and the corrected layer."""

from __future__ import annotations

import pytest

from napari_fddm.plugin.state.tools import Action

pytestmark = pytest.mark.gui


def test_panel_and_layer_agree_on_what_the_brush_does(bench):
    bench.start()
    panel, layer = bench.panels.classes, bench.controller.current.layer
    marked = lambda: [r.topRow() for r in panel.rows.selectedRanges()]  # noqa: E731
    panel.class_clicked.emit(4)
    assert (layer.selected_label, layer.mode, marked()) == (4, "paint", [3])
    panel.exclude_clicked.emit()
    assert layer.action is Action.EXCLUDE
    assert marked() == [7]
    layer.action = Action.PAINT
    assert marked() == [3]
    panel.rows.selectRow(0)
    panel.lock_clicked.emit(1)
    assert marked() == [3]
    assert layer.protected == {1}
    panel.lock_clicked.emit(1)
    assert layer.protected == frozenset()
