"""Opening slides, going through a folder, the offer of an analysis that exists."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_fddm.core.events import RegionRefined
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.store import AnalysisStore, default_store_path
from napari_fddm.pipeline.store.tumor_bed import read_tumor_bed
from napari_fddm.plugin.dialogs.open_slide import FILTER
from napari_fddm.plugin.layers.outlines import new_drawing
from napari_fddm.plugin.state.window_state import Scope
from tests.slides.ngff.test_images import bioformats2raw
from tests.support.slides import stained, write_svs
from tests.support.stores import INFO, make, replay

pytestmark = pytest.mark.gui


@pytest.fixture
def folder(tmp_path):
    """Slides 1, 2 and 10 with one between that is broken."""
    folder = tmp_path / "slides"
    folder.mkdir()
    for number in (1, 2, 10):
        write_svs(folder / f"{number}.svs", [stained(200, 300, seed=number)])
    (folder / "3.svs").write_bytes(b"II*\0" + b"\xff" * 5000)
    return folder


@pytest.fixture
def errors(monkeypatch):
    said = []
    for name in ("show_error", "show_info"):
        monkeypatch.setattr(f"napari_fddm.plugin.controllers.slide.{name}", said.append)
    return said


def open_file(bench, path, qtbot):
    bench.controller.slide.open(path)
    qtbot.waitUntil(lambda: bench.state.slide is not None and bench.state.slide.name == path.name)
    return bench.state.slide


def go(bench, button, name, qtbot):
    qtbot.waitUntil(button.isEnabled)
    button.click()
    qtbot.waitUntil(lambda: bench.state.slide is not None and bench.state.slide.name == name)


def test_a_slide_is_opened_in_a_thread(bench, folder, qtbot, monkeypatch):
    threads = []
    from napari_fddm.plugin.controllers import slide as slide_controller

    def spy(path, **options):
        threads.append(threading.current_thread().name)
        return original(path, **options)

    original = slide_controller.open_slide
    monkeypatch.setattr(slide_controller, "open_slide", spy)
    open_file(bench, folder / "2.svs", qtbot)
    assert threads == ["fddm-slides"]
    (layer,) = bench.viewer.layers
    assert layer.name == "2.svs"


def test_the_dialog_offers_every_format_and_opens_what_is_chosen(bench, folder, qtbot, monkeypatch):
    asked = []

    def choose(_parent, _title, _folder, text):
        asked.append(text)
        return [str(folder / "1.svs"), str(folder / "2.svs")], text

    monkeypatch.setattr("qtpy.QtWidgets.QFileDialog.getOpenFileNames", choose)
    bench.panels.slide.open_button.click()
    qtbot.waitUntil(lambda: len(bench.viewer.layers) == 2)
    assert asked == [FILTER]
    for suffix in ("svs", "ndpi", "mrxs", "scn", "bif", "tif", "tiff", "dcm", "vms"):
        assert f"*.{suffix} " in FILTER


def test_a_file_that_is_no_slide_is_one_sentence(bench, tmp_path, qtbot, errors):
    path = tmp_path / "notes.svs"
    path.write_text("a text")
    bench.controller.slide.open(path)
    qtbot.waitUntil(lambda: bool(errors))
    assert "text file" in errors[0]
    assert not bench.viewer.layers


def test_choosing_an_analysis_shows_it_without_a_run(bench, qtbot, monkeypatch):
    monkeypatch.setattr(
        "qtpy.QtWidgets.QFileDialog.getExistingDirectory", lambda *_: str(bench.store)
    )
    bench.panels.slide.folder_button.click()
    qtbot.waitUntil(lambda: bench.controller.current is not None)
    assert not bench.worker.requests


def test_next_and_previous_go_through_the_folder_in_place(bench, folder, qtbot, errors):
    open_file(bench, folder / "1.svs", qtbot)
    panel = bench.panels.slide
    go(bench, panel.on_button, "2.svs", qtbot)
    assert [layer.name for layer in bench.viewer.layers] == ["2.svs"]
    go(bench, panel.on_button, "10.svs", qtbot)
    assert any("3.svs" in text for text in errors)  # what was skipped is said
    qtbot.waitUntil(panel.back_button.isEnabled)
    assert not panel.on_button.isEnabled()
    assert "last slide" in panel.on_button.toolTip()
    go(bench, panel.back_button, "2.svs", qtbot)
    go(bench, panel.back_button, "1.svs", qtbot)
    qtbot.waitUntil(panel.on_button.isEnabled)
    assert not panel.back_button.isEnabled()


def test_the_canvas_is_drawn_when_the_slide_is_gone_and_the_next_not_there(
    bench, folder, qtbot, monkeypatch
):
    """Mesa crashes where layers go and come between two drawings."""
    left = []
    monkeypatch.setattr(
        "napari_fddm.plugin.layers.viewport.draw_now",
        lambda viewer: left.append(len(viewer.layers)),
    )
    open_file(bench, folder / "1.svs", qtbot)
    go(bench, bench.panels.slide.on_button, "2.svs", qtbot)
    assert left == [0]


def test_a_slide_without_a_folder_has_no_next_one(bench):
    bench.open_slide()
    assert not bench.panels.slide.on_button.isEnabled()
    assert "no folder" in bench.panels.slide.on_button.toolTip()


def test_while_a_run_goes_on_the_slide_stays(bench, folder, qtbot):
    open_file(bench, folder / "1.svs", qtbot)
    qtbot.waitUntil(bench.panels.slide.on_button.isEnabled)
    bench.controller.run.start(Scope.SLIDE)
    assert not bench.panels.slide.on_button.isEnabled()
    assert "run" in bench.panels.slide.on_button.toolTip()
    bench.controller.slide.step(1)
    qtbot.wait(50)
    assert bench.state.slide.name == "1.svs"


def test_the_analysis_goes_with_its_slide_and_no_stroke_is_lost(bench, folder, qtbot):
    slide = open_file(bench, folder / "1.svs", qtbot)
    qtbot.waitUntil(bench.panels.slide.on_button.isEnabled)
    bench.fingerprint = slide.fingerprint
    bench.controller.run.start(Scope.SLIDE)
    bench.answer(bench.opened())
    shape = bench.controller.current.layer.data.shape
    bench.answer(RegionRefined(Window(0, 0, *shape), np.full(shape, 3, np.uint8), 1, 1))
    bench.controller.run._end("done")
    bench.controller.current.layer.data_setitem((np.array([4, 5]), np.array([6, 6])), 2)
    other = bench.viewer.add_points([[0.0, 0.0]], name="mine")
    bench.viewer.add_layer(new_drawing("region to analyze", slide, "red"))
    bench.panels.rate.outline_clicked.emit()
    corners = np.array([[20.0, 20.0], [20.0, 90.0], [80.0, 90.0]])
    bench.viewer.layers[-1].add_polygons(corners)
    bench.viewer.layers.selection.active = bench.viewer.layers[0]
    go(bench, bench.panels.slide.on_button, "2.svs", qtbot)
    assert [layer.name for layer in bench.viewer.layers] == ["2.svs", "mine"]
    assert other in bench.viewer.layers
    assert bench.controller.current is None
    with AnalysisStore.open(bench.store) as store:
        assert (replay(store)[[4, 5], [6, 6]] == 2).all()
        (outline,) = read_tumor_bed(store)
    assert np.allclose(outline, corners + 0.5)


def test_strokes_that_cannot_be_written_in_time_keep_the_slide(bench, folder, qtbot, errors):
    slide = open_file(bench, folder / "1.svs", qtbot)
    qtbot.waitUntil(bench.panels.slide.on_button.isEnabled)
    bench.fingerprint = slide.fingerprint
    bench.controller.run.start(Scope.SLIDE)
    bench.answer(bench.opened())
    bench.controller.run._end("done")
    bench.controller.current.writer.flush = lambda: False
    bench.panels.slide.on_button.click()
    qtbot.waitUntil(lambda: bool(errors))
    assert "not saved yet" in errors[0]
    assert bench.state.slide == slide
    assert bench.controller.current is not None


def test_an_analysis_that_exists_is_offered_and_shown_without_a_run(bench, folder, qtbot):
    path = folder / "2.svs"
    panel = bench.panels.slide
    slide = open_file(bench, path, qtbot)
    assert panel.earlier_notice.isHidden()
    bench.viewer.layers.clear()
    store = default_store_path(path, slide.fingerprint)
    make(store, slide_info=INFO | {"fingerprint": slide.fingerprint}).close()
    open_file(bench, path, qtbot)
    qtbot.waitUntil(lambda: not panel.earlier_notice.isHidden())
    assert "has an analysis" in panel.earlier_label.text()
    panel.earlier_button.click()
    qtbot.waitUntil(lambda: bench.controller.current is not None)
    assert panel.earlier_notice.isHidden()
    assert bench.controller.current.store_path == store
    assert not bench.worker.requests
    layers = bench.controller.current.layers
    qtbot.waitUntil(lambda: all(layer in bench.viewer.layers for layer in layers))
    for layer in layers:
        bench.viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: not panel.earlier_notice.isHidden())  # it can be shown again


def test_a_damaged_analysis_is_a_warning(bench, folder, qtbot):
    path = folder / "2.svs"
    store = folder / "2.svs.fddm.ome.zarr"
    make(store).close()
    (store / "fddm" / "provenance.json").write_text("{")
    open_file(bench, path, qtbot)
    qtbot.waitUntil(lambda: bool(bench.panels.slide.warnings))
    assert "cannot be read" in bench.panels.slide.warnings[0]
    assert bench.panels.slide.earlier_notice.isHidden()


def test_a_slide_that_went_away_is_answered_by_nothing(bench, folder, qtbot):
    open_file(bench, folder / "1.svs", qtbot)
    qtbot.waitUntil(bench.panels.slide.on_button.isEnabled)
    bench.panels.slide.on_button.click()
    bench.viewer.layers.clear()
    qtbot.wait(300)
    assert not bench.viewer.layers


def test_another_image_of_the_file_is_shown_in_its_place(bench, tmp_path, qtbot, errors):
    path = bioformats2raw(tmp_path / "a.zarr", ["0", "1"])
    slide = open_file(bench, path, qtbot)
    box = bench.panels.slide.series_box
    assert box.isVisibleTo(bench.panels.slide)
    assert [box.itemText(row) for row in range(box.count())] == [
        "series 0 'image' (50 × 60 px)", "series 1 'image' (160 × 120 px)"
    ]  # fmt: skip
    assert (slide.series, box.currentData()) == (1, 1)
    box.setCurrentIndex(0)
    box.activated.emit(0)
    qtbot.waitUntil(lambda: bench.state.slide is not None and bench.state.slide.series == 0)
    other = bench.state.slide
    assert (other.shape, other.uri) == ((60, 50), f"{path}?series=0")
    assert bench.controller.session.store_path(other).name == "a.zarr.series-0.fddm.ome.zarr"
    assert bench.controller.session.store_path(slide).name == "a.zarr.fddm.ome.zarr"
    assert len(bench.viewer.layers) == 1
    assert not errors


def test_a_slide_beside_its_label_and_thumbnail_has_no_list(bench, folder, qtbot):
    open_file(bench, folder / "1.svs", qtbot)
    assert not bench.panels.slide.series_box.isVisibleTo(bench.panels.slide)


def test_where_another_image_cannot_be_opened_the_first_stays(bench, tmp_path, qtbot, errors):
    path = bioformats2raw(tmp_path / "a.zarr", ["0", "1"])
    open_file(bench, path, qtbot)
    (path / "0" / "0" / "zarr.json").unlink()
    box = bench.panels.slide.series_box
    box.setCurrentIndex(0)
    box.activated.emit(0)
    qtbot.waitUntil(lambda: bool(errors))
    assert (bench.state.slide.series, box.currentData()) == (1, 1)
