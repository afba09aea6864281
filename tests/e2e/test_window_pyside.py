"""The main job in a real window of PySide6, the other Qt binding.

`make test` runs it in a process of its own, with ``QT_API=pyside6``.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest
import qtpy
from qtpy.QtCore import Qt

from tests.support.leaks import leftovers
from tests.support.window import Window

pytestmark = [pytest.mark.gui, pytest.mark.slow]


@pytest.mark.skipif(not qtpy.PYSIDE6, reason="the other window tests do this with PyQt6")
def test_open_run_paint_undo_close(tiny_model, make_napari_viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    window = Window(make_napari_viewer(show=True), qtbot)
    window.open_widget(tiny_model)
    window.viewer.open_sample("napari-fddm", "synthetic")
    window.look_at((2000.0, 2000.0), 400.0)
    window.run()
    layer, store = window.analysis.layer, window.analysis.store_path
    assert layer.data.any()

    before_text, before = window.rate_text, layer.data.copy()
    layer.brush_size = 40
    window.key(Qt.Key.Key_2)
    window.key(Qt.Key.Key_P)
    window.drag([(-150, -60), (-50, 0), (60, 40), (150, 60)])
    changed = layer.data != before
    assert changed.sum() > 500
    assert set(np.unique(layer.data[changed])) == {2}
    assert window.rate_text == window.recounted_rate_text() != before_text
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(layer.data, before)
    assert window.rate_text == before_text

    process = window.widget.controller.run.worker._client._process
    window.viewer.close()
    del layer
    window.let_go()
    qtbot.waitUntil(lambda: process.poll() is not None, timeout=15_000)
    qtbot.waitUntil(
        lambda: not [t.name for t in threading.enumerate() if t.name.startswith("fddm-")],
        timeout=15_000,
    )
    assert leftovers(store) == {}
