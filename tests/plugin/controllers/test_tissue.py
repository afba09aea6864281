"""The tissue mask as a layer: what is edited is kept, found again, and given to the next run."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.layers.labels.labels import WrongSelectedLabelError

from napari_fddm.core.errors import ConfigError, SettingsDifferError
from napari_fddm.core.geometry import MapGeometry
from napari_fddm.core.provenance import Change
from napari_fddm.core.tiling import TileGrid
from napari_fddm.core.tissue import MASK_UM
from napari_fddm.pipeline.tissue import read_user_mask, tissue_of_slide
from napari_fddm.pipeline.tissue.kept_mask import CURRENT, MASK_SUFFIX
from napari_fddm.plugin.document.tissue_mask import AUTOMATIC_TEXT
from napari_fddm.plugin.panels.tissue_row import HIDE, SHOW
from napari_fddm.plugin.state.window_state import RunProgress, Scope
from napari_fddm.slides import ArraySlide, open_slide
from tests.support.controllers import URI, Bench

pytestmark = pytest.mark.gui


def row(bench):
    return bench.panels.run.tissue_row


def show(bench, qtbot):
    row(bench).button.click()
    qtbot.waitUntil(lambda: bench.controller.tissue.layer is not None, timeout=30_000)
    return bench.controller.tissue.layer


@pytest.fixture
def layer(bench, qtbot):
    bench.open_slide()
    return show(bench, qtbot)


def erase(layer) -> None:
    row_, col = (int(n) for n in np.argwhere(layer.mask)[layer.mask.sum() // 2])
    layer.brush_size = 11
    layer.paint((row_, col), 0)
    assert not layer.mask[row_, col]


def tissue_of_run(bench) -> str:
    bench.state.progress = RunProgress()
    bench.controller.run.start(Scope.SLIDE)
    return bench.worker.requests[-1]["config"]["tissue"]


def kept_files(tmp_path) -> list[str]:
    folder = next((tmp_path / "data").rglob(f"*{MASK_SUFFIX}"), None)
    return sorted(p.name for p in folder.iterdir()) if folder is not None else []


def test_the_mask_found_is_shown_over_the_slide_and_goes_again(bench, qtbot):
    image = bench.open_slide()
    assert row(bench).label.text() == AUTOMATIC_TEXT
    layer = show(bench, qtbot)
    assert row(bench).button.text() == HIDE
    assert layer.mask.any()
    assert not layer.mask.all()
    assert layer._type_string == "labels"
    cell = MASK_UM
    assert np.allclose(layer.extent.world, image.extent.world, atol=cell)
    assert np.isclose(layer.scale[0], cell)
    assert tissue_of_run(bench) == "auto"
    row(bench).button.click()
    assert layer not in bench.viewer.layers
    assert row(bench).button.text() == SHOW


def test_nothing_but_tissue_and_none_can_be_painted(layer):
    before = layer.data.copy()
    with pytest.raises(WrongSelectedLabelError):
        layer.selected_label = 2
    with pytest.raises(WrongSelectedLabelError):
        layer.paint((20, 20), 3)
    with pytest.raises(WrongSelectedLabelError):
        layer.data_setitem((np.array([3]), np.array([3])), 7)
    with pytest.raises(ConfigError, match="0 or 1"):
        layer.data = np.full(layer.data.shape, 2)
    assert np.array_equal(layer.data, before)


def test_an_edited_mask_is_said_and_is_what_the_run_reads(bench, layer):
    found = layer.mask
    erase(layer)
    path = tissue_of_run(bench)
    mm2 = np.count_nonzero(found & ~layer.mask) * (MASK_UM / 1000) ** 2
    assert row(bench).label.text() == f"edited by hand: +0.00 mm², −{mm2:.2f} mm²"
    given = read_user_mask(path)
    geometry = MapGeometry.covering((2000, 2000), MASK_UM / 0.5, 0.5)
    assert np.array_equal(given.on_grid(geometry, (2000, 2000)).mask, layer.mask)
    erase(layer)  # a later stroke does not change what the run reads
    assert tissue_of_run(bench) != path
    assert read_user_mask(path).sha256 == given.sha256


def test_undoing_every_stroke_is_automatic_again(bench, layer, tmp_path):
    erase(layer)
    tissue_of_run(bench)
    assert CURRENT in kept_files(tmp_path)
    layer.undo()
    assert tissue_of_run(bench) == "auto"
    assert row(bench).label.text() == AUTOMATIC_TEXT
    assert CURRENT not in kept_files(tmp_path)


@pytest.mark.parametrize("how", ["hidden", "closed", "waited"])
def test_what_was_edited_is_found_again(bench, layer, tmp_path, qtbot, how):
    erase(layer)
    mask = layer.mask
    if how == "hidden":
        row(bench).button.click()
        assert np.array_equal(show(bench, qtbot).mask, mask)
    elif how == "waited":
        qtbot.waitUntil(lambda: CURRENT in kept_files(tmp_path), timeout=10_000)
    bench.controller.close()
    (tmp_path / "second").mkdir()
    again = Bench(tmp_path / "second", qtbot)
    again.open_slide()
    qtbot.waitUntil(lambda: row(again).label.text() != AUTOMATIC_TEXT, timeout=10_000)
    assert "edited by hand" in row(again).label.text()
    assert tissue_of_run(again) != "auto"
    assert np.array_equal(show(again, qtbot).mask, mask)
    again.controller.close()


def test_a_full_disk_is_said_once_and_editing_goes_on(bench, layer, qtbot, monkeypatch):
    said = []
    for module in ("tissue", "run"):
        monkeypatch.setattr(f"napari_fddm.plugin.controllers.{module}.show_error", said.append)
    monkeypatch.setattr("napari_fddm.plugin.controllers.tissue.RETRY_MS", 50)

    def full(_handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr("napari_fddm.core.files.os.fsync", full)
        erase(layer)
        qtbot.waitUntil(lambda: bool(said), timeout=10_000)
        erase(layer)
        qtbot.wait(300)
        assert len(said) == 1
        assert "disk is full" in said[0]
        bench.controller.run.start(Scope.SLIDE)
        assert bench.worker.requests == []  # not with another mask than the one that is seen
        assert not bench.state.busy
    assert Path(tissue_of_run(bench)).exists()


def test_the_layer_goes_with_its_slide(bench, layer):
    image = next(each for each in bench.viewer.layers if each is not layer)
    bench.viewer.layers.remove(image)
    assert len(bench.viewer.layers) == 0
    assert not row(bench).button.isEnabled()


@pytest.fixture
def asked(bench, qtbot):
    with open_slide(URI) as slide:
        bench.fingerprint = slide.fingerprint
    bench.start()
    bench.state.progress = RunProgress()
    return bench


def refuse(bench, stored):
    error = SettingsDifferError(
        "made with other settings.",
        changes=(Change("tissue", "auto", "mine"),),
        stored=stored | {"model": {"id": bench.state.card.id, "files": bench.state.card.files}},
        corrected=False,
    )
    bench.worker.failed.emit(len(bench.worker.requests), error)
    return bench.controller.other_settings.dialog


def test_going_on_restores_the_automatic_mask_and_the_edits_can_be_brought_back(asked, qtbot):
    layer = show(asked, qtbot)
    found = layer.mask
    erase(layer)
    mask = layer.mask
    edited = tissue_of_run(asked)
    refuse(asked, {"config": {"tissue": "auto"}, "tissue": {"method": "auto"}}).go_on_button.click()
    assert asked.worker.requests[-1]["config"]["tissue"] == "auto"
    assert np.array_equal(layer.mask, found)
    assert row(asked).label.text() == AUTOMATIC_TEXT
    layer.undo()
    assert np.array_equal(layer.mask, mask)
    assert tissue_of_run(asked) == edited


def test_going_on_restores_an_earlier_mask_unless_it_is_gone(asked, qtbot):
    layer = show(asked, qtbot)
    erase(layer)
    first, mask = tissue_of_run(asked), layer.mask
    stored = {"config": {"tissue": first}, "tissue": read_user_mask(first).record()}
    layer.brush_size = 11
    layer.paint((3, 3), 1)
    assert tissue_of_run(asked) != first
    refuse(asked, stored).go_on_button.click()
    assert asked.worker.requests[-1]["config"]["tissue"] == first
    assert np.array_equal(layer.mask, mask)
    layer.undo()
    tissue_of_run(asked)
    Path(first).unlink()
    dialog = refuse(asked, stored)
    assert not dialog.go_on_button.isEnabled()
    assert "is gone" in dialog.go_on_button.toolTip()


def test_what_the_mask_left_out_stands_with_the_rate(asked):
    opened = asked.opened()
    asked.answer(replace(opened, tissue_excluded_mm2=2.5))
    asked.controller.rate.refresh()
    assert "2.50 mm² of the slide" in asked.panels.rate.detail_label.text()
    asked.answer(opened)
    asked.controller.rate.refresh()
    assert "left out" not in asked.panels.rate.detail_label.text()


def test_a_layer_of_another_reader_gives_the_mask_of_its_slide(bench, layer, qtbot):
    """Its pixels do not know their size: the layer does."""
    with open_slide(URI) as slide:
        levels = [np.asarray(level) for level in slide.as_dask()]
    bench.viewer.add_image(levels, name="mine", rgb=True, scale=(5e-4,) * 2, units=("mm", "mm"))
    qtbot.waitUntil(lambda: bench.state.slide.uri == "", timeout=30_000)
    other = show(bench, qtbot)
    assert other is not layer
    served = ArraySlide(levels, mpp=0.5)  # as a run reads them
    expected = tissue_of_slide(served, TileGrid(served.levels[0].shape, 0.5, 1.0), "auto", None)
    assert np.array_equal(other.mask, expected.mask)
    assert np.allclose(other.scale, MASK_UM / 1000)
