"""What is excluded by hand is marked, what no model looked at is not."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.events import RegionRefined
from napari_fddm.core.geometry import Window
from napari_fddm.plugin.panels.classes import AREA
from napari_fddm.plugin.state.tools import Action
from tests.support.controllers import refined_halves
from tests.support.stores import GEOMETRIES

pytestmark = pytest.mark.gui


def shown(bench):
    marks = bench.controller.excluded.marks_of(bench.controller.current)
    return np.asarray(marks.data) != 0


def excluded(analysis):
    return (analysis.label_map.labels == 0) & (analysis.label_map.automatic != 0)


def test_marks_follow_strokes_undo_restoring_and_runs(bench):
    analysis = refined_halves(bench)
    layer = analysis.layer
    assert bench.controller.excluded.marks_of(analysis) is None
    analysis.tracker.put_automatic(Window(0, 0, 30, 30), np.zeros((30, 30), np.uint8))
    bench.viewer.layers.selection.active = layer
    layer.action = Action.EXCLUDE
    layer.brush_size = 21
    layer.paint((30, 30), 3)
    assert bench.viewer.layers.selection.active is layer
    assert shown(bench).any()
    assert not shown(bench)[:30, :30].any()
    assert np.array_equal(shown(bench), excluded(analysis))
    layer.paint((60, 60), 3)
    layer.undo()
    assert np.array_equal(shown(bench), excluded(analysis))
    analysis.tracker.put_automatic(Window(35, 35, 20, 20), np.zeros((20, 20), np.uint8))
    assert np.array_equal(shown(bench), excluded(analysis))
    layer.reset()
    assert not shown(bench).any()


def test_deleted_marks_stay_away_and_go_with_their_analysis(bench):
    analysis = refined_halves(bench)
    analysis.layer.action = Action.EXCLUDE
    analysis.layer.paint((30, 30), 3)
    marks = bench.controller.excluded.marks_of(analysis)
    bench.viewer.layers.remove(analysis.layer)
    assert marks not in bench.viewer.layers


def test_what_is_excluded_leaves_the_rate_and_is_shown(bench):
    bench.start()
    layer = bench.controller.current.layer
    window = Window(0, 0, *layer.data.shape)
    labels = np.full(layer.data.shape, 2, np.uint8)
    labels[:, : layer.data.shape[1] // 2] = 3
    bench.answer(RegionRefined(window, labels, 1, 1))
    bench.controller.rate.refresh()
    assert bench.panels.rate.rate_label.text() == "50.0 %"
    layer.action = Action.EXCLUDE
    layer.fill((0, 0), 3)
    assert bench.panels.rate.rate_label.text() == "0.0 %"
    shown = float(bench.panels.classes.rows.item(7, AREA).text())
    cells = np.count_nonzero(labels == 3)
    assert shown == pytest.approx(cells * GEOMETRIES.label.cell_mm2, abs=0.006)
