"""Minimap and magnification on a viewer without a window."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.layers._source import layer_source
from qtpy.QtCore import Qt

from napari_fddm.core.geometry import Region
from napari_fddm.plugin.layers.slides import info_of_layer, slide_layer_data, viewport_of
from napari_fddm.plugin.layers.viewport import center_on, shown_region, zoom_to
from napari_fddm.plugin.panels.navigator import MAGNIFICATIONS, magnification_text
from napari_fddm.slides import ArraySlide

pytestmark = pytest.mark.gui

MPP = 0.5


@pytest.fixture
def nav(bench):
    bench.view = bench.panels.navigator
    bench.camera = bench.viewer.scene.camera
    return bench


def open_unknown(bench):
    """A slide that does not say how large its pixels are."""
    slide = ArraySlide(np.full((400, 600, 3), 240, np.uint8), name="unknown")
    data, options, _ = slide_layer_data(slide, "array")
    return bench.viewer.add_image(data, **options)


def screen_um(bench):
    """µm per screen pixel, counted from the layer's own transform."""
    ratio = bench.view.devicePixelRatioF()
    return 1.0 / bench.camera.zoom / ratio  # the slide's layer is in µm


@pytest.mark.parametrize("power", MAGNIFICATIONS)
def test_a_button_shows_10_um_over_its_power_per_screen_pixel_and_keeps_the_center(nav, power):
    nav.open_slide()
    nav.camera.center = (0.0, 300.0, 420.0)
    nav.view.buttons[power].click()
    assert screen_um(nav) == pytest.approx(10.0 / power)
    assert nav.camera.center[-2:] == pytest.approx((300.0, 420.0))
    assert nav.view.readout.text() == f"{power}×"
    assert [p for p, b in nav.view.buttons.items() if b.isChecked()] == [power]


def test_a_screen_with_finer_pixels_shows_as_many_um_on_each_of_them(nav, monkeypatch):
    nav.open_slide()
    monkeypatch.setattr(nav.view, "devicePixelRatioF", lambda: 2.0)
    nav.view.buttons[20].click()
    assert nav.camera.zoom == pytest.approx(1.0)  # 1 µm per canvas pixel, 0.5 µm per screen pixel
    assert nav.view.readout.text() == "20×"


def test_the_readout_follows_the_camera(nav, qtbot):
    nav.open_slide()
    nav.camera.zoom = 0.73
    qtbot.waitUntil(lambda: nav.view.readout.text() == "7.3×")


def test_a_layer_in_finer_units_changes_nothing(nav):
    nav.open_slide()
    nav.view.buttons[10].click()
    before = shown_region(nav.viewer, nav.viewer.layers[0])
    nav.viewer.add_points([[0.0, 0.0]], units=("nm", "nm"))
    nav.controller.navigator.follow()
    nav.view.buttons[10].click()
    after = shown_region(nav.viewer, nav.viewer.layers[0])
    assert nav.camera.zoom == pytest.approx(1e-3)
    assert after.width == pytest.approx(before.width)


def test_without_a_pixel_size_the_buttons_say_why_until_one_is_typed(nav, qtbot):
    open_unknown(nav)
    qtbot.waitUntil(lambda: "how large" in nav.view.buttons[10].toolTip())
    assert not any(button.isEnabled() for button in nav.view.buttons.values())
    assert nav.view.readout.text() == "–"
    nav.panels.slide.mpp_box.setValue(0.25)
    qtbot.waitUntil(nav.view.buttons[10].isEnabled)
    nav.view.buttons[40].click()
    assert nav.camera.zoom * nav.view.devicePixelRatioF() == pytest.approx(1.0)  # px for px


def test_without_a_slide_nothing_can_be_clicked(nav, qtbot):
    assert not any(button.isEnabled() for button in nav.view.buttons.values())
    center = nav.camera.center
    qtbot.mouseClick(nav.view.map, Qt.MouseButton.LeftButton)
    assert nav.camera.center == center


def test_a_click_on_the_map_brings_that_place_to_the_middle(nav, qtbot):
    layer = nav.open_slide()
    nav.view.buttons[20].click()
    place = nav.view.map.place_of(500.0, 1500.0).toPoint()
    qtbot.mouseClick(nav.view.map, Qt.MouseButton.LeftButton, pos=place)
    shown = shown_region(nav.viewer, layer)
    pixel = 2000 / min(nav.view.map.width(), nav.view.map.height())
    assert shown.y + shown.height / 2 == pytest.approx(500.0, abs=pixel)
    assert shown.x + shown.width / 2 == pytest.approx(1500.0, abs=pixel)


def test_a_drag_beyond_the_map_stays_on_the_slide(nav, qtbot):
    layer = nav.open_slide()
    nav.view.map._move_to(nav.view.map.place_of(-900.0, 99_999.0))
    shown = shown_region(nav.viewer, layer)
    assert shown.y + shown.height / 2 == pytest.approx(0.0, abs=1e-6)
    assert shown.x + shown.width / 2 == pytest.approx(2000.0)


def test_the_frame_is_where_the_canvas_looks(nav):
    nav.open_slide()
    nav.view.map.set_view(Region(500.0, 1000.0, 500.0, 1000.0))
    frame = nav.view.map.frame
    assert frame.topLeft() == nav.view.map.place_of(500.0, 1000.0)
    assert frame.bottomRight() == nav.view.map.place_of(1000.0, 2000.0)
    nav.view.map.set_view(Region(500.0, 1000.0, 1.0, 1.0))
    assert nav.view.map.frame.width() >= 7  # a speck would not be seen
    nav.view.map.set_view(Region(-900.0, 0.0, 100.0, 100.0))
    assert nav.view.map.frame is None


def test_the_picture_is_read_in_a_thread_and_kept(nav, qtbot, monkeypatch):
    layer = nav.open_slide()
    qtbot.waitUntil(lambda: nav.view.map.has_image)
    reads = []
    monkeypatch.setattr("napari_fddm.plugin.controllers.navigator.read_overview", reads.append)
    nav.viewer.layers.remove(layer)
    assert not nav.view.map.has_image
    nav.viewer.layers.append(layer)
    assert nav.view.map.has_image
    assert reads == []


def test_a_dark_slide_is_warned_of_though_opening_looked_at_no_pixel(nav, qtbot):
    slide = ArraySlide(np.full((400, 600, 3), 5, np.uint8), mpp=0.5, name="dark")
    data, options, _ = slide_layer_data(slide, "array")
    nav.viewer.add_image(data, **options)
    qtbot.waitUntil(lambda: any("dark" in text for text in nav.panels.slide.warnings))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.421, "0.42×"), (1.0, "1×"), (7.31, "7.3×"), (9.97, "10×"), (22.7, "23×"), (4.04, "4×")],
)
def test_magnifications_in_words(value, text):
    assert magnification_text(value) == text


def test_layers_of_other_readers_have_a_picture_too(nav, tmp_path, qtbot):
    pixels = np.full((300, 400, 3), (200, 120, 160), np.uint8)
    nav.viewer.add_image(pixels, name="in memory", rgb=True, scale=(MPP,) * 2, units=("um", "um"))
    qtbot.waitUntil(lambda: nav.view.map._image is not None, timeout=10_000)
    assert nav.view.map._image.pixelColor(20, 20).red() == 200

    path = tmp_path / "of-a-file.tif"
    tifffile.imwrite(path, pixels[..., ::-1], photometric="rgb", tile=(64, 64))
    with layer_source(path=str(path)):
        nav.viewer.add_image(pixels[..., ::-1], rgb=True, scale=(MPP,) * 2, units=("um", "um"))
    qtbot.waitUntil(lambda: nav.state.slide.name == path.name, timeout=10_000)
    assert nav.state.slide.uri
    qtbot.waitUntil(
        lambda: (
            nav.view.map._image is not None and nav.view.map._image.pixelColor(20, 20).red() == 160
        ),
        timeout=10_000,
    )


def test_what_the_window_shows_of_a_file_with_one_level_is_not_all_of_it(nav):
    slide = ArraySlide(np.full((1000, 1400, 3), 240, np.uint8), mpp=MPP, name="one")
    data, options, _ = slide_layer_data(slide, "array")
    layer = nav.viewer.add_image(data, **options)
    assert len(layer.data) == 1
    zoom_to(nav.viewer, layer, 0.25)  # four canvas pixels for each of the slide's
    center_on(nav.viewer, layer, 300.0, 400.0)
    region = viewport_of(nav.viewer, info_of_layer(layer))
    shown = shown_region(nav.viewer, layer)
    assert region == shown.intersection(Region(0, 0, 1000, 1400))
    assert 0 < region.width < 1400
    assert region.x <= 400 <= region.x_end
    assert region.y <= 300 <= region.y_end
