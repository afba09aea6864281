"""The outlined tumor bed: drawn, removed, shown again, with a rate of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_fddm.core.necrosis import beside
from napari_fddm.pipeline.outputs import opened_event, store_report
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.store.tumor_bed import read_tumor_bed, tumor_bed_record
from napari_fddm.plugin.panels.definition_table import BED_RATE
from napari_fddm.plugin.panels.rate import DRAW_BED
from napari_fddm.plugin.state.tools import Tool
from napari_fddm.plugin.state.window_state import Scope
from napari_fddm.slides import open_slide
from tests.support.controllers import URI, refined_halves

pytestmark = pytest.mark.gui


def test_the_rate_inside_an_outline_stands_beside_that_of_all_tissue(bench):
    bench.fingerprint = open_slide(URI).fingerprint
    analysis = refined_halves(bench)
    panel = bench.panels.rate
    assert not panel.bed_label.isVisibleTo(panel.head)
    panel.outline_button.click()
    drawing = bench.viewer.layers.selection.active
    assert drawing.mode == "add_polygon_lasso"
    geometry = analysis.geometry
    rows, cols = geometry.shape
    inner = np.array([[2, 4], [2, cols - 4], [rows - 2, cols - 4], [rows - 2, 4]], float)
    drawing.add_polygons(inner * geometry.cell - 0.5)
    bench.controller.tumor_bed.settle()
    assert panel.rate_label.text() == "50.0 %"
    part = analysis.layer.data[2 : rows - 2, 4 : cols - 4]
    share = np.count_nonzero(part == 3) / part.size
    assert (
        f"inside the outline: {beside(share, 0.5, digits=1, per=100)} %" in panel.bed_label.text()
    )

    # A stroke inside moves both, one outside only the first; always as a recount.
    for y in (rows // 2, 0):
        analysis.layer.brush_size = 3
        analysis.layer.selected_label = 2
        analysis.layer.paint((y, 5), 2)
        share = np.count_nonzero(part == 3) / part.size
        assert (
            f"inside the outline: {beside(share, 0.5, digits=1, per=100)} %"
            in panel.bed_label.text()
        )
        assert (
            panel.definition_table.item(0, BED_RATE)
            .text()
            .startswith(f"{beside(share, 0.5, digits=1, per=100)} %")
        )

    # It is in the store, comes back with it, and goes when its layer is deleted.
    assert analysis.writer.flush()
    with AnalysisStore.open(bench.store) as store:
        (kept,) = read_tumor_bed(store)
        assert np.allclose(kept, inner * geometry.cell, atol=0.01)
    bench.viewer.layers.remove(drawing)
    bench.controller.tumor_bed.settle()
    assert not panel.bed_label.isVisibleTo(panel.head)
    assert analysis.writer.flush()
    with AnalysisStore.open(bench.store) as store:
        assert read_tumor_bed(store) == ()


def test_the_window_says_what_the_mouse_draws_and_an_outline_can_be_removed(bench):
    bench.fingerprint = open_slide(URI).fingerprint
    analysis = refined_halves(bench)
    panel, tools = bench.panels.rate, bench.panels.tools
    bench.viewer.layers.selection.active = analysis.layer
    tools.tool_buttons[Tool.BRUSH].click()
    assert tools.tool_buttons[Tool.BRUSH].isChecked()
    panel.outline_button.click()
    assert panel.outline_button.isChecked()
    assert panel.outline_button.text() == DRAW_BED
    marked = [*tools.tool_buttons.values(), *tools.action_buttons.values()]
    assert not any(button.isChecked() for button in marked)  # the mouse draws an outline now
    drawing = bench.viewer.layers.selection.active
    corners = np.array([[0, 0], [0, 900], [800, 900], [800, 0]], float)
    drawing.add_polygons(corners)
    bench.controller.tumor_bed.settle()
    assert panel.remove_button.isVisibleTo(panel)

    panel.outline_button.click()  # enough drawn: back to the classes
    assert not panel.outline_button.isChecked()
    assert bench.viewer.layers.selection.active is analysis.layer
    assert tools.tool_buttons[Tool.BRUSH].isChecked()

    panel.remove_button.click()
    bench.controller.tumor_bed.settle()
    assert not panel.bed_label.isVisibleTo(panel.head)
    assert not panel.remove_button.isVisibleTo(panel)
    assert analysis.writer.flush()
    with AnalysisStore.open(bench.store) as store:
        assert read_tumor_bed(store) == ()
        assert store_report(store)["inside_tumor_bed"] is None


def test_an_outline_that_was_drawn_before_is_shown_again(bench):
    fingerprint = open_slide(URI).fingerprint
    corners = np.array([[0, 0], [0, 900], [800, 900], [800, 0]], float)
    with AnalysisStore.open(bench.store, "r+") as store:
        store.records.append(tumor_bed_record([corners * 0.5]))
        store.records.append(tumor_bed_record([corners]))
        event = opened_event(store)
    bench.open_slide()
    bench.controller.run.start(Scope.SLIDE)
    bench.answer(replace(event, slide={"fingerprint": fingerprint}))
    (drawing,) = [layer for layer in bench.viewer.layers if layer.name.startswith("tumor bed")]
    assert np.allclose(drawing.data[0], corners - 0.5)
    assert bench.controller.current.tracker.bed_counts.sum() > 0
