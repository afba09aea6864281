"""The properties dialog: what it shows at once, and what only when asked."""

from __future__ import annotations

import pytest
import tifffile

from tests.support.slides import APERIO, noise, stained

pytestmark = pytest.mark.gui

LABEL = noise(40, 30, seed=1)


@pytest.fixture
def dialog(bench, tmp_path, qtbot):
    words = APERIO.format(w=200, h=160, t=64, mpp=0.5) + "|User = jane|Date = 01/02/03"
    path = tmp_path / "12.svs"
    plain = {"photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as writer:
        writer.write(stained(160, 200), description=words, tile=(64, 64), **plain)
        writer.write(stained(16, 20), description=words, **plain)
        writer.write(LABEL, description="Aperio\nlabel 30x40", subfiletype=1, **plain)
    bench.controller.slide.open(path)
    qtbot.waitUntil(lambda: bench.state.slide is not None)
    bench.panels.slide.properties_button.click()
    return bench.controller.properties.dialog


def shown(dialog):
    table = dialog.table
    return {table.item(row, 0).text(): table.item(row, 1).text() for row in range(table.rowCount())}


def test_it_tells_size_levels_pixel_size_and_objective(dialog):
    rows = shown(dialog)
    assert rows["size"] == "200 × 160 px, 0.10 × 0.08 mm"
    assert rows["µm per pixel"] == "0.5 (from: vendor)"
    assert rows["level 0"] == "200 × 160 px, 1/1"
    assert rows["objective"] == "20×"
    assert rows["reader"] == "tiff"


def test_what_may_name_a_patient_appears_only_when_asked_for(dialog):
    assert not any("jane" in value for value in shown(dialog).values())
    assert "aperio.Date" not in shown(dialog)
    dialog.hidden_button.click()
    rows = shown(dialog)
    assert (rows["aperio.User"], rows["aperio.Date"]) == ("jane", "01/02/03")
    assert dialog.hidden_button.isHidden()


def test_the_label_is_read_only_when_asked_for(dialog, bench, qtbot, monkeypatch):
    from napari_fddm.slides import tiff

    reads = []
    original = tiff.read_image
    monkeypatch.setattr(tiff, "read_image", lambda *a: (reads.append(a[2]), original(*a))[1])
    qtbot.wait(50)
    assert dialog.picture.isHidden()
    assert reads == []
    dialog.buttons["label"].click()
    qtbot.waitUntil(lambda: not dialog.picture.isHidden())
    assert reads == ["label"]
    image = dialog.picture.pixmap().toImage()
    assert image.width() * 40 == pytest.approx(image.height() * 30, rel=0.02)
    assert "30 × 40" in dialog.picture_label.text()


def test_a_slide_without_a_file_has_facts_and_no_pictures(bench):
    bench.open_slide()
    bench.panels.slide.properties_button.click()
    dialog = bench.controller.properties.dialog
    assert shown(dialog)["associated images"] == "none"
    assert not dialog.buttons
    assert dialog.hidden_button.isHidden()


def test_closing_the_window_closes_it(dialog, bench):
    bench.controller.close()
    assert bench.controller.properties.dialog is None


def test_without_a_slide_there_is_nothing_to_ask(bench):
    assert not bench.panels.slide.properties_button.isEnabled()
    bench.controller.properties.show()
    assert bench.controller.properties.dialog is None
