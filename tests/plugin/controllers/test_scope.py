"""What a run covers: the view, a drawn region, the whole slide, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.geometry import Region
from napari_fddm.plugin.panels.run import MapKind

pytestmark = pytest.mark.gui


def test_a_drawn_region_is_analyzed_and_its_cost_said_before(bench, said):
    bench.open_slide()
    chooser = bench.controller.scope
    bench.panels.run.draw_button.click()
    bench.controller.run.start(bench.panels.run.scope)
    assert "Draw" in said[-1]
    layer = bench.viewer.layers.selection.active
    assert layer.mode == "add_rectangle"
    # level-0 px 512…1024 by 0…512; napari counts from pixel centers
    layer.add_rectangles(np.array([[511.5, -0.5], [511.5, 511.5], [1023.5, 511.5], [1023.5, -0.5]]))
    assert chooser.estimate() == "16 tiles at most"  # all that its regions read
    bench.state.tiles_per_second = 0.5
    layer.add_rectangles(np.array([[-9, -9], [-9, 700], [300, 700], [300, -9]]))
    assert chooser.estimate() == "16 tiles at most, up to 32 s at the last run's speed"
    layer.selected_data = {0}
    kinds = bench.panels.run.stage_box
    kinds.setCurrentIndex(kinds.findData(MapKind.CELLS.value))
    assert chooser.estimate() == "6 tiles at most, up to 12 s at the last run's speed"
    kinds.setCurrentIndex(kinds.findData(MapKind.TILES.value))
    assert chooser.estimate() == "1 tile, up to 2 s at the last run's speed"
    bench.controller.run.start(bench.panels.run.scope)
    assert bench.worker.requests[-1]["region"] == Region(512.0, 0.0, 512.0, 512.0)
    bench.panels.run.draw_button.click()
    assert sum(layer.name.startswith("region") for layer in bench.viewer.layers) == 1


def test_the_estimate_follows_the_scope(bench):
    bench.open_slide()  # 2000 px of 0.5 µm: four tiles a side
    bench.panels.run.scope_box.setCurrentIndex(2)
    assert bench.controller.scope.estimate() == "16 tiles at most"
    bench.controller.scope._on_timer_timeout()
    assert bench.panels.run.estimate_label.text() == "16 tiles at most"
    bench.start()
    assert bench.controller.scope.estimate() == ""
