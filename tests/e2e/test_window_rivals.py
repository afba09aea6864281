"""Two processes with a window on one analysis: the second waits for the first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from napari_fddm.pipeline.outputs import opened_event
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.plugin.document import store_writer
from napari_fddm.plugin.document.prepared_analysis import PreparedAnalysis
from tests.support.leaks import leftovers
from tests.support.stores import make

pytestmark = [pytest.mark.gui, pytest.mark.slow, pytest.mark.thorough]

STROKES = 5


def test_the_second_window_is_read_only_until_the_first_closes(
    make_napari_viewer, tmp_path, qtbot, monkeypatch
):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    path = tmp_path / "s.fddm.ome.zarr"
    make(path).close()
    command = [sys.executable, "-m", "tests.support.painting", str(path)]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        lines = [first.stdout.readline() for _ in range(STROKES)]
        viewer = make_napari_viewer(show=True)
        _, widget = viewer.window.add_plugin_dock_widget("napari-fddm")
        with AnalysisStore.open(path) as store:
            widget.controller.run._on_opener_opened(PreparedAnalysis.of(opened_event(store)))
        analysis, said = widget.controller.current, widget.panels.rate.saved_label
        reason = f"Read-only: {store_writer.BUSY}"
        qtbot.waitUntil(lambda: said.text() == reason, timeout=30_000)
        before = analysis.layer.data.copy()
        analysis.layer.data_setitem((np.array([200]), np.array([200])), 6)
        assert np.array_equal(analysis.layer.data, before)

        first.send_signal(signal.SIGTERM)
        lines += first.communicate(timeout=60)[0].splitlines()
        assert first.returncode == 0
    finally:
        first.kill()
        first.wait()
        first.stdout.close()
    qtbot.waitUntil(lambda: "Read-only" not in said.text(), timeout=30_000)
    strokes = np.array([line.split()[1:] for line in lines if line.count(" ") == 3], int)
    assert (analysis.layer.data[strokes[:, 0], strokes[:, 1]] == strokes[:, 2]).all()
    assert len(strokes) >= STROKES
    analysis.layer.data_setitem((np.array([200]), np.array([200])), 6)
    assert analysis.writer.flush()
    with AnalysisStore.open(path) as store:
        assert np.array_equal(store.labels("corrected"), analysis.layer.data)
    viewer.close()
    assert leftovers(path) == {}
