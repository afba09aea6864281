"""The controller: runs, their events, stores, closing."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QLabel

from napari_fddm.core.events import RegionRefined, StageStarted
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.engine.messages import EngineReady
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.plugin.state.window_state import Scope
from tests.support.stores import GEOMETRIES

pytestmark = pytest.mark.gui


def test_the_engine_is_warmed_when_the_widget_opens(bench):
    assert bench.worker.warm == 1
    bench.worker.answered.emit(0, EngineReady("CPU, float32", 1.0))
    assert bench.state.device == "CPU, float32"


def test_earlier_corrections_come_back(bench):
    corrected = np.zeros(GEOMETRIES.label.shape, np.uint8)
    corrected[:10, :10] = 2
    bench.open_slide()
    bench.controller.run.start(Scope.SLIDE)
    bench.answer(bench.opened(corrected))
    assert np.array_equal(bench.controller.current.layer.data, corrected)
    assert bench.controller.current.tracker.edited_share == 1.0


def test_a_stroke_is_logged_and_changes_the_rate(bench):
    bench.start()
    labels = np.full((100, 100), 3, np.uint8)
    bench.answer(RegionRefined(Window(0, 0, 100, 100), labels, 1, 1))
    analysis = bench.controller.current
    analysis.layer.brush_size = 21
    analysis.layer.paint((50, 50), 2)
    painted = np.count_nonzero(analysis.layer.data == 2)
    assert bench.panels.rate.rate_label.text() == f"{100 * (1 - painted / 10_000):.1f} %"
    assert analysis.writer.flush()
    with AnalysisStore.open(bench.store) as store:
        (edit,) = store.log.edits("corrected")
    assert edit.changed_cells == painted


def test_a_slide_without_pixel_size_asks_for_it(bench, said, tmp_path):
    from tests.support.slides import stained, write_tiff

    path = write_tiff(tmp_path / "plain.tif", [stained(600, 600)])
    bench.open_slide(str(path))
    if bench.state.slide.mpp is not None:
        pytest.fail("the test's slide has a pixel size")
    bench.controller.run.start(Scope.SLIDE)
    assert not bench.worker.requests
    assert "µm per pixel" in said[0]


def test_closing_twice_is_fine_and_closes_everything(bench):
    bench.start()
    bench.controller.close()
    bench.controller.close()
    assert bench.worker.closed == 1
    bench.answer(StageStarted("patch", 4, "tiles"))
    assert bench.state.progress.total == 0


def test_badge_and_disclaimer_are_always_said(bench):
    bench.start()
    assert "never saw real tissue" in bench.panels.rate.badge_label.text()
    texts = [label.text() for label in bench.panels.rate.head.findChildren(QLabel)]
    assert any("Not a diagnosis" in text for text in texts)


def test_the_layers_of_an_analysis_come_one_by_one_and_nobody_loses_the_brush(bench, qtbot):
    bench.open_slide()
    bench.controller.run.start(Scope.SLIDE)
    bench.answer(bench.opened())
    analysis = bench.controller.current
    names = [layer.name.split(" —")[0] for layer in bench.viewer.layers]
    assert names[1:] == ["corrected classes"]  # at once: it can be painted
    analysis.layer.mode = "paint"
    qtbot.waitUntil(lambda: all(layer in bench.viewer.layers for layer in analysis.layers))
    names = [layer.name.split(" —")[0] for layer in bench.viewer.layers]
    assert names[1:] == ["patch classes", "refined classes", "corrected classes"]
    assert bench.viewer.layers.selection.active is analysis.layer
    assert analysis.layer.mode == "paint"


def test_layers_of_an_analysis_that_is_gone_do_not_come(bench, qtbot):
    bench.open_slide()
    bench.controller.run.start(Scope.SLIDE)
    bench.answer(bench.opened())
    bench.viewer.layers.remove(bench.controller.current.layer)
    qtbot.wait(100)
    assert len(bench.viewer.layers) == 1
