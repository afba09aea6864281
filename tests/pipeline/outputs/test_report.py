"""The report has the documented keys, and its numbers are a recount of the labels."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import ConfigError, StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.outputs import store_report
from napari_fddm.pipeline.outputs.report import LATER_AREAS, compute_store_report
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.store.tumor_bed import tumor_bed_record
from tests.support.stores import (
    GEOMETRIES,
    SHAPE,
    every_tile,
    make,
    random_labels,
    refine_all,
    stroke,
    write_tiles,
)

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {
    "slide",
    "mpp",
    "mpp_source",
    "label",
    "definition",
    "rate",
    "reason",
    "huvos",
    "definitions",
    "areas_mm2",
    "coverage",
    "edited",
    "slide_mm2",
    "tissue_mm2",
    "tissue_excluded_mm2",
    "tissue_not_analyzed_mm2",
    "unreadable_mm2",
    "unreadable_tiles",
    "not_stored_mm2",
    "not_stored_tiles",
    "spread",
    "inside_tumor_bed",
    "reader_estimate",
    "reader_estimate_saw_rate",
    "sign_off",
    "notes",
    "research_use_only",
    "provenance",
}
PROVENANCE_KEYS = {
    "slide",
    "model",
    "config",
    "tissue",
    "device",
    "dtype",
    "threads",
    "batch_size",
    "versions",
}
BED = (2, 3, 4, 5, 6)


def recounted(labels: np.ndarray, cell_mm2: float) -> dict[str, float]:
    return {c.short: float((labels == c.value).sum()) * cell_mm2 for c in OSTEOSARCOMA}


def rate_of(labels: np.ndarray) -> float:
    bed = int(np.isin(labels, BED).sum())
    return 1 - int((labels == 2).sum()) / bed


def test_the_report_of_a_run_has_the_documented_keys_and_no_other(whole: Path):
    with AnalysisStore.open(whole) as store:
        report = store_report(store)
        labels = store.labels("corrected")
    assert set(report) == KEYS
    assert set(report["provenance"]) == PROVENANCE_KEYS
    assert json.loads(json.dumps(report)) == report
    assert (report["slide"], report["mpp"], report["mpp_source"]) == ("mosaic", 1.0, "user")
    assert report["research_use_only"] is True
    assert report["edited"] == 0.0
    (caution,) = report["notes"]
    assert "never saw real tissue" in caution
    assert report["areas_mm2"] == pytest.approx(recounted(labels, 64e-6))
    assert report["provenance"]["config"]["label_mpp"] == 8.0
    assert None not in report["provenance"].values()


@pytest.mark.parametrize("label", ["corrected", "refined", "patch"])
@pytest.mark.parametrize("definition", ["fddm", "strict"])
def test_every_number_equals_a_recount(
    finished: tuple[Path, np.ndarray], label: str, definition: str
):
    path, _ = finished
    with AnalysisStore.open(path) as store:
        report = store_report(store, label=label, definition=definition)
        labels = store.labels(label)
        grid = store.geometries.tile if label == "patch" else store.geometries.label
    cell = (grid.cell * grid.mpp / 1000) ** 2
    assert (report["label"], report["definition"]) == (label, definition)
    assert report["areas_mm2"] == pytest.approx(recounted(labels, cell))
    assert set(report["definitions"]) == {"fddm", "strict"}
    fddm, strict = (report["definitions"][name] for name in ("fddm", "strict"))
    assert fddm["rate"] == pytest.approx(rate_of(labels))
    assert fddm["denominator_mm2"] == pytest.approx(np.isin(labels, BED).sum() * cell)
    necrosis, viable = (int((labels == v).sum()) for v in (3, 2))
    assert strict["rate"] == pytest.approx(necrosis / (necrosis + viable))
    shown = {"fddm": fddm, "strict": strict}[definition]
    assert {k: report[k] for k in ("rate", "reason", "huvos")} == {
        k: shown[k] for k in ("rate", "reason", "huvos")
    }


def test_corrections_change_the_corrected_report_only(finished: tuple[Path, np.ndarray]):
    path, automatic = finished
    labels = automatic.copy()
    with AnalysisStore.open(path, "r+") as store:
        before = store_report(store, label="refined")
        store.corrections.append_edit(stroke(labels, Window(10, 10, 90, 70), 2))
        corrected = store_report(store)
        assert store_report(store, label="refined") == before
    assert corrected["rate"] == pytest.approx(rate_of(labels))
    assert corrected["rate"] < before["rate"]
    assert corrected["edited"] == pytest.approx((labels != automatic).sum() / labels.size)


def test_what_was_excluded_counts_as_edited(finished: tuple[Path, np.ndarray]):
    path, automatic = finished
    labels = automatic.copy()
    with AnalysisStore.open(path, "r+") as store:
        rows, cols = SHAPE
        store.corrections.append_edit(stroke(labels, Window(0, 0, rows - 1, cols), 0))
        report = store_report(store)
    assert report["edited"] == pytest.approx((rows - 1) / rows)
    assert sum(report["areas_mm2"].values()) == pytest.approx(cols * GEOMETRIES.label.cell_mm2)


@pytest.mark.parametrize("label", ["corrected", "patch"])
def test_inside_an_outline_the_same_is_counted(finished: tuple[Path, np.ndarray], label: str):
    path, _ = finished
    with AnalysisStore.open(path, "r+") as store:
        assert store_report(store)["inside_tumor_bed"] is None
        labels = store.labels(label)
        grid = store.geometries.tile if label == "patch" else store.geometries.label
        y, x = (n // 2 * grid.cell for n in labels.shape)
        store.records.append(tumor_bed_record([np.array([[0, 0], [0, x], [y, x], [y, 0]], float)]))
        report = store_report(store, label=label)
    part = labels[: labels.shape[0] // 2, : labels.shape[1] // 2]
    cell = (grid.cell * grid.mpp / 1000) ** 2
    inside = report["inside_tumor_bed"]
    assert inside["areas_mm2"] == pytest.approx(recounted(part, cell))
    assert inside["rate"] == pytest.approx(rate_of(part))
    assert inside["rate"] != report["rate"]
    assert set(inside["definitions"]) == {"fddm", "strict"}


def test_further_readers_have_reports_of_their_own(finished: tuple[Path, np.ndarray]):
    path, automatic = finished
    labels = automatic.copy()
    with AnalysisStore.open(path, "r+") as store:
        name = store.corrections.add_reader("anna")
        store.corrections.append_edit(stroke(labels, Window(0, 0, 50, 50), 3), layer=name)
        theirs, mine = (compute_store_report(store, label=n) for n in (name, "corrected"))
    assert theirs.main.rate == pytest.approx(rate_of(labels))
    assert mine.main.rate == pytest.approx(rate_of(automatic))
    assert (theirs.edited > 0, mine.edited) == (True, 0.0)


def test_unknown_maps_and_definitions_are_named(finished: tuple[Path, np.ndarray]):
    with AnalysisStore.open(finished[0]) as store:
        with pytest.raises(StoreError, match="no label map 'truth'") as caught:
            store_report(store, label="truth")
        assert "patch, refined, corrected" in caught.value.hint
        with pytest.raises(ConfigError, match="'lax'"):
            store_report(store, definition="lax")
        with pytest.raises(StoreError, match="no label map"):
            store_report(store, label="../../0")


def test_a_store_without_results_says_so(path: Path):
    with make(path) as store:
        report = store_report(store)
    assert (report["rate"], report["reason"]) == (None, "nothing was analyzed")
    assert (report["coverage"], report["edited"]) == (None, 0.0)
    assert set(report) == KEYS - set(LATER_AREAS)


def test_a_store_of_tiles_alone_reports_them_on_the_label_grid(
    path: Path, rng: np.random.Generator
):
    with make(path) as store:
        write_tiles(store, rng, every_tile()[:7])
        store.finish()
        report = store_report(store)
        patch = store.labels("patch")
    tile_mm2 = GEOMETRIES.tile.cell_mm2
    assert sum(report["areas_mm2"].values()) == pytest.approx(
        np.count_nonzero(patch) * tile_mm2, rel=0.01
    )


def test_edits_survive_a_new_automatic_map(finished: tuple[Path, np.ndarray]):
    path, automatic = finished
    labels = automatic.copy()
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.append_edit(stroke(labels, Window(0, 0, 20, 20), 5))
        newer = random_labels(np.random.default_rng(99))
        refine_all(store, newer)
        store.finish()
        report = store_report(store)
    expected = np.where(labels != automatic, labels, newer)
    assert report["areas_mm2"] == pytest.approx(recounted(expected, GEOMETRIES.label.cell_mm2))
