"""Full disks, signatures and exports in a real window, with real mouse and key events."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QSettings, Qt

from napari_fddm.interop import validation
from napari_fddm.interop.label_files import read_label_file
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.plugin.controllers import export
from napari_fddm.plugin.controllers.saving import SAVED
from napari_fddm.plugin.dialogs.export import ExportFormat
from tests.support.disks import small_disk
from tests.support.leaks import leftovers
from tests.support.window import SCREENSHOTS, Window

pytestmark = [pytest.mark.gui, pytest.mark.slow]

STROKE = [(-150, -60), (-50, 0), (60, 40), (150, 60)]


@pytest.fixture
def disk(tmp_path, monkeypatch):
    with small_disk(tmp_path / "disk", "64m") as disk:
        monkeypatch.setenv("XDG_DATA_HOME", str(disk.folder))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        QSettings.setPath(
            QSettings.Format.NativeFormat, QSettings.Scope.UserScope, str(tmp_path / "config")
        )
        monkeypatch.setattr(export.Path, "home", lambda: tmp_path / "home")
        yield disk


@pytest.fixture
def window(disk, tiny_model, make_napari_viewer, qtbot):
    window = Window(make_napari_viewer(show=True), qtbot)
    window.open_widget(tiny_model)
    window.viewer.open_sample("napari-fddm", "synthetic")
    window.look_at((2000.0, 2000.0), 700.0)
    window.run()
    yield window
    window.let_go()


def type_name(window, qtbot, name):
    panel = window.widget.panels.signoff
    qtbot.mouseClick(panel.button, Qt.MouseButton.LeftButton)
    panel.reader_edit.clear()
    qtbot.keyClicks(panel.reader_edit, name)
    qtbot.wait(100)
    window.screenshot("72-asked-for-a-name" if name == "A. Bee" else "74-unlocking")
    qtbot.keyClick(panel.reader_edit, Qt.Key.Key_Return)


def said():
    return [record.message for record in notification_manager.records]


def test_paint_on_a_full_disk_sign_off_unlock_export(window, disk, qtbot, tmp_path):
    analysis, layer = window.analysis, window.analysis.layer
    panels, label = window.widget.panels, window.widget.panels.rate.saved_label
    layer.brush_size = 40
    window.key(Qt.Key.Key_2)
    window.key(Qt.Key.Key_P)
    window.drag(STROKE[:2])
    qtbot.waitUntil(lambda: label.text() == SAVED, timeout=10_000)

    # A full disk is said, painting goes on, and free space saves what waits.
    disk.fill()
    window.key(Qt.Key.Key_3)
    scribble = [(x, 120 * (-1) ** k) for k, x in enumerate(range(-200, 200, 8))]
    window.drag(scribble)
    qtbot.waitUntil(lambda: "NOT SAVED" in label.text(), timeout=10_000)
    # The label follows the state; the message comes a turn of the event loop later.
    qtbot.waitUntil(lambda: any("disk is full" in text for text in said()), timeout=10_000)
    window.screenshot("70-disk-full")
    disk.free()
    qtbot.waitUntil(lambda: label.text() == SAVED, timeout=10_000)
    qtbot.waitUntil(lambda: "Saved again" in said()[-1], timeout=10_000)
    with AnalysisStore.open(analysis.store_path) as store:
        assert np.array_equal(store.labels("corrected"), layer.data)
    window.screenshot("71-saved-again")

    # Signed off: the brush does nothing and says why.
    type_name(window, qtbot, "A. Bee")
    qtbot.waitUntil(lambda: analysis.sign_off is not None, timeout=10_000)
    signed, rate = layer.data.copy(), window.rate_text
    window.viewer.layers.selection.active = layer
    window.key(Qt.Key.Key_P)
    window.drag(STROKE)
    window.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(layer.data, signed)
    assert window.rate_text == rate == window.recounted_rate_text()
    assert "signed off by A. Bee" in said()[-1]
    assert "signed off by A. Bee" in panels.signoff.state_label.text()
    window.screenshot("73-signed-off")

    # Unlocked, with a name: it paints again.
    type_name(window, qtbot, "C. Dee")
    qtbot.waitUntil(lambda: analysis.sign_off is None, timeout=10_000)
    window.look_at((2000.0, 2000.0), 700.0)
    window.key(Qt.Key.Key_2)
    window.key(Qt.Key.Key_P)
    window.drag(STROKE)
    assert not np.array_equal(layer.data, signed)

    # Export through the dialog, then open the copy again.
    qtbot.mouseClick(panels.rate.export_button, Qt.MouseButton.LeftButton)
    dialog = window.widget.controller.export.dialog
    place = tmp_path / "home" / f"analysis-{analysis.fingerprint[:12]}.ome.zarr"
    assert dialog.destination_edit.text() == str(place)
    qtbot.mouseClick(dialog.export_button, Qt.MouseButton.LeftButton)
    assert dialog.status_label.text() == "exporting…"
    qtbot.waitUntil(lambda: dialog.status_label.text().startswith("Done"), timeout=60_000)
    if SCREENSHOTS:
        dialog.destination_edit.setText(f"/home/reader/{place.name}")
        dialog.status_label.setText(f"Done: /home/reader/{place.name}")
        window.screenshot("75-export", of=dialog)
        dialog.destination_edit.setText(str(place))
    qtbot.mouseClick(dialog.export_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "exists already" in dialog.status_label.text(), timeout=60_000)
    dialog.format_box.setCurrentIndex(dialog.format_box.findData(ExportFormat.OZX.value))
    qtbot.mouseClick(dialog.export_button, Qt.MouseButton.LeftButton)
    single = place.with_name(place.name.replace(".ome.zarr", ".ozx"))
    qtbot.waitUntil(lambda: dialog.status_label.text() == f"Done: {single}", timeout=60_000)
    qtbot.mouseClick(dialog.close_button, Qt.MouseButton.LeftButton)
    validation.validate(place)
    _, labels = read_label_file(single)
    assert np.array_equal(labels["corrected"].data, layer.data)
    found = window.viewer.open(str(place), plugin="napari-fddm")
    stored = {item.metadata.get("napari_fddm", {}).get("label"): item for item in found}
    assert np.array_equal(stored["corrected"].data, layer.data)
    path = analysis.store_path
    window.viewer.close()
    assert leftovers(path) == {}
