"""Starting over with other settings: what a person did and what stage 1 did outlast it."""

from __future__ import annotations

import pickle
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from napari_fddm.core.errors import SettingsDifferError, StoreError
from napari_fddm.core.geometry import Window
from napari_fddm.pipeline.run.analyze import analyze
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.store.estimates import estimate_record, read_estimate
from napari_fddm.pipeline.store.log_lines import LogMismatchError
from napari_fddm.pipeline.store.tumor_bed import read_tumor_bed, tumor_bed_record
from tests.support.runs import (
    CONFIG,
    PATCH,
    PIXELS,
    SIDE,
    CountingModel,
    WatchedSlide,
    assert_equal,
    changed,
    drain,
)
from tests.support.stores import stroke

if TYPE_CHECKING:
    from pathlib import Path

STROKE = Window(60, 70, 30, 40)


@pytest.fixture
def corrected(whole: Path, tmp_path: Path) -> Path:
    """A finished run with a stroke, an outline, an estimate and a second reader."""
    store = shutil.copytree(whole, tmp_path / "s.fddm.ome.zarr")
    with AnalysisStore.open(store, "r+") as opened:
        opened.corrections.append_edit(stroke(opened.labels("corrected"), STROKE, 5))
        opened.records.append(
            tumor_bed_record([np.array([[0.0, 0.0], [900.0, 0.0], [900.0, 900.0]])])
        )
        opened.records.append(estimate_record(rate=0.4, definition="fddm", rate_seen=False))
        opened.log.append("note", text="fold at the left edge")
        opened.corrections.append_edit(
            stroke(opened.labels("corrected"), STROKE, 3), layer=opened.corrections.add_reader("ab")
        )
    return store


def revise(store: Path, model: Any, **settings: Any) -> None:
    drain(
        analyze(
            WatchedSlide(PIXELS), store=store, model=model, config=changed(**settings), revise=True
        )
    )


def from_scratch(store: Path, model: Any, **settings: Any) -> Path:
    drain(analyze(WatchedSlide(PIXELS), store=store, model=model, config=changed(**settings)))
    return store


@pytest.mark.parametrize(
    "settings",
    [{"steps": 2, "seed": 3}, {"label_mpp": 4.0, "tissue": "all"}],
    ids=lambda s: "-".join(s),
)
def test_reused_tiles_give_what_a_run_from_scratch_gives(
    model: CountingModel, loaded: Any, whole: Path, tmp_path: Path, settings: dict[str, Any]
):
    store = shutil.copytree(whole, tmp_path / "s.fddm.ome.zarr")
    revise(store, model, **settings)
    reused_all = not model.batches
    assert reused_all == (settings.get("tissue") is None)
    assert_equal(store, from_scratch(tmp_path / "t", loaded, **settings))
    assert [p.name for p in tmp_path.iterdir()].count(store.name) == 1


def test_a_smaller_mask_lets_tiles_go_and_classifies_none(
    model: CountingModel, loaded: Any, whole: Path, tmp_path: Path
):
    mask = np.zeros((SIDE // 10, SIDE // 10), np.uint8)
    mask[60:120, 60:140] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    store = shutil.copytree(whole, tmp_path / "s.fddm.ome.zarr")
    revise(store, model, tissue=str(tmp_path / "mask.png"))
    assert model.batches == []
    again = from_scratch(tmp_path / "t", loaded, tissue=str(tmp_path / "mask.png"))
    assert_equal(store, again)


@pytest.mark.parametrize("settings", [{"overlap": 16}, {"blank_filter": True}, {"batch_size": 4}])
def test_what_changes_stage_1_is_classified_again(
    model: CountingModel, loaded: Any, whole: Path, tmp_path: Path, settings: dict[str, Any]
):
    store = shutil.copytree(whole, tmp_path / "s.fddm.ome.zarr")
    revise(store, model, **settings, stage="patch")
    assert model.batches
    assert_equal(store, from_scratch(tmp_path / "t", loaded, **settings, stage="patch"))


@pytest.mark.parametrize("options", [{"revise": True, "seed": 3}, {}], ids=["revise", "resume"])
def test_a_run_stops_before_it_changes_an_analysis_whose_log_is_lost(
    model: CountingModel, corrected: Path, options: dict[str, Any]
):
    (corrected / "fddm" / "events.jsonl").unlink()
    files = (p for p in corrected.rglob("*") if p.is_file() and p.suffix != ".lock")
    before = {p: p.read_bytes() for p in files}
    again = {"revise": options.pop("revise", False), "config": changed(**options)}
    with pytest.raises(LogMismatchError):
        drain(analyze(WatchedSlide(PIXELS), store=corrected, model=model, **again))
    assert {p: p.read_bytes() for p in before} == before
    assert [p for p in corrected.parent.iterdir() if p.is_dir()] == [corrected]


def test_going_back_takes_the_tiles_of_the_analysis_kept_from_then(
    model: CountingModel, corrected: Path, whole: Path
):
    revise(corrected, model, overlap=16)
    assert model.batches
    model.batches.clear()
    kept = next(p for p in corrected.parent.iterdir() if p != corrected)
    newer_but_broken = kept.with_name(kept.name.replace(".20", ".30", 1))
    shutil.rmtree(shutil.copytree(kept, newer_but_broken) / "labels")
    revise(corrected, model)
    assert model.batches == []
    with AnalysisStore.open(corrected) as store, AnalysisStore.open(whole) as first:
        np.testing.assert_array_equal(store.labels("refined")[:], first.labels("refined")[:])
        assert store.holds_corrections


def test_every_record_of_a_person_is_carried_over(
    model: CountingModel, corrected: Path, tmp_path: Path
):
    with AnalysisStore.open(corrected) as old:
        records = list(old.log.records())
    revise(corrected, model, steps=2)
    with AnalysisStore.open(corrected) as new:
        assert list(new.log.records()) == records
        assert read_estimate(new) == 0.4
        assert len(read_tumor_bed(new)) == 1
        automatic = new.maps.labels()
        for layer, value in (("corrected", 5), ("reader-ab", 3)):
            (edit,) = new.log.edits(layer)
            inside = np.zeros(automatic.shape, bool)
            inside[STROKE.slices] = edit.mask()
            assert np.array_equal(new.labels(layer), np.where(inside, value, automatic))
        new.validate()
    kept = [p for p in corrected.parent.glob("*.fddm.ome.zarr") if p != corrected]
    assert len(kept) == 1
    with AnalysisStore.open(kept[0]) as old:
        assert list(old.log.records()) == records


def test_corrections_of_another_label_grid_are_refused_and_nothing_changes(
    model: CountingModel, corrected: Path
):
    before = sorted(p.name for p in corrected.parent.iterdir())
    with pytest.raises(StoreError, match="another label grid") as caught:
        revise(corrected, model, label_mpp=4.0)
    assert "--fresh" in caught.value.hint
    assert sorted(p.name for p in corrected.parent.iterdir()) == before
    with AnalysisStore.open(corrected) as store:
        assert store.holds_corrections


def test_a_failure_while_carrying_leaves_the_old_store(
    model: CountingModel, corrected: Path, monkeypatch
):
    def fail(*_: Any) -> int:
        raise StoreError("the disk is full.")

    monkeypatch.setattr("napari_fddm.pipeline.store.carrying.carry_tiles", fail)
    before = sorted(p.name for p in corrected.parent.iterdir())
    with pytest.raises(StoreError, match="disk is full"):
        revise(corrected, model, steps=2)
    assert sorted(p.name for p in corrected.parent.iterdir()) == before


def test_the_refusal_says_what_differs_also_across_a_process_border(
    model: CountingModel, corrected: Path
):
    run = analyze(WatchedSlide(PIXELS), store=corrected, model=model, config=changed(steps=3))
    with pytest.raises(SettingsDifferError, match="--steps 1 → 3") as caught:
        next(run)
    error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert "--revise" in error.hint
    assert [(c.what, c.old, c.new) for c in error.changes] == [("steps", "1", "3")]
    assert error.corrected
    assert error.corrections_fit
    assert error.stored["config"]["steps"] == 1


def test_going_on_needs_no_revision(model: CountingModel, corrected: Path):
    drain(analyze(WatchedSlide(PIXELS), store=corrected, model=model, config=PATCH))
    drain(analyze(WatchedSlide(PIXELS), store=corrected, model=model, config=CONFIG))
    assert model.batches == []
