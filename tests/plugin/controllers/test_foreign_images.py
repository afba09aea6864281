"""Image layers of other readers: which become slides, which are refused, where results lie."""

from __future__ import annotations

import os
import threading

import dask.array as da
import numpy as np
import pytest
import tifffile
from napari.layers import Image
from napari.layers._source import layer_source

from napari_fddm.core.errors import PixelsGoneError
from napari_fddm.core.events import AnalysisOpened
from napari_fddm.core.geometry import MapGeometry
from napari_fddm.plugin.state.window_state import Scope
from napari_fddm.slides.served import PixelSource, ServedSlide

pytestmark = pytest.mark.gui

SIDE = (600, 900)


def picture(seed=0, shape=SIDE):
    return np.random.default_rng(seed).integers(120, 255, (*shape, 3), np.uint8)


@pytest.fixture
def add(bench, qtbot):
    """Add an image and wait until it has been looked at."""

    def add(data, **options):
        layer = bench.viewer.add_image(data, **options)
        result = bench.controller.foreign_images._results[id(layer)]
        qtbot.waitUntil(lambda: result.image is not None or bool(result.refusal), timeout=20_000)
        return layer

    return add


def run(bench):
    bench.controller.run.start(Scope.SLIDE)
    return bench.worker.requests[-1]


@pytest.mark.parametrize("kind", ["numpy", "dask", "pyramid", "rgba"])
def test_any_rgb_layer_is_a_slide_whose_pixels_the_run_gets(bench, add, kind):
    image = picture()
    data = {
        "numpy": image,
        "dask": da.from_array(image, chunks=(128, 256, 3)),
        "pyramid": [da.from_array(image, chunks=(128, 256, 3)), image[::2, ::2]],
        "rgba": np.dstack([image, np.full(SIDE, 255, np.uint8)]),
    }[kind]
    add(data, name="mine", rgb=True, scale=(0.5, 0.5), units=("um", "um"))
    slide = bench.state.slide
    assert (slide.name, slide.shape, slide.mpp, slide.mpp_source) == ("mine", SIDE, 0.5, "layer")
    request = run(bench)
    assert isinstance(request["slide"], PixelSource)
    assert bench.fingerprint not in request["store"]
    with ServedSlide(request["slide"]) as away:
        assert away.mpp.value == 0.5
        assert away.fingerprint == slide.fingerprint
        assert np.array_equal(away.read_level(0, 0, 0, *SIDE), image)


def test_the_same_pixels_have_the_same_store_in_another_session(bench, add):
    first = add(picture(), scale=(0.5, 0.5), units=("um", "um"))
    store = bench.controller.session.store_path(bench.state.slide)
    bench.viewer.layers.remove(first)
    assert bench.state.slide is None
    add(picture(), name="under another name")
    assert bench.controller.session.store_path(bench.state.slide) == store
    add(picture(seed=1), name="another")
    assert bench.controller.session.store_path(bench.state.slide) != store


@pytest.mark.parametrize(
    ("scale", "unit", "mpp"),
    [(0.5, "um", 0.5), (500.0, "nm", 0.5), (0.00025, "mm", 0.25), (2.5e-7, "meter", 0.25)],
)
def test_units_of_length_become_micrometers(bench, add, scale, unit, mpp):
    add(picture(), scale=(scale, scale), units=(unit, unit))
    assert bench.state.slide.mpp == pytest.approx(mpp)


def test_without_a_unit_the_panel_asks(bench, add, said):
    add(picture())
    assert bench.state.slide.mpp is None
    bench.controller.run.start(Scope.SLIDE)
    assert "does not say how large its pixels are" in said[0]
    bench.panels.slide.mpp_box.setValue(0.25)
    assert run(bench)["mpp"] == 0.25


def test_pixels_that_are_not_square_are_refused_with_the_reason(bench, add):
    add(picture(), scale=(0.5, 0.8), units=("um", "um"))
    assert bench.state.slide.mpp is None
    assert "not square" in " ".join(bench.state.slide.warnings)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"rotate": 20.0}, "rotated or sheared"),
        ({"shear": [0.3]}, "rotated or sheared"),
        ({"scale": (1.0, -1.0)}, "mirrored"),
        ({"affine": [[0, 1, 0], [1, 0, 0], [0, 0, 1]]}, "rotated or sheared"),
    ],
)
def test_what_does_not_lie_straight_is_refused(bench, add, options, reason):
    layer = add(picture(), **options)
    assert bench.state.slide is None
    assert reason in bench.panels.slide.warning_label.text()
    assert not bench.panels.run.run_button.isEnabled()
    if "rotate" in options:
        layer.rotate = 0.0
        assert bench.controller.foreign_images.refusal(layer) == ""


def test_gray_float_and_stacks_are_refused_in_words(bench, add):
    for data, words in (
        (picture()[..., 0], "grayscale"),
        (picture() / 255.0, "not 8-bit"),
        (np.stack([picture()] * 2), "stack"),
    ):
        add(data, rgb=data.shape[-1] == 3)
        assert bench.state.slide is None
        assert words in bench.panels.slide.warning_label.text()
        bench.viewer.layers.clear()


def opened_for(bench, slide, mpp):
    tile = MapGeometry.covering(slide.shape, 256 / mpp, mpp)
    label = MapGeometry.covering(slide.shape, 4 / mpp, mpp)
    empty = np.zeros(label.shape, np.uint8)
    return AnalysisOpened(
        str(bench.store),
        tile,
        label,
        np.zeros(tile.shape, np.uint8),
        empty,
        empty,
        {"name": slide.name, "fingerprint": slide.fingerprint},
        {"id": "x", "real_tissue": False},
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": (0.5, 0.5), "units": ("um", "um"), "translate": (1000.0, -300.0)},
        {"scale": (2e-4, 2e-4), "units": ("mm", "mm"), "translate": (3.0, 4.0)},
        {"affine": [[0.5, 0, 70], [0, 0.5, -9], [0, 0, 1]], "units": ("um", "um")},
        {"translate": (55.0, 66.0)},
    ],
)
def test_results_lie_on_the_image_wherever_it_lies(bench, add, options):
    """The corner of the first and of the last label cell, in the world of both layers."""
    layer = add(picture(), **options)
    slide = bench.state.slide
    mpp = slide.mpp or 0.5
    bench.panels.slide.mpp_box.setValue(mpp)
    run(bench)
    bench.answer(opened_for(bench, slide, mpp))
    labels = bench.controller.current.layer
    assert labels.units == layer.units
    cell = 4 / mpp
    for index in ((0, 0), (37, 61)):
        ours = labels.data_to_world(tuple(i - 0.5 for i in index))
        theirs = layer.data_to_world(tuple(i * cell - 0.5 for i in index))
        assert np.allclose(ours, theirs, rtol=0, atol=1e-6 * np.abs(layer.extent.world).max())


def test_a_layer_of_another_reader_is_opened_from_its_file(bench, tmp_path, qtbot):
    path = tmp_path / "scan.tif"
    image = picture()
    tifffile.imwrite(path, image, photometric="rgb", tile=(256, 256))
    with layer_source(path=str(path)):
        layer = Image(image)
    bench.viewer.add_layer(layer)
    qtbot.waitUntil(lambda: bench.state.slide is not None, timeout=20_000)
    bench.panels.slide.mpp_box.setValue(0.5)
    assert run(bench)["slide"] == str(path)


def test_a_layer_that_no_longer_shows_its_file_is_served_as_it_is(bench, tmp_path, qtbot):
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, picture(), photometric="rgb", tile=(256, 256))
    with layer_source(path=str(path)):
        layer = Image(picture())
    bench.viewer.add_layer(layer)
    qtbot.waitUntil(lambda: bench.state.slide is not None, timeout=20_000)
    layer.data = 255 - picture()
    bench.viewer.layers.selection.active = None
    bench.viewer.layers.selection.active = layer
    qtbot.waitUntil(lambda: bench.state.slide is not None, timeout=20_000)
    bench.panels.slide.mpp_box.setValue(0.5)
    assert isinstance(run(bench)["slide"], PixelSource)


def test_closing_leaves_no_thread_no_file_and_no_mark(bench, add):
    layer = add(picture(), scale=(0.5, 0.5), units=("um", "um"))
    files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    run(bench)
    bench.controller.close()
    assert not [t for t in threading.enumerate() if t.name in ("fddm-pixels", "fddm-examine")]
    assert "napari_fddm" not in layer.metadata
    if files is not None:
        assert len(os.listdir("/proc/self/fd")) <= files


def test_deleting_the_layer_stops_its_run_and_says_so_once(bench, add, said):
    layer = add(picture(), name="mine", scale=(0.5, 0.5), units=("um", "um"))
    source = run(bench)["slide"]
    away = ServedSlide(source)
    bench.answer(opened_for(bench, bench.state.slide, 0.5))
    bench.viewer.layers.remove(layer)
    assert bench.worker.cancelled == 1
    with pytest.raises(PixelsGoneError, match="mine was deleted"):
        away.read_level(0, 0, 0, 9, 9)
    bench.worker.failed.emit(1, PixelsGoneError("the same, from the engine"))
    assert len(said) == 1
    assert "The layer mine was deleted" in said[0]
    assert not bench.state.busy
    away.close()
