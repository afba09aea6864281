"""Viewing slides in a real window: open, go about, next slide, properties, stored analysis."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QPoint, Qt

from napari_fddm.core.geometry import Region
from napari_fddm.core.geometry import Window as Cells
from napari_fddm.core.tiling import TileGrid
from napari_fddm.pipeline.store import StoreGeometries
from napari_fddm.plugin.layers.viewport import shown_region
from napari_fddm.slides.synthetic import SyntheticSlide
from tests.support.slides import APERIO
from tests.support.stores import INFO, make
from tests.support.window import Window

pytestmark = [pytest.mark.gui, pytest.mark.slow]

LEFT = Qt.MouseButton.LeftButton
SHAPE, MPP = (1500, 2000), 0.5


@pytest.fixture
def folder(tmp_path):
    """Two Aperio slides with a label each."""
    folder = tmp_path / "slides"
    folder.mkdir()
    for number in (9, 10):
        slide = SyntheticSlide(*SHAPE, mpp=MPP, seed=number)
        words = APERIO.format(w=SHAPE[1], h=SHAPE[0], t=256, mpp=MPP) + "|User = jane"
        plain = {"photometric": "rgb", "metadata": None}
        label = np.full((80, 60, 3), 230, np.uint8)
        label[10:70:8, 8:52] = 40
        with tifffile.TiffWriter(folder / f"case {number}.svs") as writer:
            pixels = slide.read_region(Region(0, 0, *SHAPE), MPP)
            writer.write(pixels, description=words, tile=(256, 256), compression="jpeg", **plain)
            writer.write(pixels[::10, ::10], description=words, **plain)
            writer.write(label, description="Aperio\nlabel 60x80", subfiletype=1, **plain)
    return folder


@pytest.fixture
def window(tiny_model, make_napari_viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    window = Window(make_napari_viewer(show=True), qtbot)
    window.open_widget(tiny_model)
    yield window
    window.let_go()


def choose(window, monkeypatch, path):
    """Click Open… and take a file in the dialog."""
    monkeypatch.setattr("qtpy.QtWidgets.QFileDialog.getOpenFileNames", lambda *_: ([str(path)], ""))
    panel = window.widget.panels.slide
    window.qtbot.mouseClick(panel.open_button, LEFT)
    window.qtbot.waitUntil(lambda: panel.slide_label.text() == path.name, timeout=10_000)


def middle(window):
    region = shown_region(window.viewer, window.viewer.layers[0])
    return region.y + region.height / 2, region.x + region.width / 2


def test_open_go_about_and_go_on_to_the_next_slide(window, folder, monkeypatch, qtbot):
    choose(window, monkeypatch, folder / "case 9.svs")
    panel, view = window.widget.panels.slide, window.widget.panels.navigator
    qtbot.waitUntil(lambda: view.map.has_image, timeout=10_000)
    qtbot.waitUntil(panel.on_button.isEnabled, timeout=10_000)

    # A magnification, shown about the middle of the view.
    before = middle(window)
    qtbot.mouseClick(view.buttons[20], LEFT)
    assert middle(window) == pytest.approx(before)
    assert view.readout.text() == "20×"
    um = 1.0 / window.viewer.scene.camera.zoom / view.devicePixelRatioF()
    assert um == pytest.approx(0.5)
    window.screenshot("20-navigator")

    # A click on the minimap, and a drag.
    pixel = SHAPE[1] / view.map.width()
    qtbot.mouseClick(view.map, LEFT, pos=view.map.place_of(400.0, 600.0).toPoint())
    assert middle(window) == pytest.approx((400.0, 600.0), abs=pixel)
    start, end = (view.map.place_of(*p).toPoint() for p in ((400.0, 600.0), (900.0, 1300.0)))
    qtbot.mousePress(view.map, LEFT, pos=start)
    qtbot.mouseMove(view.map, (start + end) / 2)
    qtbot.mouseMove(view.map, end)
    qtbot.mouseRelease(view.map, LEFT, pos=end)
    assert middle(window) == pytest.approx((900.0, 1300.0), abs=2 * pixel)

    # The frame follows the canvas.
    frame = view.map.frame.center()
    window.drag([(100, 80), (40, 30), (-100, -80)])
    qtbot.waitUntil(lambda: view.map.frame.center() != frame)
    moved = view.map.frame.center() - frame
    assert moved.x() > 0
    assert moved.y() > 0
    qtbot.mouseMove(window.canvas, QPoint(5, 5))

    qtbot.mouseClick(panel.on_button, LEFT)
    qtbot.waitUntil(lambda: panel.slide_label.text() == "case 10.svs", timeout=10_000)
    qtbot.waitUntil(panel.back_button.isEnabled, timeout=10_000)
    assert [layer.name for layer in window.viewer.layers] == ["case 10.svs"]
    assert not panel.on_button.isEnabled()
    window.screenshot("21-next-slide")


@pytest.mark.thorough
def test_properties_hide_what_names_a_patient_until_asked(window, folder, monkeypatch, qtbot):
    choose(window, monkeypatch, folder / "case 10.svs")
    panel = window.widget.panels.slide
    qtbot.mouseClick(panel.properties_button, LEFT)
    dialog = window.widget.controller.properties.dialog
    qtbot.waitUntil(dialog.isVisible)

    def cells():
        table = dialog.table
        places = [(row, column) for row in range(table.rowCount()) for column in (0, 1)]
        return {table.item(*place).text() for place in places}

    assert "0.5 (from: vendor)" in cells()
    assert "jane" not in cells()
    window.screenshot("22-properties", of=dialog)
    assert not dialog.picture.isVisible()
    qtbot.mouseClick(dialog.buttons["label"], LEFT)
    qtbot.waitUntil(dialog.picture.isVisible, timeout=10_000)
    qtbot.mouseClick(dialog.hidden_button, LEFT)
    assert "jane" in cells()
    window.screenshot("23-properties-asked", of=dialog)
    dialog.close()
    assert window.widget.controller.properties.dialog is None


@pytest.mark.thorough
def test_an_analysis_that_exists_is_shown_without_a_run(window, folder, monkeypatch, qtbot):
    path, panel = folder / "case 9.svs", window.widget.panels.slide
    choose(window, monkeypatch, path)
    fingerprint = window.widget.state.slide.fingerprint
    window.viewer.layers.clear()
    geometries = StoreGeometries.of_grid(TileGrid(SHAPE, MPP, 1.0), 4.0)
    store = make(
        path.with_name(f"{path.name}.fddm.ome.zarr"),
        slide_info=INFO | {"fingerprint": fingerprint},
        geometries=geometries,
    )
    with store:
        labels = np.full((60, 90), 3, np.uint8)
        store.corrections.write(Cells(60, 60, 60, 90), labels)
    choose(window, monkeypatch, path)
    qtbot.waitUntil(panel.earlier_button.isVisible, timeout=10_000)
    assert "1 edit" in panel.earlier_label.text()
    window.screenshot("24-analysis-offered")
    qtbot.mouseClick(panel.earlier_button, LEFT)
    qtbot.waitUntil(lambda: window.analysis is not None, timeout=10_000)
    assert (window.analysis.layer.data[60:120, 60:150] == 3).all()
    assert not window.widget.state.busy
    assert not panel.earlier_button.isVisible()
    window.screenshot("25-analysis-shown")
