"""Evaluating analysis stores and OME-Zarr: which label map, which grid, which slide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_fddm.core.classes import OSTEOSARCOMA, ClassTable
from napari_fddm.core.errors import ConfigError, FddmError, StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.evaluation.pairs import Pair, Pairs
from napari_fddm.evaluation.reading import ReadingSettings, read_label_input
from napari_fddm.evaluation.slides import SlideSettings, evaluate_slide
from napari_fddm.evaluation.summary import EvaluationSettings, evaluate_pairs
from napari_fddm.interop import ngff
from napari_fddm.pipeline.outputs import export_store
from napari_fddm.slides.synthetic import open_synthetic
from tests.support.stores import (
    CELLS,
    GEOMETRIES,
    INFO,
    SHAPE,
    WHOLE,
    every_tile,
    make,
    random_labels,
    stroke,
    write_tiles,
)

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = ReadingSettings()


def a_store(
    path: Path, labels: np.ndarray, probs: np.ndarray | None = None, **changes: Any
) -> Path:
    """A finished store whose refined labels are these."""
    rng = np.random.default_rng(0)
    if probs is None:
        probs = np.full((7, *GEOMETRIES.cell.shape), 1 / 7, np.float32)
    with make(path, **changes) as store:
        write_tiles(store, rng, every_tile())
        store.maps.write_refined(WHOLE, labels, CELLS, probs)
        store.finish()
    return path


@pytest.fixture
def labels() -> np.ndarray:
    return random_labels(np.random.default_rng(4))


def compare(pred: Path | str, truth: Path | str, **options: Any):
    return evaluate_slide(Pair("s", "c", str(pred), str(truth)), SlideSettings(**options))


def test_the_corrected_map_is_taken_first_and_others_by_name(tmp_path: Path, labels: np.ndarray):
    path = a_store(tmp_path / "a", labels)
    with make_writable(path) as store:
        corrected = store.labels("corrected")
        store.corrections.append_edit(stroke(corrected, Window(0, 0, 20, 20), 2))
    found = read_label_input(str(path), PLAIN)
    assert (found.label, found.name) == ("corrected", "a, corrected")
    assert np.array_equal(found.labels, corrected)
    assert found.about["edited_cells"] == np.count_nonzero(corrected != labels)
    assert np.array_equal(read_label_input(f"{path}/labels/refined", PLAIN).labels, labels)
    tiles = read_label_input(str(path), ReadingSettings("patch"))
    assert tiles.labels.shape == GEOMETRIES.tile.shape
    with pytest.raises(StoreError, match="no label map 'reader-x'") as caught:
        read_label_input(str(path), ReadingSettings("reader-x"))
    assert "patch, refined, corrected" in caught.value.hint


def make_writable(path: Path):
    from napari_fddm.pipeline.store import AnalysisStore

    return AnalysisStore.open(path, "r+")


def test_corrections_are_said_where_they_flatter(tmp_path: Path, labels: np.ndarray):
    path = a_store(tmp_path / "a", labels)
    with make_writable(path) as store:
        corrected = store.labels("corrected")
        store.corrections.append_edit(stroke(corrected, Window(0, 0, 30, 30), 3))
    against_itself = compare(f"{path}/labels/refined", path)
    assert any("by correcting this prediction" in note for note in against_itself.notes)
    changed = np.count_nonzero(corrected != labels)
    wrong = against_itself.confusion.counts.sum() - np.trace(against_itself.confusion.counts)
    assert wrong == changed
    other = a_store(tmp_path / "b", labels)
    assert any("holds corrections by a reader" in note for note in compare(path, other).notes)


def test_tiles_are_brought_onto_the_label_grid(tmp_path: Path, labels: np.ndarray):
    path = a_store(tmp_path / "a", labels)
    result = compare(f"{path}/labels/patch", f"{path}/labels/refined")
    assert any("by nearest neighbor" in note for note in result.notes)
    tiles = read_label_input(f"{path}/labels/patch", PLAIN).labels
    rows, cols = (
        ((np.arange(n) + 0.5) * GEOMETRIES.label.cell // GEOMETRIES.tile.cell).astype(int)
        for n in SHAPE
    )
    said = tiles[np.ix_(rows, cols)]
    expected = np.zeros((7, 7), np.int64)
    np.add.at(expected, (labels - 1, said.astype(int) - 1), 1)
    assert np.array_equal(result.confusion.counts, expected)


def test_a_synthetic_slide_is_its_own_truth(tmp_path: Path):
    name = "synthetic:4500x5500?seed=2&mpp=0.5"
    slide = open_synthetic(name)
    truth = slide.truth_map(GEOMETRIES.label)
    info = INFO | {"fingerprint": slide.fingerprint}
    run = {"config": {}, "slide": {"shape": [4500, 5500]}}
    path = a_store(tmp_path / "a", truth, slide_info=info, provenance=run)
    result = compare(path, name)
    assert np.trace(result.confusion.counts) / result.confusion.counts.sum() > 0.95
    assert result.cell_um == 4.0
    with pytest.raises(ConfigError, match="of two slides, by their fingerprints"):
        compare(path, name.replace("seed=2", "seed=3"))


def test_probabilities_of_the_map_are_used(tmp_path: Path, labels: np.ndarray):
    probs = np.zeros((7, *GEOMETRIES.cell.shape), np.float32)
    probs[1], probs[2] = 0.75, 0.25
    said = np.full(SHAPE, 2, np.uint8)
    truth = said.copy()
    truth[: SHAPE[0] // 2] = 3
    half = np.count_nonzero(truth == 2) / truth.size
    pred, true = a_store(tmp_path / "a", said, probs), a_store(tmp_path / "b", truth)
    found = compare(pred, true).calibration
    assert found.total == truth.size
    assert found.ece() == pytest.approx(0.75 - half)
    assert found.mean_nll() == pytest.approx(-half * np.log(0.75) - (1 - half) * np.log(0.25))
    tiles = compare(f"{pred}/labels/patch", true).calibration
    assert tiles.total == truth.size
    assert tiles.mean_nll() != found.mean_nll()
    off = compare(pred, true, calibration=False)
    assert (off.calibration, off.no_calibration) == (None, "it was not asked for")


def test_probabilities_that_are_none_are_refused(tmp_path: Path, labels: np.ndarray):
    path = a_store(tmp_path / "a", labels)
    array = zarr.open_array(path / "fddm" / "refined_probs", mode="r+")
    array[2, 5, 7] = np.nan
    with pytest.raises(StoreError, match=r"refined probabilities: .* 1 cells .* row 5, column 7"):
        compare(f"{path}/labels/refined", path)
    found = compare(f"{path}/labels/refined", path, calibration=False)
    assert found.calibration is None


def test_a_reader_s_map_has_no_probabilities(tmp_path: Path, labels: np.ndarray):
    path = a_store(tmp_path / "a", labels)
    with make_writable(path) as store:
        store.corrections.add_reader("anna")
    result = compare(f"{path}/labels/reader-anna", path)
    assert result.calibration is None
    assert "a reader's map" in result.no_calibration


def test_the_same_label_map_as_prediction_and_truth_is_refused(tmp_path: Path, labels: np.ndarray):
    path = a_store(tmp_path / "a", labels)
    with pytest.raises(ConfigError, match=r"the same label map, a, corrected"):
        compare(path, f"{path}/labels/corrected")
    copied = compare(path, a_store(tmp_path / "b", labels))
    assert any("alike in every cell" in note for note in copied.notes)


def test_a_slide_twice_is_found_by_its_fingerprint(tmp_path: Path, labels: np.ndarray):
    other = random_labels(np.random.default_rng(9))
    paths = [a_store(tmp_path / n, m) for n, m in (("a", labels), ("b", other))]
    pairs = tuple(Pair(p.name, p.name, f"{p}/labels/patch", str(p)) for p in paths)
    run = evaluate_pairs(Pairs(pairs, cases_known=True), EvaluationSettings())
    with pytest.raises(ConfigError, match=r"a and b are the same slide: .* same fingerprint"):
        list(run)


def test_maps_of_other_classes_are_refused(tmp_path: Path, labels: np.ndarray):
    from dataclasses import replace

    renamed = ClassTable(
        tuple(replace(c, name="osteoid") if c.short == "IF" else c for c in OSTEOSARCOMA)
    )
    mine, theirs = a_store(tmp_path / "a", labels), a_store(tmp_path / "b", labels, table=renamed)
    with pytest.raises(ConfigError, match="have other classes"):
        compare(theirs, mine)


def test_exports_are_read_as_folder_and_as_file(tmp_path: Path, labels: np.ndarray):
    path = a_store(tmp_path / "a", labels)
    for name in ("copy.ome.zarr", "copy.ozx"):
        with make_writable(path) as store:
            export_store(store, tmp_path / name)
        result = compare(tmp_path / name, path)
        assert np.trace(result.confusion.counts) == labels.size, name


def test_a_chunk_that_an_export_lost_is_no_empty_truth(tmp_path: Path, labels: np.ndarray):
    with make_writable(a_store(tmp_path / "a", labels)) as store:
        export_store(store, tmp_path / "copy.ome.zarr")
    (tmp_path / "copy.ome.zarr/labels/refined/0/c/0/0").unlink()
    source = f"{tmp_path}/copy.ome.zarr/labels/refined"
    with pytest.raises(StoreError, match=r"chunks of .* are missing"):
        read_label_input(source, PLAIN)


def test_labels_of_others_are_taken_only_if_they_are_our_classes(
    tmp_path: Path, labels: np.ndarray
):
    path = a_store(tmp_path / "a", labels)
    with make_writable(path) as store:
        export_store(store, tmp_path / "foreign.ome.zarr")
    group = zarr.open_group(tmp_path / "foreign.ome.zarr", mode="r+")
    attributes = dict(group.attrs)
    attributes.pop(ngff.BLOCK)
    group.attrs.put(attributes)
    label = group["labels/refined"]
    attributes = dict(label.attrs)
    attributes.pop(ngff.BLOCK)
    label.attrs.put(attributes)
    source = f"{tmp_path}/foreign.ome.zarr/labels/refined"
    found = read_label_input(source, PLAIN)
    assert (found.store, found.about["kind"]) == (None, "OME-Zarr")
    result = compare(source, path)
    assert np.trace(result.confusion.counts) == labels.size  # placed by its micrometers
    attributes["ome"]["image-label"]["properties"][3]["name"] = "osteoid"
    label.attrs.put(attributes)
    with pytest.raises(FddmError, match="not those of our classes"):
        read_label_input(source, PLAIN)
    assert read_label_input(source, ReadingSettings(reading="values")).labels.max() == 7


def test_an_unfinished_run_is_said(tmp_path: Path, labels: np.ndarray):
    with make(tmp_path / "a") as store:
        write_tiles(store, np.random.default_rng(0), every_tile()[:30])
        store.finish(complete=False)
    found = compare(tmp_path / "a", a_store(tmp_path / "b", labels))
    assert any("stopped before its end" in note for note in found.notes)
    assert any("leaves out" in note for note in found.notes)
