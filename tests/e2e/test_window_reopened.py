"""A widget that is opened and closed again and again leaves nothing behind in its viewer."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from napari_fddm.pipeline.outputs import opened_event
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.plugin.controllers import run as running_module
from napari_fddm.plugin.document.prepared_analysis import PreparedAnalysis
from napari_fddm.plugin.layers.slides import slide_layer_data
from napari_fddm.slides import open_slide
from tests.support.controllers import URI, FakeWorker
from tests.support.leaks import leftovers, running
from tests.support.stores import make

pytestmark = [pytest.mark.gui, pytest.mark.slow, pytest.mark.thorough]

ROUNDS = 5


def use_once(viewer, qtbot, store, value):
    """Open the widget, a slide and its analysis, paint, and close the widget."""
    dock, widget = viewer.window.add_plugin_dock_widget("napari-fddm")
    data, options, _ = slide_layer_data(open_slide(URI), URI)
    viewer.add_image(data, **options)
    with AnalysisStore.open(store) as opened:
        widget.controller.run._on_opener_opened(PreparedAnalysis.of(opened_event(opened)))
    analysis = widget.controller.current
    analysis.layer.data_setitem((np.array([10, 11]), np.array([20, 20])), value)
    widget.panels.rate.export_clicked.emit()
    seen = [weakref.ref(thing) for thing in (widget, widget.controller, analysis)]
    with qtbot.waitSignal(widget.destroyed, timeout=10_000):
        dock.title.close_button.click()
    assert leftovers(store) == {}  # although the layers are still shown
    viewer.layers.clear()
    return seen


def test_five_openings_leave_no_thread_file_connection_or_timer(
    make_napari_viewer, tmp_path, qtbot, monkeypatch
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(running_module, "EngineWorker", lambda _parent: FakeWorker())
    store = tmp_path / "s.fddm.ome.zarr"
    make(store).close()
    viewer = make_napari_viewer()
    after = []
    for round_number in range(ROUNDS):
        seen = use_once(viewer, qtbot, store, 2 + round_number % 2)
        qtbot.wait(100)  # what was queued is done
        gc.collect()
        after.append(running(viewer))
        assert [ref for ref in seen if ref() is not None] == []
    first, *later = after[1:]  # the first use loads what napari and Qt keep for good
    for other in later:
        assert other == first
    with AnalysisStore.open(store) as opened:
        assert opened.log.last_seq == ROUNDS
