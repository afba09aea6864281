"""A run that spreads strokes: they stay, what is around them changes, and it can be taken back."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.core.config import StageName
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.events import RegionRefined
from napari_fddm.core.geometry import Region, Window
from napari_fddm.pipeline.outputs import store_report
from napari_fddm.pipeline.run.analyze import analyze
from napari_fddm.pipeline.stage2.spreading import remaining
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.store.strokes import confirmation_record
from tests.support.runs import CONFIG, PIXELS, WatchedSlide, changed, drain

if TYPE_CHECKING:
    from napari_fddm.core.config import AnalysisConfig
    from napari_fddm.models import LoadedModel

LABEL = 8  # level-0 px per label cell
STROKE = Window(100, 110, 24, 30)  # label cells, well inside the tissue
KINDS = {"refined": CONFIG, "cells": changed(steps=0)}


@pytest.fixture(params=KINDS, scope="module")
def config(request: pytest.FixtureRequest) -> AnalysisConfig:
    return KINDS[request.param]


@pytest.fixture(scope="module")
def finished(
    loaded: LoadedModel, config: AnalysisConfig, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    store = tmp_path_factory.mktemp("spreading") / "s.fddm.ome.zarr"
    run(loaded, store, config)
    return store


@pytest.fixture
def path(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "s.fddm.ome.zarr"))


def run(loaded: LoadedModel, store: Path, config: AnalysisConfig, **options: object):
    return drain(analyze(WatchedSlide(PIXELS), store=store, model=loaded, config=config, **options))


def paint(path: Path, window: Window = STROKE, tool: str = "paint") -> int:
    """Paint a class that the model says nowhere under the stroke; return it."""
    with AnalysisStore.open(path, "r+") as store:
        there = np.unique(store.maps.labels()[window.slices])
        value = min(set(range(1, 8)) - set(there.tolist()))
        store.corrections.write(
            window, np.full((window.height, window.width), value, np.uint8), tool=tool
        )
    return value


def maps(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with AnalysisStore.open(path) as store:
        return store.labels("refined"), store.labels("corrected")


def test_the_stroke_stays_and_its_surroundings_take_its_class(loaded, path, config):
    value = paint(path)
    refined, _ = maps(path)
    events, result = run(loaded, path, config, spread=True)
    after_refined, after_corrected = maps(path)

    # What a person said still stands, and still counts as a correction of the model.
    assert (after_corrected[STROKE.slices] == value).all()
    assert np.array_equal(after_refined[STROKE.slices], refined[STROKE.slices])
    # Around it the model's map has taken the class, and the corrected map with it.
    near = np.zeros(refined.shape, bool)
    near[STROKE.dilated(4).slices] = True
    near[STROKE.slices] = False
    assert (after_refined[near] == value).sum() > (refined[near] == value).sum()
    untouched = np.ones(refined.shape, bool)
    untouched[STROKE.slices] = False
    assert np.array_equal(after_corrected[untouched], after_refined[untouched])
    # The window saw the same.
    seen = np.zeros_like(refined)
    for event in events:
        if isinstance(event, RegionRefined):
            seen[event.window.slices] = event.labels
    assert np.array_equal(seen, after_refined)

    changed_cells = np.count_nonzero(after_refined != refined)
    assert f"strokes were spread: {changed_cells:,} cell" in " ".join(result.notes)
    assert any("not its own alone" in note for note in result.report["notes"])
    (entry,) = result.report["spread"]
    assert entry["painted_cells"] == STROKE.height * STROKE.width


def test_nothing_is_classified_again(loaded, path, config):
    paint(path)
    slide = WatchedSlide(PIXELS)
    drain(analyze(slide, store=path, model=loaded, config=config, spread=True))
    assert slide.tiles_read == []


def test_another_run_takes_it_back(loaded, path, config):
    value = paint(path)
    before = maps(path)
    run(loaded, path, config, spread=True)
    assert not np.array_equal(maps(path)[0], before[0])
    _, result = run(loaded, path, config)
    for now, then in zip(maps(path), before, strict=True):
        assert np.array_equal(now, then)
    assert (before[1][STROKE.slices] == value).all()
    assert result.report["spread"] == []
    assert not any("spread" in note for note in result.report["notes"])


def test_only_the_region_changes_and_a_run_elsewhere_does_not_take_it_back(loaded, path, config):
    paint(path)
    refined, _ = maps(path)
    around = STROKE.dilated(10)
    region = Region(*(n * LABEL for n in (around.y, around.x, around.height, around.width)))
    run(loaded, path, config, spread=True, region=region)
    spread, _ = maps(path)
    rows, cols = np.nonzero(spread != refined)
    with AnalysisStore.open(path) as store:
        ((y, x, height, width),) = [e["window"] for e in store.provenance["spread"]]
    assert rows.size
    assert y <= rows.min() <= rows.max() < y + height
    assert x <= cols.min() <= cols.max() < x + width

    elsewhere = Region(0, 0, 300, 300)
    _, result = run(loaded, path, config, region=elsewhere)
    assert len(result.report["spread"]) == 1
    assert np.array_equal(maps(path)[0], spread)


def test_strokes_that_were_taken_back_or_exclude_spread_nothing(loaded, path, config):
    said = {}
    with AnalysisStore.open(path, "r+") as store:
        said["before"] = store.labels("corrected")[STROKE.slices].copy()
    paint(path)
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.write(STROKE, said["before"], tool="undo")
        store.corrections.write(
            Window(60, 60, 20, 20), np.zeros((20, 20), np.uint8), tool="exclude"
        )
    with pytest.raises(ConfigError, match="nobody painted"):
        run(loaded, path, config, spread=True)


def test_an_undone_stroke_stays_undone_when_another_one_spreads_over_it(loaded, path, config):
    beside = Window(STROKE.y, STROKE.x + STROKE.width + 1, 8, 8)
    with AnalysisStore.open(path) as store:
        model = store.maps.labels()[beside.slices].copy()
    paint(path, beside)
    with AnalysisStore.open(path, "r+") as store:
        store.corrections.write(beside, model, tool="undo")
    paint(path)
    run(loaded, path, config, spread=True)
    _, result = run(loaded, path, config, spread=True)
    assert result.report["spread"][-1]["painted_cells"] == STROKE.height * STROKE.width


def test_what_a_person_confirmed_is_held_fast(loaded, path, config):
    with AnalysisStore.open(path, "r+") as store:
        model = store.maps.labels()
        store.records.append(confirmation_record(model[STROKE.slices], model.shape, STROKE))
    before, _ = maps(path)
    run(loaded, path, config, spread=True)
    assert np.array_equal(maps(path)[0][STROKE.slices], before[STROKE.slices])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fresh": True}, "starts over"),
        ({"revise": True}, "starts over"),
        ({"config": changed(stage="patch")}, "whole tiles"),
        ({"region": Region(1600, 1600, 256, 256)}, "nobody painted where"),
    ],
)
def test_what_cannot_be_spread_is_refused_and_nothing_changes(loaded, path, config, options, words):
    paint(path)
    before = maps(path)
    given = {"config": config} | options
    with pytest.raises(ConfigError, match=words):
        run(loaded, path, spread=True, **given)
    for now, then in zip(maps(path), before, strict=True):
        assert np.array_equal(now, then)
    with AnalysisStore.open(path) as store:
        assert store.maps.complete
        assert store_report(store)["spread"] == []


def test_without_an_analysis_there_is_nothing_to_spread(loaded, tmp_path, config):
    with pytest.raises(ConfigError, match="there is no analysis"):
        run(loaded, tmp_path / "none.ome.zarr", config, spread=True)
    assert not (tmp_path / "none.ome.zarr").exists()


def test_thin_strokes_are_refused(loaded, path, config):
    """One label cell of 8 µm is a quarter of the height of a bridge cell."""
    paint(path, Window(STROKE.y, STROKE.x, 1, 40))
    with pytest.raises(ConfigError, match="half of a cell of 32 µm"):
        run(loaded, path, config, spread=True)


def test_under_strokes_the_models_probabilities_stay(loaded, path, config):
    paint(path)
    with AnalysisStore.open(path) as store:
        before = store.maps.probability_map("refined").probs
        grids = store.geometries
    run(loaded, path, config, spread=True)
    with AnalysisStore.open(path) as store:
        after = store.maps.probability_map("refined").probs
    cells = grids.cell.window_of(grids.label.region_of(STROKE)).dilated(-1).slices
    assert np.array_equal(after[:, *cells], before[:, *cells])
    assert not np.array_equal(after, before)


def test_what_was_never_refined_is_refined_without_strokes_first(loaded, path, config, tmp_path):
    tiles = tmp_path / "tiles.fddm.ome.zarr"
    run(loaded, tiles, config.model_copy(update={"stage": StageName.PATCH}))
    value = paint(tiles)
    run(loaded, tiles, config, spread=True)
    refined, corrected = maps(tiles)
    assert np.array_equal(refined[STROKE.slices], maps(path)[0][STROKE.slices])
    assert (corrected[STROKE.slices] == value).all()


def test_strokes_on_glass_do_not_spread(loaded, path, config):
    paint(path)
    spread = []
    for glass in (False, True):
        if glass:  # beside the tissue, where no model looked
            paint(path, Window(2, 100, 28, 60))
        run(loaded, path, config, spread=True)
        spread.append(maps(path)[0])
        run(loaded, path, config)
    assert np.array_equal(*spread)


def test_an_entry_is_gone_when_a_run_covers_all_of_it():
    entries = [{"window": [10, 10, 5, 5]}, {"window": [0, 0, 30, 30]}]
    assert remaining(entries, Window(10, 10, 5, 5)) == entries[1:]
    assert remaining(entries, Window(10, 10, 5, 4)) == entries
    assert remaining(entries, Window(0, 0, 30, 30)) == []
