"""The probability of a class over the slide: right values, right place, hidden when it must be."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.plugin.controllers.probability import read_probability
from napari_fddm.plugin.panels.probability_row import DOUBT
from tests.support.stores import CELLS, GEOMETRIES, WHOLE, random_labels

pytestmark = pytest.mark.gui


@pytest.fixture
def analyzed(bench):
    with AnalysisStore.open(bench.store, "r+") as store:
        rng = np.random.default_rng(0)
        probs = rng.dirichlet(np.ones(7), GEOMETRIES.cell.shape).transpose(2, 0, 1)
        store.maps.write_refined(WHOLE, random_labels(rng), CELLS, probs.astype(np.float32))
        store.finish()
    return bench


@pytest.fixture
def shown(analyzed, qtbot):
    analyzed.controller.run.open_store(analyzed.store)
    qtbot.waitUntil(lambda: analyzed.controller.current is not None, timeout=10_000)
    analyzed.panels.classes.probability_row.button.click()
    qtbot.waitUntil(lambda: analyzed.controller.probability.layer is not None, timeout=10_000)
    return analyzed


def choose(bench, value):
    row = bench.panels.classes.probability_row
    row.class_box.setCurrentIndex(row.class_box.findData(value))
    row.class_box.activated.emit(row.class_box.currentIndex())


def stored(bench):
    with AnalysisStore.open(bench.store) as store:
        return store.maps.probability_map("refined")


def test_the_layer_holds_the_chosen_class_where_the_cells_lie(shown, qtbot):
    layer = shown.controller.probability.layer
    found = stored(shown)
    assert found.coverage.any()
    assert np.array_equal(layer.data, np.where(found.coverage, found.probs[1], 0))
    assert layer.scale.tolist() == list(GEOMETRIES.cell.scale)
    assert layer.translate.tolist() == list(GEOMETRIES.cell.translate)
    choose(shown, 5)
    qtbot.waitUntil(lambda: layer.name.startswith("hemorrhage"), timeout=10_000)
    assert np.array_equal(layer.data, np.where(found.coverage, found.probs[4], 0))
    assert shown.controller.probability.layer is layer


def test_doubt_is_what_the_best_class_leaves(analyzed):
    found = stored(analyzed)
    doubt = read_probability(analyzed.store, DOUBT).values
    expected = np.where(found.coverage, 1 - found.probs.max(axis=0), 0)
    assert np.allclose(doubt, expected, atol=1e-3)


def test_the_corrected_labels_stay_in_the_hand(shown):
    assert shown.viewer.layers.selection.active is shown.controller.current.layer
    order = list(shown.viewer.layers)
    assert order.index(shown.controller.probability.layer) < order.index(
        shown.controller.current.layer
    )


def test_it_goes_with_the_button_the_layer_the_analysis_and_my_estimate_first(shown, qtbot):
    row, probability = shown.panels.classes.probability_row, shown.controller.probability

    def show():
        row.button.click()
        qtbot.waitUntil(lambda: probability.layer is not None, timeout=10_000)

    row.button.click()
    assert probability.layer is None
    show()
    shown.viewer.layers.remove(probability.layer)
    assert not row.button.isChecked()
    show()
    layer = probability.layer
    shown.panels.rate.estimate_box.setChecked(True)
    assert layer not in shown.viewer.layers
    assert not row.isEnabled()
    shown.panels.rate.estimate_box.setChecked(False)
    assert row.isEnabled()
    show()
    layer = probability.layer
    shown.viewer.layers.remove(shown.controller.current.layer)
    assert layer not in shown.viewer.layers
    assert not row.isEnabled()


def test_without_a_result_it_says_so(bench, monkeypatch, qtbot):
    said = []
    monkeypatch.setattr("napari_fddm.plugin.controllers.probability.show_error", said.append)
    bench.start()
    row = bench.panels.classes.probability_row
    row.button.click()
    qtbot.waitUntil(lambda: bool(said), timeout=10_000)
    assert "no probabilities yet" in said[0]
    assert not row.button.isChecked()
