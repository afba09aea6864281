"""Runs in a real window: layers of other readers, their deletion, two viewers, nothing left."""

from __future__ import annotations

import gc
import os
import threading

import dask.array as da
import numpy as np
import pytest
from ome_zarr.writer import write_image
from qtpy.QtCore import Qt

from napari_fddm.plugin.layers.slides import slide_layer_data
from napari_fddm.plugin.state.window_state import Scope
from napari_fddm.slides import open_slide
from tests.support.window import RUN_MS, Window

pytestmark = [pytest.mark.gui, pytest.mark.slow]

LARGE = "synthetic:12000x12000?seed={seed}&mpp=0.5"
"""6 mm: no test waits for its end."""
SMALL = "synthetic:3000x3000?seed=3&mpp=0.5"


@pytest.fixture
def data_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def window(tiny_model, make_napari_viewer, qtbot, data_home):
    window = Window(make_napari_viewer(show=True), qtbot)
    window.open_widget(tiny_model)
    yield window
    window.let_go()


@pytest.fixture
def said(monkeypatch):
    messages = []
    monkeypatch.setattr("napari_fddm.plugin.controllers.run.show_error", messages.append)
    return messages


def pixels(uri):
    """A slide's levels as a plain lazy pyramid that nobody can open from a path."""
    return [da.asarray(level) for level in open_slide(uri).as_dask()]


def click_run(window, scope=Scope.SLIDE):
    panel = window.widget.panels.run
    window.qtbot.waitUntil(panel.run_button.isEnabled, timeout=RUN_MS)
    panel.scope_box.setCurrentIndex(panel.scope_box.findData(scope.value))
    window.qtbot.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)


def wait_for_tiles(window):
    window.qtbot.waitUntil(
        lambda: window.analysis is not None and bool(window.analysis.patch.any()), timeout=RUN_MS
    )


def no_thread_left():
    return not [t.name for t in threading.enumerate() if t.name.startswith("fddm-")]


def test_a_layer_of_pixels_gives_what_the_slide_itself_gives(window, qtbot):
    """Lazy, translated, in millimeters: same labels, and they lie on the image."""
    layer = window.viewer.add_image(
        pixels(SMALL), name="pixels", scale=(5e-4,) * 2, units=("mm", "mm"), translate=(2.0, 7.0)
    )
    click_run(window)
    window.wait_until_idle()
    served = window.analysis
    window.screenshot("30-any-layer")
    assert np.allclose(served.layer.extent.world[0], layer.extent.world[0], atol=0.5 * 4e-3)
    data, options, _ = slide_layer_data(open_slide(SMALL), SMALL)
    window.viewer.add_image(data, **options)
    click_run(window)
    window.wait_until_idle()
    assert window.analysis is not served
    assert served.label_map.automatic.any()
    assert np.array_equal(window.analysis.label_map.automatic, served.label_map.automatic)
    assert np.array_equal(window.analysis.patch, served.patch)


@pytest.mark.thorough
def test_channels_that_napari_ome_zarr_split_are_analyzed_as_their_file(window, tmp_path, qtbot):
    """It gives a grayscale layer for each color, with the scale and the path of the file."""
    path = tmp_path / "slide.ome.zarr"
    colors = np.moveaxis(np.asarray(open_slide(SMALL).as_dask()[0]), -1, 0)
    write_image(
        colors,
        str(path),
        axes="cyx",
        scale={"c": 1, "y": 0.5, "x": 0.5},
        axes_units={"y": "micrometer", "x": "micrometer"},
    )
    layers = window.viewer.open(path, plugin="napari-ome-zarr")
    assert [layer.rgb for layer in layers] == [False] * 3
    qtbot.waitUntil(lambda: window.widget.state.slide is not None, timeout=20_000)
    slide = window.widget.state.slide
    assert (slide.mpp, slide.local_path) == (0.5, path)
    click_run(window)
    window.wait_until_idle()
    window.screenshot("32-napari-ome-zarr")
    analysis = window.analysis
    assert analysis.label_map.automatic.any()
    assert np.allclose(
        analysis.layer.extent.world[0], layers[0].extent.world[0], atol=0.5 * analysis.layer.scale
    )


@pytest.mark.thorough
def test_deleting_a_layer_whose_pixels_are_analyzed_is_one_error(window, said, qtbot):
    layer = window.viewer.add_image(
        pixels(LARGE.format(seed=4)), name="mine", scale=(0.5, 0.5), units=("um", "um")
    )
    click_run(window)
    wait_for_tiles(window)
    window.viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: not window.widget.state.busy, timeout=20_000)
    assert len(said) == 1
    assert "The layer mine was deleted while it was analyzed" in said[0]
    assert window.analysis.patch.any()


@pytest.mark.thorough
def test_an_engine_killed_while_it_reads_a_layer_is_one_error_and_the_next_run_continues(
    window, said, qtbot
):
    window.viewer.add_image(
        pixels(LARGE.format(seed=5)), name="mine", scale=(0.5, 0.5), units=("um", "um")
    )
    click_run(window)
    wait_for_tiles(window)
    tiles = window.analysis.patch.copy()
    window.widget.controller.run.worker._client._process.kill()
    qtbot.waitUntil(lambda: not window.widget.state.busy, timeout=20_000)
    assert len(said) == 1
    assert "engine process stopped" in said[0]
    click_run(window)
    qtbot.waitUntil(
        lambda: np.count_nonzero(window.analysis.patch) > np.count_nonzero(tiles), timeout=RUN_MS
    )
    assert (window.analysis.patch[tiles > 0] == tiles[tiles > 0]).all()
    window.widget.controller.run.cancel()
    window.wait_until_idle()
    assert len(said) == 1


def test_a_slide_without_a_pixel_size_asks_for_it(window, said):
    window.viewer.add_image(pixels(SMALL), name="no unit")
    click_run(window)
    assert "Type µm per pixel" in said[0]
    assert not window.widget.state.busy
    window.screenshot("31-asks-for-mpp")
    window.widget.panels.slide.mpp_box.setValue(0.5)
    click_run(window)
    window.wait_until_idle()
    assert window.analysis.label_map.automatic.any()
    assert np.allclose(window.analysis.layer.scale, 8.0)  # 4 µm in pixels of 0.5 µm


def test_a_model_that_is_missing_is_one_sentence(window, said):
    window.widget.state.model_name = "no-such-model"
    window.viewer.open_sample("napari-fddm", "synthetic")
    click_run(window)
    window.wait_until_idle()
    assert len(said) == 1
    assert "no-such-model" in said[0]


@pytest.mark.thorough
def test_two_viewers_run_and_close_and_nothing_is_left(
    tiny_model, make_napari_viewer, qtbot, data_home
):
    files = _open_files()
    windows = [Window(make_napari_viewer(show=True), qtbot) for _ in range(2)]
    for seed, window in enumerate(windows):
        window.open_widget(tiny_model)
        window.viewer.add_image(
            pixels(LARGE.format(seed=seed)), scale=(0.5, 0.5), units=("um", "um")
        )
        click_run(window)
    for window in windows:
        wait_for_tiles(window)
    clients = [window.widget.controller.run.worker._client for window in windows]
    processes = [client._process for client in clients]
    assert processes[0].pid != processes[1].pid
    windows[0].viewer.close()
    assert windows[1].widget.state.busy
    windows[1].viewer.close()
    qtbot.waitUntil(lambda: all(p.poll() is not None for p in processes), timeout=20_000)
    qtbot.waitUntil(no_thread_left, timeout=20_000)
    assert all(client._connection is None for client in clients)
    for window in windows:
        window.let_go()
    gc.collect()
    left = [name for name in _open_files() - files if "fddm" in name or "pymp" in name]
    assert left == []


def _open_files():
    found = set()
    for entry in os.scandir("/proc/self/fd"):
        try:
            found.add(os.readlink(entry.path))
        except FileNotFoundError:
            continue  # the listing's own
    return found
