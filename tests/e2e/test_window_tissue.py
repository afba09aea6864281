"""The tissue mask in a real window: erased by hand, the next run leaves that part out."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_fddm.core.tissue import TissueMask
from napari_fddm.pipeline.store import AnalysisStore
from tests.support.window import RUN_MS, Window

pytestmark = [pytest.mark.gui, pytest.mark.slow, pytest.mark.thorough]

VIEW_UM = 1500.0
CENTER = (2000.0, 2000.0)


@pytest.fixture
def window(tiny_model, make_napari_viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    window = Window(make_napari_viewer(show=True), qtbot)
    window.open_widget(tiny_model)
    window.viewer.open_sample("napari-fddm", "synthetic")
    yield window
    window.let_go()


def click(window: Window, button) -> None:
    window.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    window.qtbot.wait(50)


def test_what_is_erased_from_the_mask_is_left_out_and_corrections_stay(window, qtbot):
    panels, tissue = window.widget.panels, window.widget.controller.tissue
    window.look_at(CENTER, VIEW_UM)
    window.run()
    before = window.analysis.patch.copy()
    layer = window.analysis.layer
    window.key(Qt.Key.Key_6)
    window.key(Qt.Key.Key_P)
    automatic = layer.data.copy()
    window.drag([(-150, -100), (-100, -100), (-50, -100)])
    stroke = (layer.data == 6) & (automatic != 6)
    assert stroke.any()

    # Erase tissue to the right of the middle with napari's eraser.
    row = panels.run.tissue_row
    click(window, row.button)
    qtbot.waitUntil(lambda: tissue.layer is not None, timeout=RUN_MS)
    mask = tissue.layer
    window.look_at(CENTER, VIEW_UM)
    found = mask.mask
    mask.brush_size = 30
    window.key(Qt.Key.Key_1)
    assert str(mask.mode) == "erase"
    window.drag([(130, -60), (130, 0), (130, 60), (170, 60), (170, -60)])
    assert (found & ~mask.mask).any()
    qtbot.waitUntil(lambda: "edited by hand" in row.label.text(), timeout=5000)
    geometry = window.widget.controller.current._tile_geometry
    wanted = TissueMask(mask.mask, tissue._edits_of(window.widget.state.slide).geometry, "mask")
    erased = (before != 0) & ~wanted.tiles_to_analyze(geometry)
    assert erased.any()
    window.screenshot("61-tissue")

    # The window asks; the new analysis leaves the erased tiles out and has the stroke.
    click(window, panels.run.run_button)
    window.wait_until_idle()
    revising = window.widget.controller.other_settings
    qtbot.waitUntil(lambda: revising.dialog is not None, timeout=RUN_MS)
    assert "Tissue mask: auto →" in revising.dialog.text.text()
    click(window, revising.dialog.revise_button)
    assert window.widget.state.busy
    window.wait_until_idle()
    now = window.analysis
    assert not now.patch[erased].any()
    stays = (before != 0) & ~erased
    assert np.array_equal(now.patch[stays], before[stays])
    rows, cols = np.argwhere(erased)[0] + 0.5
    cells = now._tile_geometry.cell / now.geometry.cell
    center = (int(rows * cells), int(cols * cells))
    assert layer.data[center] != 0
    assert now.label_map.automatic[center] == 0
    assert (now.layer.data[stroke] == 6).all()
    with AnalysisStore.open(now.store_path) as store:
        excluded = store.provenance["tissue_excluded_mm2"]
        assert store.provenance["tissue"]["method"] == "mask"
    text = panels.rate.detail_label.text()
    assert f"left out by the tissue mask: {excluded:.2f} mm²" in text
    assert "edited by hand" in row.label.text()
    window.look_at(CENTER, VIEW_UM)
    window.screenshot("62-tissue-left-out")

    # The same mask again: nothing to ask.
    click(window, panels.run.run_button)
    window.wait_until_idle()
    assert window.analysis is now
    assert revising.dialog is None
