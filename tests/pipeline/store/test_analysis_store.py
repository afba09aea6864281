from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.core.outside.checked_json import write_checked
from napari_fddm.core.provenance import Provenance
from napari_fddm.interop import ngff, ome_zarr, validation
from napari_fddm.interop.pyramids import mode_halved
from napari_fddm.pipeline.outputs import export_store
from napari_fddm.pipeline.store import AnalysisStore, LogRecord, layout
from tests.support.stores import (
    CELLS,
    GEOMETRIES,
    INFO,
    SHAPE,
    WHOLE,
    every_tile,
    make,
    random_labels,
    random_probs,
    refine_all,
    stored,
    stroke,
    write_tiles,
)


def test_a_whole_analysis_comes_back(path, rng):
    labels = random_labels(rng)
    with make(path) as store:
        assert not store.maps.complete
        patch, cells = write_tiles(store, rng, every_tile())
        rgb = rng.integers(0, 256, (*SHAPE, 3)).astype(np.uint8)
        store.maps.write_overview(WHOLE, rgb)
        refined = random_probs(rng, 7, *GEOMETRIES.cell.shape, axis=0)
        store.maps.write_refined(WHOLE, labels, CELLS, refined)
        store.finish()
    validation.validate(path)
    with AnalysisStore.open(path) as store:
        store.validate()
        assert store.maps.complete
        assert (store.slide_info, store.table) == (INFO, OSTEOSARCOMA)
        assert (store.geometries, store.provenance) == (GEOMETRIES, {"config": {"seed": 1}})
        assert np.array_equal(store.labels("corrected"), labels)
        assert np.array_equal(store.labels("refined"), labels)
        rows, cols = GEOMETRIES.tile.shape
        expected = (patch.argmax(axis=1) + 1).reshape(rows, cols)
        assert np.array_equal(store.labels("patch"), expected)
        assert np.allclose(
            store.maps.probability_map("patch").probs, patch.T.reshape(7, rows, cols), atol=1e-3
        )
        by_tile = store.maps.probability_map("cell").probs.reshape(7, rows, 8, cols, 8)
        for index, (row, col) in enumerate(every_tile()):
            assert np.allclose(by_tile[:, row, :, col, :], cells[index], atol=1e-3)
        assert np.allclose(store.maps.probability_map("refined").probs, refined, atol=1e-3)
    overview = zarr.open_array(path / "0", mode="r")[...]
    assert np.array_equal(np.moveaxis(overview, 0, 2), rgb)


def test_a_run_in_pieces_equals_one_in_one_piece(tmp_path, rng):
    tiles = every_tile()
    patch, cells = random_probs(rng, len(tiles), 7), random_probs(rng, len(tiles), 7, 8, 8)
    whole, pieces = tmp_path / "a.fddm.ome.zarr", tmp_path / "b.fddm.ome.zarr"
    with make(whole) as store:
        store.maps.write_tiles(tiles, patch, cells, cells[:, :6])
    make(pieces).close()
    for part in np.array_split(rng.permutation(len(tiles)), 7):
        with AnalysisStore.open(pieces, "r+") as store:
            before = store.maps.probability_map("patch").coverage
            assert not before[tuple(tiles[part].T)].any()
            store.maps.write_tiles(tiles[part], patch[part], cells[part], cells[part][:, :6])
            assert store.maps.probability_map("patch").coverage.sum() == before.sum() + len(part)
    with AnalysisStore.open(whole) as one, AnalysisStore.open(pieces) as other:
        assert np.array_equal(one.maps.tissue_features(), other.maps.tissue_features())
        assert one.maps.tissue_features().any()
        for name in ("patch", "cell"):
            a, b = one.maps.probability_map(name), other.maps.probability_map(name)
            assert np.array_equal(a.probs, b.probs)
            assert np.array_equal(a.coverage, b.coverage)
        assert np.array_equal(one.labels("patch"), other.labels("patch"))


def test_without_refinement_the_tiles_are_the_automatic_labels(path, rng):
    tile_cells = round(GEOMETRIES.tile.cell / GEOMETRIES.label.cell)
    with make(path) as store:
        write_tiles(store, rng, every_tile()[:20])
        store.finish()
        large = store.labels("patch").repeat(tile_cells, 0).repeat(tile_cells, 1)
        assert np.array_equal(store.maps.labels(), large[: SHAPE[0], : SHAPE[1]])
        assert np.array_equal(store.labels("corrected"), store.maps.labels())
        assert (store.labels("corrected") == 0).any()


def test_what_a_killed_run_did_not_mark_counts_as_not_analyzed(path, rng):
    labels = random_labels(rng)
    with make(path) as store:
        write_tiles(store, rng, every_tile())
        refine_all(store, labels)
        store.finish()
    # A run that is killed has only recorded what was done before it began.
    write_checked(path / "fddm" / "run.json", layout.run_state(complete=False))
    for name, part in (("refined", np.s_[:16, :24]), ("tile", np.s_[:2, :3])):
        array = zarr.open_array(path / "fddm" / f"{name}_done", mode="r+")
        array[part] = 0
    with AnalysisStore.open(path) as store:
        assert not store.maps.probability_map("patch").coverage[:2, :3].any()
        assert not store.maps.probability_map("cell").coverage[:16, :24].any()
        automatic = store.maps.labels()
        # 16 by 24 bridge cells of 32 µm are 64 by 96 label cells of 8 µm.
        assert not automatic[:64, :96].any()
        assert np.array_equal(automatic[64:], labels[64:])
        assert np.array_equal(store.labels("corrected"), automatic)


@pytest.mark.parametrize("doomed", ["cell_probs", "patch_probs", "labels"])
def test_a_write_that_fails_midway_marks_nothing_done(path, rng, monkeypatch, doomed):
    store = make(path)
    real = zarr.Array.__setitem__

    def full(self, key, value):
        if doomed in self.path:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, key, value)

    with monkeypatch.context() as patch:
        patch.setattr(zarr.Array, "__setitem__", full)
        with pytest.raises(StoreError, match="No space left") as caught:
            write_tiles(store, rng, every_tile())
        assert "disk is full" in caught.value.hint
    assert not store.maps.probability_map("patch").coverage.any()
    write_tiles(store, rng, every_tile())
    assert store.maps.probability_map("patch").coverage.all()
    store.close()
    validation.validate(path)


def test_closing_wraps_up_an_interrupted_run(path, rng):
    labels = random_labels(rng)
    with make(path) as store:
        refine_all(store, labels)
    with AnalysisStore.open(path) as store:
        assert not store.maps.complete
    assert np.array_equal(stored(path), labels)
    assert np.array_equal(stored(path, "refined", 1), mode_halved(labels))


def test_reading_writes_nothing_and_writing_needs_the_mode(finished, rng):
    path, labels = finished
    before = {p: p.stat().st_mtime_ns for p in path.rglob("*")}
    with AnalysisStore.open(path) as store:
        edit = stroke(labels.copy(), Window(0, 0, 9, 9), 2)
        for action in (
            lambda: store.corrections.append_edit(edit),
            lambda: store.corrections.write(WHOLE, labels),
            lambda: write_tiles(store, rng, every_tile()),
            lambda: refine_all(store, labels),
            lambda: store.maps.write_overview(WHOLE, np.zeros((*SHAPE, 3), np.uint8)),
            lambda: store.update_provenance({}),
            lambda: store.records.append(LogRecord("note", {})),
            lambda: store.corrections.log_edits([edit]),
            store.corrections.apply_logged,
            lambda: store.corrections.add_reader("x"),
            store.finish,
            store.corrections.sync,
            store.maps.begin,
        ):
            with pytest.raises(StoreError, match="reading only"):
                action()
        store.labels("corrected")
        store.validate()
    assert {p: p.stat().st_mtime_ns for p in path.rglob("*")} == before


def test_a_closed_store_says_so(finished, tmp_path):
    path, _ = finished
    store = AnalysisStore.open(path, "r+")
    store.close()
    store.close()
    for action in (
        store.finish,
        store.flush,
        store.maps.begin,
        store.maps.labels,
        store.maps.overview,
        store.maps.tissue_features,
        store.corrections.sync,
        store.corrections.held_cells,
        lambda: export_store(store, tmp_path / "copy.ome.zarr"),
        lambda: store.records.append(LogRecord("note", {})),
        lambda: store.maps.probability_map("refined"),
        lambda: store.labels("refined"),
        lambda: store.labels("corrected"),
    ):
        with pytest.raises(StoreError, match="closed"):
            action()


def provenance(**changes):
    values = {
        "slide": {"fingerprint": "abc", "shape": (10, 20)},
        "model": {"id": "m", "sha256": {"head": "11"}},
        "config": {"seed": 1, "steps": 4, "device": "cpu"},
        "device": "cpu",
        "dtype": "float32",
        "threads": 2,
        "batch_size": 8,
    }
    return Provenance(**(values | changes))


def test_a_run_may_only_continue_its_own_analysis(path):
    make(path, provenance=provenance()).close()
    with AnalysisStore.open(path, "r+") as store:
        store.check_compatible(provenance())
        store.check_compatible(provenance(device="cuda", threads=9))
        for changed, named in (
            (provenance(config={"seed": 2, "steps": 4}), "--seed 1 → 2"),
            (provenance(model={"id": "m", "sha256": {"head": "22"}}), "the weights of the model m"),
            (provenance(slide={"fingerprint": "other", "shape": (10, 20)}), "the slide is another"),
        ):
            with pytest.raises(StoreError, match=named) as caught:
                store.check_compatible(changed)
            assert caught.value.hint
        store.update_provenance(provenance(device="cuda"))
    with AnalysisStore.open(path) as store:
        assert store.provenance["device"] == "cuda"
        assert store.slide_info == INFO


@pytest.mark.parametrize(
    ("tiles", "patch", "cells", "features"),
    [
        ((4, 2), (3, 7), (4, 7, 8, 8), (4, 6, 8, 8)),
        ((4, 2), (4, 6), (4, 7, 8, 8), (4, 6, 8, 8)),
        ((4, 2), (4, 7), (4, 7, 4, 4), (4, 6, 8, 8)),
        ((4, 3), (4, 7), (4, 7, 8, 8), (4, 6, 8, 8)),
        ((4, 2), (4, 7), (4, 7, 8, 8), (4, 3, 8, 8)),
    ],
)
def test_tiles_of_impossible_shapes_are_refused(path, tiles, patch, cells, features):
    arrays = [np.zeros(shape) for shape in (patch, cells, features)]
    with make(path) as store:
        with pytest.raises(StoreError, match="arrays of"):
            store.maps.write_tiles(np.zeros(tiles, int), *arrays)
        assert not store.maps.probability_map("patch").coverage.any()


def test_impossible_values_are_refused(path, rng):
    with make(path) as store:
        bad = random_probs(rng, 2, 7)
        bad[1, 3] = np.nan
        cells = random_probs(rng, 2, 7, 8, 8)
        with pytest.raises(StoreError, match="finite"):
            store.maps.write_tiles(every_tile()[:2], bad, cells, cells[:, :6])
        for row, col in ((-1, 0), (0, 999)):
            with pytest.raises(StoreError, match="outside"):
                store.maps.write_tiles(np.array([[row, col]]), bad[:1], cells[:1], cells[:1, :6])
        cell_probs = np.zeros((7, 2, 2))
        with pytest.raises(StoreError, match="beyond"):
            store.maps.write_refined(
                Window(0, 0, 8, 8), np.full((8, 8), 9, np.uint8), Window(0, 0, 2, 2), cell_probs
            )
        with pytest.raises(StoreError, match="finite"):
            store.maps.write_refined(
                Window(0, 0, 8, 8), np.zeros((8, 8), np.uint8), Window(0, 0, 3, 2), cell_probs
            )
        store.maps.write_tiles(np.zeros((0, 2), int), bad[:0], cells[:0], cells[:0, :6])
        assert not store.maps.probability_map("patch").coverage.any()


def test_refined_windows_may_hang_over_the_border(path):
    with make(path) as store:
        probs = np.random.default_rng(0).random((7, 20, 20))
        labels = np.full((40, 40), 3, np.uint8)
        rows, cols = GEOMETRIES.cell.shape
        store.maps.write_refined(
            Window(SHAPE[0] - 20, SHAPE[1] - 20, 40, 40),
            labels,
            Window(rows - 10, cols - 10, 20, 20),
            probs,
        )
        stored_probs = store.maps.probability_map("refined")
        assert stored_probs.coverage.sum() == 100
        assert np.allclose(stored_probs.probs[:, -10:, -10:], probs[:, :10, :10], atol=1e-3)
        assert (store.labels("refined") == 3).sum() == 400


def test_creating_never_touches_what_is_there(path, tmp_path):
    make(path).close()
    before = sorted(path.rglob("*"))
    with pytest.raises(StoreError, match="exists already") as caught:
        make(path)
    assert caught.value.hint
    assert sorted(path.rglob("*")) == before
    other = tmp_path / "mine"
    other.mkdir()
    with pytest.raises(StoreError, match="exists already"):
        make(other)
    assert list(other.iterdir()) == []


def test_a_failed_creation_leaves_nothing(tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for target, name in ((layout, "create_labels"), (Path, "rename")):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, full)
            with pytest.raises(StoreError, match="No space left"):
                make(tmp_path / "new" / "a.fddm.ome.zarr")
    with pytest.raises(StoreError, match="JSON"):
        make(tmp_path / "new" / "a.fddm.ome.zarr", slide_info={"x": object()})
    assert list((tmp_path / "new").iterdir()) == []


def test_strangers_are_refused_with_a_hint(tmp_path, finished):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    ome_zarr.create_image(tmp_path / "image", GEOMETRIES.label, name="not ours")
    for name in ("missing", "file", "empty", "image"):
        with pytest.raises(StoreError, match=name) as caught:
            AnalysisStore.open(tmp_path / name)
        assert caught.value.hint


def test_a_label_map_without_a_type_of_node_is_refused(finished):
    path, _ = finished
    file = path / "labels" / "corrected" / "zarr.json"
    values = json.loads(file.read_text())
    del values["node_type"]
    file.write_text(json.dumps(values))
    with pytest.raises(StoreError, match=r"labels/corrected/zarr\.json cannot be read"):
        AnalysisStore.open(path)


def test_a_newer_layout_is_refused(finished):
    path, _ = finished
    file = path / "zarr.json"
    values = json.loads(file.read_text())
    values["attributes"][ngff.BLOCK]["schema"] = layout.SCHEMA + 1
    file.write_text(json.dumps(values))
    with pytest.raises(StoreError, match="newer") as caught:
        AnalysisStore.open(path)
    assert "Update" in caught.value.hint
    del values["attributes"][ngff.BLOCK]["cell"]
    values["attributes"][ngff.BLOCK]["schema"] = layout.SCHEMA
    file.write_text(json.dumps(values))
    with pytest.raises(StoreError, match="damaged"):
        AnalysisStore.open(path)


@pytest.mark.parametrize(
    "part",
    ["fddm/tile_done", "fddm/refined_probs", "labels/patch", "labels/corrected/0", "0"],
)
def test_missing_arrays_are_named(finished, part):
    path, _ = finished
    shutil.rmtree(path / part)
    with pytest.raises(StoreError, match=part) as caught:
        AnalysisStore.open(path)
    assert caught.value.hint


@pytest.mark.parametrize("name", [layout.PROVENANCE, layout.RUN])
def test_a_missing_or_damaged_description_is_named(finished, name):
    path, _ = finished
    file = path / "fddm" / name
    for damage in (lambda: file.write_text("{"), file.unlink):
        damage()
        with pytest.raises(StoreError, match=name):
            AnalysisStore.open(path).labels("corrected")


def test_a_read_only_folder_is_a_clear_error(finished, monkeypatch):
    path, labels = finished
    import filelock

    def denied(self, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(filelock.FileLock, "acquire", denied)
    with AnalysisStore.open(path, "r+") as store:
        for action in (store.maps.begin, store.corrections.sync):
            with pytest.raises(StoreError, match="Permission denied") as caught:
                action()
            assert "permission" in caught.value.hint
        assert np.array_equal(store.labels("corrected"), labels)
