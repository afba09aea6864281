"""The rate: definitions of the user's own, and an estimate that is asked for first."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.core.events import RegionRefined
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.outputs import opened_event, store_report
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.store.estimates import read_estimate
from napari_fddm.plugin.panels.classes import AREA
from napari_fddm.plugin.panels.definition_table import RATE, TITLE
from napari_fddm.plugin.panels.widgets import NO_RESULT
from napari_fddm.slides import open_slide
from tests.support.controllers import URI, Bench, refined_halves
from tests.support.definitions import OWN

pytestmark = pytest.mark.gui


def rates_of(panel):
    """What the table of definitions shows: rate and grade by title."""
    table = panel.definition_table
    return dict(
        [table.item(row, c).text() for c in (TITLE, RATE)] for row in range(table.rowCount())
    )


def test_definitions_of_the_users_own_can_be_chosen(own_file, tmp_path, qtbot):
    own_file.write_text(OWN)
    bench = Bench(tmp_path, qtbot)
    refined_halves(bench)
    panel = bench.panels.rate
    assert rates_of(panel)["necrosis and hemorrhage"] == "50.0 % · II"
    panel.definition_box.setCurrentIndex(panel.definition_box.findData("with-hemorrhage"))
    assert panel.rate_label.text() == "50.0 %"
    assert "(NC + HC) / (VT + NC + HC)" in panel.rate_label.toolTip()
    assert "FDDM: all but viable tumor" in rates_of(panel)
    bench.controller.close()


def test_a_wrong_file_of_definitions_is_said_and_the_rest_works(
    own_file, tmp_path, qtbot, monkeypatch
):
    said = []
    monkeypatch.setattr("napari_fddm.plugin.controllers.rate.show_error", said.append)
    own_file.write_text(OWN.replace('"NC", "HC"]', '"XX"]', 1))
    bench = Bench(tmp_path, qtbot)
    assert "XX" in said[0]
    refined_halves(bench)
    assert bench.panels.rate.rate_label.text() == "50.0 %"
    bench.controller.close()


def test_my_estimate_first_hides_every_computed_number_until_it_is_entered(bench):
    bench.fingerprint = open_slide(URI).fingerprint
    panel = bench.panels.rate
    panel.estimate_box.setChecked(True)
    analysis = refined_halves(bench)
    analysis.set_tumor_bed([np.array([[0, 0], [0, 900], [800, 900], [800, 0]], float)])
    bench.controller.rate.refresh()

    def shown() -> str:
        labels = (panel.rate_label, panel.grade_label, panel.detail_label)
        texts = [label.text() for label in labels] + list(rates_of(panel))
        texts += [panel.bed_label.text() if panel.bed_label.isVisibleTo(panel.head) else ""]
        rows = bench.panels.classes.rows
        texts += [rows.item(row, AREA).text() for row in range(rows.rowCount())]
        return "".join(texts).replace(NO_RESULT, "")

    assert shown() == ""
    analysis.layer.brush_size = 5
    analysis.layer.paint((3, 3), 5)  # editing goes on, and reveals nothing
    assert shown() == ""
    panel.estimate_spin.setValue(85)
    panel.estimate_button.click()
    assert panel.rate_label.text().endswith("%")
    assert panel.bed_label.isVisibleTo(panel.head)
    assert panel.estimate_label.text() == "my estimate: 85 %"
    assert not panel.estimate_button.isVisibleTo(panel)

    # It is kept, comes back, and a later one does not replace it.
    bench.controller.estimate._on_panel_entered(0.2)
    assert analysis.writer.flush()
    with AnalysisStore.open(bench.store) as store:
        assert read_estimate(store) == 0.85
        assert [r["rate_seen"] for r in store.log.records("estimate")] == [False]
        assert opened_event(store).estimate == 0.85
        assert store_report(store)["reader_estimate"] == 0.85
        assert store_report(store)["reader_estimate_saw_rate"] is False


def test_without_the_option_nothing_is_asked(bench):
    refined_halves(bench)
    panel = bench.panels.rate
    assert panel.rate_label.text() == "50.0 %"
    assert not panel.estimate_button.isVisibleTo(panel)
    panel.estimate_box.setChecked(True)
    assert panel.rate_label.text() == NO_RESULT
    panel.estimate_box.setChecked(False)
    assert panel.rate_label.text() == "50.0 %"
    panel.estimate_box.setChecked(True)
    assert not panel.estimate_button.isEnabled()  # nothing is chosen yet
    panel.estimate_spin.setValue(0)
    panel.estimate_button.click()
    analysis = bench.controller.current
    assert analysis.estimate == 0.0
    assert analysis.writer.flush()
    with AnalysisStore.open(bench.store) as store:
        assert [r["rate_seen"] for r in store.log.records("estimate")] == [True]


def test_the_definition_switches_the_large_rate(bench):
    bench.start()
    labels = np.full((100, 100), 4, np.uint8)
    labels[:50] = 2
    bench.answer(RegionRefined(Window(0, 0, 100, 100), labels, 1, 1))
    bench.controller.rate.refresh()
    assert bench.panels.rate.rate_label.text() == "50.0 %"
    bench.panels.rate.definition_box.setCurrentIndex(1)
    assert bench.panels.rate.rate_label.text() == "0.0 %"
