"""Real slides in the real window: run on the view, paint, undo, export, open again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_fddm.pipeline.store import AnalysisStore
from tests.support.data import WSI
from tests.support.window import Window

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.gui, pytest.mark.slow, pytest.mark.thorough]

SLIDES = {
    "CMU-1 SVS": "svs/CMU-1-Small-Region.svs",
    "NDPI": "ndpi/test3-DAPI-2-(387).ndpi",
    "DICOM series": "dicom/CMU-1-Small-Region",
    "osteosarcoma mosaic": "osteosarcoma-mosaics/Case-48_mosaic.tif",
}
VIEW_UM = 900.0


@pytest.fixture
def window(tiny_model, make_napari_viewer, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    window = Window(make_napari_viewer(show=True), qtbot)
    window.open_widget(tiny_model)
    yield window
    window.let_go()


def copy_of(name: str, folder: Path) -> str:
    """Return a copy of a slide's file: its store will lie beside it."""
    place = WSI / SLIDES[name]
    if not place.exists():
        pytest.skip(f"{SLIDES[name]} is not here: NAPARI_FDDM_DATA names the folder of slides")
    copy = folder / place.name
    if place.is_dir():
        return str(next(shutil.copytree(place, copy).glob("*.dcm")))
    return str(shutil.copyfile(place, copy))


def middle_of_tissue(window: Window) -> tuple[float, float]:
    """Return where the darkest part of the slide is, µm: there are cells."""
    layer = window.viewer.layers[0]
    levels = layer.data if layer.multiscale else [layer.data]
    coarse = np.asarray(levels[-1]).mean(axis=-1)
    step = max(1, max(coarse.shape) // 64)
    blocks = coarse[: coarse.shape[0] // step * step, : coarse.shape[1] // step * step]
    means = blocks.reshape(blocks.shape[0] // step, step, -1, step).mean(axis=(1, 3))
    y, x = np.unravel_index(means.argmin(), means.shape)
    factor = levels[0].shape[0] / coarse.shape[0]
    mpp = window.widget.state.slide.mpp
    return ((y + 0.5) * step * factor * mpp, (x + 0.5) * step * factor * mpp)


@pytest.mark.parametrize("name", SLIDES)
def test_a_real_slide_is_run_corrected_exported_and_opened_again(window, name, tmp_path, qtbot):
    window.viewer.open(copy_of(name, tmp_path), plugin="napari-fddm")
    slide = window.widget.state.slide
    assert slide is not None
    assert slide.mpp is not None
    window.look_at(middle_of_tissue(window), VIEW_UM)
    window.run()
    analysis, layer = window.analysis, window.analysis.layer
    assert analysis.patch.any()
    assert window.rate_text == window.recounted_rate_text()

    before = layer.data.copy()
    window.key(Qt.Key.Key_3)
    window.key(Qt.Key.Key_P)
    window.drag([(-80, -40), (0, 0), (80, 40)])
    painted = layer.data.copy()
    assert (painted != before).any()
    assert window.rate_text == window.recounted_rate_text()
    window.screenshot(f"real-{name.lower().replace(' ', '-')}")
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(layer.data, before)
    window.key(
        Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    )
    assert np.array_equal(layer.data, painted)

    copy = tmp_path / "export.ome.zarr"
    with qtbot.waitSignal(analysis.writer.exported, timeout=60_000):
        window.widget.controller.export.start(copy)
    with AnalysisStore.open(copy) as store:
        store.validate()
        assert np.array_equal(store.labels("corrected"), painted)
    reopened = window.viewer.open(str(copy), plugin="napari-fddm")
    stored = {item.metadata.get("napari_fddm", {}).get("label"): item for item in reopened}
    assert np.array_equal(stored["corrected"].data, painted)
