"""A chunk that is missing is lost, not empty; one that is damaged is named."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.interop.levels import create_array
from napari_fddm.pipeline.outputs import export_store, read_report
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.store.chunks import damaged_chunks, fill_missing, stored_chunks
from tests.support.stores import (
    GEOMETRIES,
    SHAPE,
    WHOLE,
    every_tile,
    make,
    random_labels,
    refine_all,
    stroke,
    write_tiles,
)

if TYPE_CHECKING:
    from pathlib import Path

ARRAYS = (
    "labels/refined/0",
    "fddm/refined_probs",
    "fddm/refined_done",
    "fddm/tile_done",
    "fddm/patch_labels",
    "fddm/cell_probs",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An analysis whose run came to its end, with one stroke."""
    path = tmp_path_factory.mktemp("whole") / "slide.fddm.ome.zarr"
    rng = np.random.default_rng(3)
    with make(path) as store:
        store.maps.write_overview(WHOLE, np.full((*SHAPE, 3), 255, np.uint8))
        write_tiles(store, rng, every_tile())
        refine_all(store, random_labels(rng))
        store.finish()
    with AnalysisStore.open(path, "r+") as store:
        labels = store.labels("corrected")
        store.corrections.append_edit(stroke(labels, Window(3, 3, 50, 60), 2))
    return path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "slide.fddm.ome.zarr")


def chunk_of(path: Path, key: str) -> Path:
    return next(p for p in sorted((path / key / "c").rglob("*")) if p.is_file())


def read_all(path: Path) -> None:
    with AnalysisStore.open(path) as store:
        for name in ("patch", "refined", "corrected"):
            store.labels(name)
        for maps in ("patch", "cell", "refined"):
            store.maps.probability_map(maps)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ARRAYS)
def test_a_missing_chunk_is_lost_and_its_area_is_said(path: Path, key: str) -> None:
    read_all(path)
    chunk_of(path, key).unlink()
    with pytest.raises(StoreError, match=r"damaged: .*mm² that were analyzed are lost") as caught:
        read_all(path)
    assert key in caught.value.message


@pytest.mark.parametrize("key", ARRAYS)
def test_every_changed_byte_of_a_chunk_is_an_error_that_names_the_file(
    path: Path, key: str
) -> None:
    file = chunk_of(path, key)
    data = file.read_bytes()
    for at in (0, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(StoreError) as caught:
            read_all(path)
        assert str(file) in caught.value.message
    for cut in (b"", data[:-1]):
        file.write_bytes(cut)
        with pytest.raises(StoreError):
            read_all(path)


def test_a_rate_is_refused_where_labels_are_lost(path: Path) -> None:
    right = read_report(path, label="refined")
    chunk_of(path, "labels/refined/0").unlink()
    with pytest.raises(StoreError, match="mm² that were analyzed are lost"):
        read_report(path, label="refined")
    assert right["rate"] is not None


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_corrected_map_that_is_lost_follows_from_the_log(path: Path, damage: str) -> None:
    with AnalysisStore.open(path) as store:
        labels = store.labels("corrected")
    file = chunk_of(path, "labels/corrected/0")
    file.unlink() if damage == "missing" else file.write_bytes(b"no chunk")
    with AnalysisStore.open(path) as store:
        assert np.array_equal(store.labels("corrected"), labels)
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.append_edit(stroke(labels, Window(90, 90, 5, 5), 4))
    assert np.array_equal(zarr.open_array(path / "labels/corrected/0", mode="r")[...], labels)


def test_a_run_gives_up_what_is_lost_and_only_that(path: Path) -> None:
    chunk_of(path, "fddm/cell_probs").unlink()  # of 8 by 8 tiles
    chunk_of(path, "fddm/patch_probs").write_bytes(b"no chunk")
    with AnalysisStore.open(path, "r+") as store:
        notes = store.maps.begin()
        assert any("patch_probs" in note and "removed" in note for note in notes)
        assert any("was lost; it is computed again" in note for note in notes)
        coverage = store.maps.probability_map("patch").coverage
        assert not coverage.any()  # they are one chunk
        assert store.maps.probability_map("refined").coverage.all()
        assert store.maps.begin() == ()
        write_tiles(store, np.random.default_rng(5), every_tile())
        store.finish()
    read_all(path)


def test_a_lost_part_of_the_overview_is_no_white_glass(path: Path) -> None:
    chunk_of(path, "0").unlink()
    with AnalysisStore.open(path) as store, pytest.raises(StoreError, match="chunks of 0 are"):
        store.maps.overview()
    with AnalysisStore.open(path, "r+") as store:
        assert store.maps.begin() == ("part of the overview was lost; it is written again",)
        assert not store.maps.overview_is_whole


def test_lost_marks_are_given_up_by_a_run(path: Path) -> None:
    chunk_of(path, "fddm/refined_done").unlink()
    with AnalysisStore.open(path, "r+") as store:
        (note,) = store.maps.begin()
        assert "cells was lost" in note
        marks = store.maps.probability_map("refined").coverage
        assert marks.any()
        assert not marks.all()


@pytest.mark.parametrize("key", ["1", "labels/patch/1", "labels/refined/1", "fddm/tissue_features"])
def test_a_store_that_lacks_a_chunk_is_not_exported(path: Path, tmp_path: Path, key: str) -> None:
    chunk_of(path, key).unlink()
    with AnalysisStore.open(path) as store, pytest.raises(StoreError, match="damaged"):
        export_store(store, tmp_path / "out" / "copy.ome.zarr")
    assert list((tmp_path / "out").iterdir()) == []


def test_every_chunk_of_finished_label_maps_exists(path: Path) -> None:
    for array in sorted(path.glob("labels/*/*/zarr.json")):
        assert stored_chunks(array.parent, zarr.open_array(array.parent, mode="r")).all()


def test_an_empty_array_is_cheap_and_is_filled_on_demand(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "a", zarr_format=3)
    array = create_array(
        group, "0", shape=(3, 10**6, 10**6), chunks=(3, 512, 512), dtype="uint8", fill_value=255
    )
    assert not stored_chunks(tmp_path / "a" / "0", array).any()
    small = create_array(group, "1", shape=(100, 70), chunks=(64, 64), dtype="uint8", fill_value=0)
    small[:10] = 5
    fill_missing(tmp_path / "a" / "1", small)
    assert stored_chunks(tmp_path / "a" / "1", small).all()
    assert small[...].sum() == 10 * 70 * 5
    assert list(damaged_chunks(tmp_path / "a" / "1", small)) == []


def test_an_unfinished_viewport_needs_no_other_chunk(tmp_path: Path) -> None:
    """What was never written and never marked is not analyzed, not lost."""
    path = tmp_path / "slide.fddm.ome.zarr"
    cells = GEOMETRIES.cell.window_of(GEOMETRIES.label.region_of(Window(0, 0, 40, 40)))
    probs = np.full((7, cells.height, cells.width), 1 / 7, np.float32)
    with make(path) as store:
        store.maps.write_refined(Window(0, 0, 40, 40), np.ones((40, 40), np.uint8), cells, probs)
    with AnalysisStore.open(path) as store:
        assert store.maps.labels()[:40, :40].all()
