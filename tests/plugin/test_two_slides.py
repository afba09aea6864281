"""Two analyses in one window: each keeps its results and its numbers, whichever is in front."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_fddm.core.events import RegionRefined, TileBatch
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.engine.messages import RunFinished
from napari_fddm.plugin.document.prepared_analysis import PreparedAnalysis
from napari_fddm.plugin.state.window_state import RunPhase
from tests.support.stores import make

pytestmark = pytest.mark.gui


@pytest.fixture
def two(bench, tmp_path):
    """An analysis that was opened before, and another one that a run fills."""
    store = tmp_path / "earlier.fddm.ome.zarr"
    make(store).close()
    opened = replace(
        bench.opened(),
        store=str(store),
        slide={"name": "earlier", "fingerprint": "earlier"},
        coverage=0.25,
        tissue_excluded_mm2=1.5,
    )
    bench.controller.run._on_opener_opened(PreparedAnalysis.of(opened))
    earlier = bench.controller.current
    bench.start()
    return earlier, bench.controller.current


def bring_to_front(bench, analysis):
    bench.viewer.layers.selection.active = analysis.layer
    assert bench.controller.current is analysis


def test_results_go_to_the_analysis_of_the_run(bench, two):
    earlier, filled = two
    bring_to_front(bench, earlier)
    bench.answer(TileBatch(np.array([0]), np.array([1]), np.array([4], np.uint8), 1, 2))
    bench.answer(RegionRefined(Window(0, 0, 5, 5), np.full((5, 5), 3, np.uint8), 1, 1))
    assert filled.patch[0, 1] == 4
    assert (filled.layer.data[:5, :5] == 3).all()
    assert not earlier.patch.any()
    assert not earlier.layer.data.any()


def test_the_end_of_a_run_does_not_take_the_front(bench, two):
    earlier, filled = two
    bring_to_front(bench, earlier)
    number = len(bench.worker.requests)
    report = {"coverage": 0.75, "tissue_excluded_mm2": 0.5}
    bench.worker.answered.emit(number, RunFinished(number, {"report": report}))
    assert bench.controller.current is earlier
    assert bench.viewer.layers.selection.active is earlier.layer
    assert (filled.coverage, earlier.coverage) == (0.75, 0.25)


def test_coverage_is_that_of_the_analysis_in_front(bench, two):
    earlier, filled = two
    filled.coverage = 0.75
    detail = bench.panels.rate.detail_label
    for analysis, share, left_out in ((earlier, "25%", True), (filled, "75%", False)):
        bring_to_front(bench, analysis)
        analysis.layer.data_setitem((np.array([0]), np.array([0])), 2)
        bench.controller.rate.refresh()
        assert f"on {share} of the slide" in detail.text()
        assert ("1.50 mm² of the slide" in detail.text()) is left_out


def test_deleting_the_other_analysis_does_not_stop_the_run(bench, two):
    earlier, filled = two
    bring_to_front(bench, earlier)
    earlier.remove_layers()
    assert not bench.worker.cancelled
    filled.remove_layers()
    assert bench.worker.cancelled == 1
    assert bench.state.progress.phase is RunPhase.CANCELLING


def test_the_canvas_is_drawn_between_layers_that_go(bench, two, monkeypatch):
    """Mesa crashes where several go between two drawings."""
    _, filled = two
    left = []
    monkeypatch.setattr(
        "napari_fddm.plugin.layers.viewport.draw_now",
        lambda viewer: left.append(len(viewer.layers)),
    )
    before = len(bench.viewer.layers)
    filled.remove_layers()
    assert left == [before - 1, before - 2, before - 3]
