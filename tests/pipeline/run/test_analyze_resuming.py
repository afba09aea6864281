"""A run that stopped continues, and only what belongs to a store continues it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_fddm.core.errors import ConfigError, StoreError
from napari_fddm.core.events import (
    AnalysisOpened,
    RegionRefined,
    StageStarted,
    TileBatch,
)
from napari_fddm.core.geometry import Region
from napari_fddm.models import load_model
from napari_fddm.pipeline.outputs import store_report
from napari_fddm.pipeline.run.analyze import analyze
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.store.eventlog import StoreBusyError
from tests.support.runs import (
    CONFIG,
    PATCH,
    PIXELS,
    CountingModel,
    WatchedSlide,
    assert_equal,
    changed,
    contents,
    drain,
    tissue_tiles,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("stop_at", [TileBatch, RegionRefined])
def test_a_run_that_was_stopped_continues_and_ends_as_if_it_had_not_been(
    model: CountingModel, whole: Path, tmp_path: Path, stop_at: type
):
    store = tmp_path / "s"
    run = analyze(WatchedSlide(PIXELS), store=store, model=model, config=CONFIG)
    seen = 0
    for event in run:
        seen += isinstance(event, stop_at)
        if seen == 2:
            break
    run.close()
    kept = contents(store)["patch coverage"]
    batches = len(model.batches)
    assert kept.sum() == min(16 * batches, tissue_tiles().sum())
    with AnalysisStore.open(store) as stopped:
        assert not stopped.maps.complete
        notes = " ".join(store_report(stopped)["notes"])
        assert "UNFINISHED" in notes
        refined = stopped.maps.probability_map("refined").coverage.any()
        assert ("nothing is refined yet" in notes) == (not refined)

    events, _ = drain(analyze(WatchedSlide(PIXELS), store=store, model=model, config=CONFIG))
    assert isinstance(events[0], AnalysisOpened)
    assert np.array_equal(events[0].patch != 0, kept)
    again = [e for e in events if isinstance(e, TileBatch)]
    (started,) = (e for e in events if isinstance(e, StageStarted) and e.stage == "patch")
    assert (started.done, started.total) == (kept.sum(), tissue_tiles().sum())
    assert all(e.total == started.total and e.done > started.done for e in again)
    assert not again or again[-1].done == started.total
    repeated = [kept[e.rows, e.cols].any() for e in again]
    assert not any(repeated)
    missing = int(tissue_tiles().sum() - kept.sum())
    assert len(model.batches) - batches == -(-missing // 16)
    assert_equal(store, whole)


def test_a_finished_run_is_not_repeated(model: CountingModel, whole: Path, tmp_path: Path):
    store = shutil.copytree(whole, tmp_path / "s")
    drain(analyze(WatchedSlide(PIXELS), store=store, model=model, config=CONFIG))
    assert model.batches == []
    assert_equal(store, whole)


def test_stopping_before_anything_happened_keeps_nothing_busy(model: CountingModel, tmp_path: Path):
    run = analyze(WatchedSlide(PIXELS), store=tmp_path / "s", model=model, config=CONFIG)
    next(run)
    run.close()
    drain(analyze(WatchedSlide(PIXELS), store=tmp_path / "s", model=model, config=PATCH))


def test_two_runs_into_one_store_are_refused(model: CountingModel, whole: Path, tmp_path: Path):
    store = shutil.copytree(whole, tmp_path / "s")
    first = analyze(WatchedSlide(PIXELS), store=store, model=model, config=CONFIG)
    next(first)
    with pytest.raises(StoreBusyError):
        next(analyze(WatchedSlide(PIXELS), store=store, model=model, config=CONFIG))
    first.close()
    next(analyze(WatchedSlide(PIXELS), store=store, model=model, config=CONFIG))


def test_of_two_first_runs_the_second_is_told_of_the_other(
    model: CountingModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Both see that there is no store; one of them creates it."""
    store, real, others = tmp_path / "s", AnalysisStore.create, []

    def create_second(path: Path, **about: Any) -> AnalysisStore:
        others.append(real(path, **about))
        others[0].maps.begin()
        return real(path, **about)

    monkeypatch.setattr(AnalysisStore, "create", create_second)
    with pytest.raises(StoreBusyError, match=r"another program \(process "):
        next(analyze(WatchedSlide(PIXELS), store=store, model=model, config=CONFIG))
    others[0].close()
    drain(analyze(WatchedSlide(PIXELS), store=store, model=model, config=PATCH))


def test_a_run_computes_what_is_lost_and_says_so(model: CountingModel, whole: Path, tmp_path: Path):
    store = shutil.copytree(whole, tmp_path / "s")
    (store / "labels" / "refined" / "0" / "c" / "0" / "0").unlink()
    (store / "0" / "c" / "0" / "0" / "0").write_bytes(b"no chunk")
    events, result = drain(analyze(WatchedSlide(PIXELS), store=store, model=model, config=CONFIG))
    assert isinstance(events[0], AnalysisOpened)
    notes = " ".join(result.notes)
    assert "0/c/0/0/0 was damaged and was removed" in notes
    assert "cells was lost; it is computed again" in notes
    assert model.batches == []  # no tile was lost
    assert_equal(store, whole)
    (store / "fddm" / "tile_done" / "c" / "0" / "0").unlink()
    drain(analyze(WatchedSlide(PIXELS), store=store, model=model, config=CONFIG))
    assert sum(model.batches) >= tissue_tiles().sum()
    assert_equal(store, whole)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 1}, "--seed 0 → 1"),
        ({"steps": 2}, "--steps 1 → 2"),
        ({"label_mpp": 4.0}, "--label-mpp 8.0 → 4.0"),
        ({"tissue": "all"}, "--tissue auto → all"),
    ],
)
def test_other_settings_do_not_continue_a_store(
    model: CountingModel, whole: Path, changes: dict[str, Any], named: str
):
    config = changed(**changes)
    with pytest.raises(StoreError, match="made with other settings") as caught:
        next(analyze(WatchedSlide(PIXELS), store=whole, model=model, config=config))
    assert named in caught.value.message
    assert "-o" in caught.value.hint
    assert "--fresh" in caught.value.hint


def test_another_slide_or_model_does_not_continue_a_store(
    model: CountingModel, whole: Path, tiny_model: Path, tmp_path: Path
):
    other = PIXELS.copy()
    other[0, 0] = 0
    with pytest.raises(StoreError, match="the slide is another one"):
        next(analyze(WatchedSlide(other), store=whole, model=model, config=CONFIG))
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    card = json.loads((folder / "card.json").read_text())
    card["id"] = "other"
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(StoreError, match="--model tiny-random → other"):
        next(analyze(WatchedSlide(PIXELS), store=whole, model=load_model(str(folder), "cpu")))


def test_another_batch_size_may_continue(model: CountingModel, whole: Path, tmp_path: Path):
    store = shutil.copytree(whole, tmp_path / "s")
    config = changed(batch_size=4)
    drain(analyze(WatchedSlide(PIXELS), store=store, model=model, config=config))
    with AnalysisStore.open(store) as made:
        assert made.provenance["batch_size"] == 4


def test_what_is_unreadable_stays_told_after_a_run_elsewhere(model: CountingModel, tmp_path: Path):
    store = tmp_path / "s"
    broken = WatchedSlide(PIXELS, broken=lambda row, col: (row, col) == (7, 7))
    drain(analyze(broken, store=store, model=model, config=PATCH))
    view = Region(600, 600, 100, 100)
    _, result = drain(analyze(broken, store=store, model=model, config=PATCH, region=view))
    assert result.report["unreadable_tiles"] == 1
    assert any("1 tile (" in note for note in result.notes)
    _, result = drain(analyze(WatchedSlide(PIXELS), store=store, model=model, config=PATCH))
    assert (result.report["unreadable_tiles"], result.report["unreadable_mm2"]) == (0, 0.0)
    assert result.notes == ()


def test_starting_over_forgets_what_was_done(model: CountingModel, whole: Path, tmp_path: Path):
    store = shutil.copytree(whole, tmp_path / "s")
    run = analyze(
        WatchedSlide(PIXELS), store=store, model=model, config=changed(seed=4), fresh=True
    )
    events, _ = drain(run)
    assert not events[0].patch.any()
    assert sum(model.batches) >= tissue_tiles().sum()
    with AnalysisStore.open(store) as made:
        assert made.provenance["config"]["seed"] == 4


def test_a_refused_run_leaves_the_store_that_it_was_to_replace(
    model: CountingModel, whole: Path, tmp_path: Path
):
    store = shutil.copytree(whole, tmp_path / "s")
    with pytest.raises(ConfigError, match="outside the slide"):
        next(
            analyze(
                WatchedSlide(PIXELS), store=store, model=model, config=CONFIG,
                region=Region(9999, 0, 10, 10), fresh=True,
            )
        )  # fmt: skip
    assert_equal(store, whole)
