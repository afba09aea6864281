"""Starting over never loses a person's work, and never leaves half a store."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.core.errors import StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.store import AnalysisStore, replacing
from napari_fddm.pipeline.store.eventlog import StoreBusyError
from napari_fddm.pipeline.store.replacing import (
    holds_corrections,
    recover,
    remove_abandoned,
    replace_store,
)
from tests.support.stores import make, stroke

if TYPE_CHECKING:
    from pathlib import Path


def create(path: Path) -> None:
    make(path, provenance={"config": {"seed": 2}}).close()


def seed_of(path: Path) -> int:
    with AnalysisStore.open(path) as store:
        return int(store.provenance["config"]["seed"])


def correct(path: Path) -> np.ndarray:
    with AnalysisStore.open(path, "r+") as store:
        labels = store.labels("corrected")
        store.corrections.append_edit(stroke(labels, Window(3, 4, 10, 12), 5))
    return labels


def test_an_untouched_store_is_replaced_and_nothing_stays_behind(finished):
    path, _ = finished
    assert not holds_corrections(path)
    assert replace_store(path, create) is None
    assert seed_of(path) == 2
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_corrections_move_aside_and_stay_readable(finished):
    path, _ = finished
    labels = correct(path)
    kept = replace_store(path, create)
    assert kept is not None
    assert kept.name.startswith("slide-1.svs.20")
    assert kept.name.endswith(".fddm.ome.zarr")
    assert (seed_of(kept), seed_of(path)) == (1, 2)
    with AnalysisStore.open(kept) as store:
        assert np.array_equal(store.labels("corrected"), labels)
        store.validate()


def test_two_corrected_stores_of_one_second_are_both_kept(finished, monkeypatch):
    path, _ = finished
    kept = []
    for _ in range(2):
        correct(path)
        kept.append(replace_store(path, create))
    assert len(set(kept)) == 2
    assert all(holds_corrections(store) for store in kept)


def test_a_readers_map_and_a_damaged_log_count_as_corrections(finished):
    path, _ = finished
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.add_reader("ab")
    assert holds_corrections(path)
    (path / "fddm" / "events.jsonl").write_text("torn\n{}\n")
    assert holds_corrections(path)


def test_what_is_not_ours_is_never_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    with pytest.raises(StoreError, match="not written by napari-fddm"):
        replace_store(tmp_path / "thesis", create)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "mine"


@pytest.mark.parametrize("who", ["run", "editor"])
def test_a_store_in_use_is_left_alone(finished, who):
    path, _ = finished
    with AnalysisStore.open(path, "r+") as store:
        store.maps.begin() if who == "run" else store.corrections.sync()
        with pytest.raises(StoreBusyError):
            replace_store(path, create)
    assert seed_of(path) == 1


def test_a_failure_leaves_the_old_store_in_its_place(finished):
    path, _ = finished
    correct(path)

    def fails(place: Path) -> None:
        create(place)
        raise StoreError("the disk is full.")

    with pytest.raises(StoreError, match="disk is full"):
        replace_store(path, fails)
    assert seed_of(path) == 1
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_rename_that_fails_is_undone(finished, monkeypatch):
    path, _ = finished
    rename = type(path).rename

    def refuse(self, target):
        if target == path and ".part" in self.name and not seen:
            seen.append(self)
            raise PermissionError(13, "in use")
        return rename(self, target)

    seen: list[Path] = []
    monkeypatch.setattr(type(path), "rename", refuse)
    with pytest.raises(StoreError, match="in use"):
        replace_store(path, create)
    assert seed_of(path) == 1
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("corrected", [True, False])
def test_an_old_store_comes_back_when_the_process_died_between_the_renames(
    finished, monkeypatch, corrected
):
    path, _ = finished
    labels = correct(path) if corrected else None
    rename = type(path).rename

    def die(self, target):
        if target == path:
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "rename", die)
        patch.setattr(replacing, "discard_folder", lambda _: None)
        with pytest.raises(KeyboardInterrupt):
            replace_store(path, create)
    assert not path.exists()
    recover(path)
    assert seed_of(path) == 1
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    if corrected:
        with AnalysisStore.open(path) as store:
            assert np.array_equal(store.labels("corrected"), labels)
    replace_store(path, create)
    assert seed_of(path) == 2
    assert not (path / "fddm" / "replaces.json").exists()


def test_only_what_was_forgotten_long_ago_is_removed(tmp_path, monkeypatch):
    path = tmp_path / "case [3].fddm.ome.zarr"
    half = f".{path.name}.12345678.part"
    for name in (half, f".{half}.87654321.part", ".other.ome.zarr.12345678.part"):
        (tmp_path / name / "fddm").mkdir(parents=True)
    remove_abandoned(path)
    assert len(os.listdir(tmp_path)) == 3
    later = time.time() + 2 * replacing.ABANDONED_S
    monkeypatch.setattr(replacing.time, "time", lambda: later)
    remove_abandoned(path)
    assert os.listdir(tmp_path) == [".other.ome.zarr.12345678.part"]
