"""One analysis from slide to store: what it says, keeps, repeats and refuses."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_fddm.core.config import AnalysisConfig
from napari_fddm.core.errors import ConfigError, MppError, SlideError, StoreError, WeightsError
from napari_fddm.core.events import (
    AnalysisOpened,
    RegionRefined,
    StageDone,
    TileBatch,
)
from napari_fddm.core.geometry import Region
from napari_fddm.models import LoadedModel
from napari_fddm.pipeline.run.analyze import analyze
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.slides.bins import cells_on_stored
from napari_fddm.slides.synthetic import SyntheticSlide
from tests.support.runs import (
    CONFIG,
    PATCH,
    PIXELS,
    SIDE,
    CountingModel,
    WatchedSlide,
    assert_equal,
    changed,
    contents,
    drain,
    mosaic,
    stages,
    tissue_tiles,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_a_whole_run_on_a_synthetic_slide(model: CountingModel, tmp_path: Path):
    slide = SyntheticSlide(2200, 2900, mpp=0.5, seed=3)
    store = tmp_path / "s.fddm.ome.zarr"
    events, result = drain(analyze(slide, store=store, model=model, config=CONFIG))

    opened = events[0]
    assert isinstance(opened, AnalysisOpened)
    assert opened.store == str(store)
    assert opened.model["id"] == "tiny-random"
    assert not (opened.patch.any())
    assert not (opened.automatic.any())
    assert not (opened.corrected.any())
    assert stages(events) == ["tissue", "patch", "refined", "store"]
    assert [e.stage for e in events if isinstance(e, StageDone)] == stages(events)

    for kind in (TileBatch, RegionRefined):
        steps = [e for e in events if isinstance(e, kind)]
        assert [e.done for e in steps] == sorted({e.done for e in steps})
        assert {e.total for e in steps} == {steps[-1].done}

    with AnalysisStore.open(store) as made:
        assert made.maps.complete
        made.validate()
        patch, refined = made.labels("patch"), made.labels("refined")
        assert np.array_equal(made.labels("corrected"), refined)
        assert made.maps.overview().shape == (*refined.shape, 3)
        assert made.maps.overview().std() > 5
    seen_patch, seen_refined = np.zeros_like(patch), np.zeros_like(refined)
    for event in events:
        if isinstance(event, TileBatch):
            seen_patch[event.rows, event.cols] = event.labels
        elif isinstance(event, RegionRefined):
            seen_refined[event.window.slices] = event.labels
    assert np.array_equal(seen_patch, patch)
    assert np.array_equal(seen_refined, refined)
    assert result.store == store
    assert result.notes == ()
    assert json.loads(json.dumps(result.to_json()))["report"] == result.report
    assert result.report["coverage"] > 0.99


def test_tiles_near_the_middle_come_first(model: CountingModel, tmp_path: Path):
    slide = WatchedSlide(PIXELS)
    events, _ = drain(analyze(slide, store=tmp_path / "s", model=model, config=PATCH))
    places = np.concatenate(
        [np.stack([e.rows, e.cols], 1) for e in events if isinstance(e, TileBatch)]
    )
    distance = ((places + 0.5 - 5.5) ** 2).sum(axis=1)
    assert (np.diff(distance) >= 0).all()


def test_only_tissue_is_classified_unless_all_is_wanted(model: CountingModel, tmp_path: Path):
    drain(analyze(WatchedSlide(PIXELS), store=tmp_path / "auto", model=model, config=PATCH))
    everything = changed(stage="patch", tissue="all")
    drain(analyze(WatchedSlide(PIXELS), store=tmp_path / "all", model=model, config=everything))
    found, every = (contents(tmp_path / n)["patch coverage"] for n in ("auto", "all"))
    assert np.array_equal(found, tissue_tiles())
    assert every.all()


def test_the_patch_stage_stops_after_the_tiles_and_can_be_refined_later(
    model: CountingModel, whole: Path, tmp_path: Path
):
    store, slide = tmp_path / "s", WatchedSlide(PIXELS)
    events, result = drain(analyze(slide, store=store, model=model, config=PATCH))
    assert stages(events) == ["tissue", "patch", "store"]
    assert not contents(store)["refined"].any()
    assert result.report["coverage"] == pytest.approx(1.0)
    classified = len(model.batches)
    events, _ = drain(analyze(slide, store=store, model=model, config=CONFIG))
    assert "refined" in stages(events)
    assert len(model.batches) == classified
    assert_equal(store, whole)


def test_a_slide_without_tissue_ends_well(model: CountingModel, tmp_path: Path):
    blank = WatchedSlide(np.full((1500, 1500, 3), 245, np.uint8))
    _, result = drain(analyze(blank, store=tmp_path / "s", model=model, config=CONFIG))
    assert model.batches == []
    assert (result.report["rate"], result.report["reason"]) == (None, "nothing was analyzed")
    assert result.report["coverage"] is None
    assert result.report["tissue_excluded_mm2"] == pytest.approx(1.5**2)
    assert any("no tissue where this run looks" in note for note in result.notes)


def test_a_run_on_tissue_does_not_say_that_there_is_none(model: CountingModel, tmp_path: Path):
    _, result = drain(
        analyze(WatchedSlide(PIXELS), store=tmp_path / "s", model=model, config=PATCH)
    )
    assert not any("no tissue" in note for note in result.notes)


def test_a_slide_smaller_than_a_tile(model: CountingModel, tmp_path: Path):
    small = WatchedSlide(mosaic(100, 130))
    _, result = drain(analyze(small, store=tmp_path / "s", model=model, config=CONFIG))
    assert model.batches == [16]
    assert result.report["coverage"] == pytest.approx(1.0)
    assert contents(tmp_path / "s")["refined"].all()


# Damaged slides -------------------------------------------------------------------------


def test_a_few_unreadable_tiles_are_left_out_and_reported(model: CountingModel, tmp_path: Path):
    slide = WatchedSlide(PIXELS, broken=lambda row, col: (row, col) == (4, 6))
    _, result = drain(analyze(slide, store=tmp_path / "s", model=model, config=CONFIG))
    found = contents(tmp_path / "s")
    missing = tissue_tiles() & ~found["patch coverage"]
    assert np.argwhere(missing).tolist() == [[4, 6]]
    assert not found["refined"][4 * 32 : 5 * 32, 6 * 32 : 7 * 32].any()
    assert found["refined"][4 * 32 : 5 * 32, 5 * 32 : 6 * 32].all()
    (note,) = (n for n in result.notes if "could not be read" in n)
    assert note.startswith("1 tile (0.0655 mm²) could not be read")
    assert result.report["unreadable_tiles"] == 1
    assert result.report["unreadable_mm2"] == pytest.approx(0.256**2)
    assert any("overview has" in note for note in result.notes)
    assert result.report["notes"][1:] == list(result.notes)
    assert 0.97 < result.report["coverage"] < 1.0
    # 57 tiles of the mosaic hold no tissue; the slide's area is the sum of its parts.
    counted = sum(result.report["areas_mm2"].values())
    left_out = result.report["tissue_excluded_mm2"]
    assert counted + left_out + 0.256**2 == pytest.approx(result.report["slide_mm2"], rel=1e-3)
    assert left_out == pytest.approx(2.6**2 - (8 * 0.256) ** 2)


class UnfinishedSlide(WatchedSlide):
    """A slide whose writer stored nothing below its tile row 5 (1280 px); white stands there."""

    def __init__(self, *, glass: bool = False) -> None:
        pixels = PIXELS.copy()
        pixels[1280:] = 255
        super().__init__(pixels)
        self._glass = glass

    def stored_mask(self, shape):
        return cells_on_stored(np.arange(11)[:, None] < 5, (256, SIDE), shape, (SIDE, SIDE))

    @property
    def leaves_out_glass(self) -> bool:
        return self._glass


def test_what_was_never_stored_is_tissue_that_is_not_covered(model: CountingModel, tmp_path: Path):
    _, result = drain(analyze(UnfinishedSlide(), store=tmp_path / "s", model=model, config=CONFIG))
    report, found = result.report, contents(tmp_path / "s")
    assert found["patch coverage"][:5].any()
    assert not found["patch coverage"][5:].any()
    assert report["not_stored_tiles"] == 6 * 11
    assert report["not_stored_mm2"] == pytest.approx((2600 - 1280) * 2600 / 1e6)
    (note,) = (n for n in result.notes if "no stored pixels" in n)
    assert note == "66 tiles (3.43 mm²) have no stored pixels and are not analyzed"
    stored = 880 * 1800  # tissue of the mosaic above row 1280
    assert report["coverage"] == pytest.approx(stored / (stored + 1320 * 2600), abs=0.02)
    assert note in report["notes"]


def test_glass_that_a_scanner_left_out_is_no_tissue(model: CountingModel, tmp_path: Path):
    slide = UnfinishedSlide(glass=True)
    _, result = drain(analyze(slide, store=tmp_path / "s", model=model, config=PATCH))
    assert result.report["not_stored_tiles"] == 0
    assert result.report["coverage"] == pytest.approx(1.0)
    everything = changed(stage="patch", tissue="all")
    _, result = drain(analyze(slide, store=tmp_path / "all", model=model, config=everything))
    assert result.report["not_stored_tiles"] == 66
    assert result.report["coverage"] == pytest.approx(1280 / 2600, abs=0.01)


def test_a_mended_slide_fills_the_gaps(model: CountingModel, whole: Path, tmp_path: Path):
    broken = WatchedSlide(PIXELS, broken=lambda row, col: (row, col) == (4, 6))
    drain(analyze(broken, store=tmp_path / "s", model=model, config=CONFIG))
    model.batches.clear()
    mended = WatchedSlide(PIXELS)
    _, result = drain(analyze(mended, store=tmp_path / "s", model=model, config=CONFIG))
    assert model.batches == [16]
    assert result.notes == ()
    assert_equal(tmp_path / "s", whole)


def test_too_many_unreadable_tiles_end_as_an_error_and_the_rest_is_kept(
    model: CountingModel, tmp_path: Path
):
    store = tmp_path / "s"
    slide = WatchedSlide(PIXELS, broken=lambda row, col: col < 3)
    with pytest.raises(SlideError, match="cannot be read") as caught:
        drain(analyze(slide, store=store, model=model, config=CONFIG))
    assert str(store) in caught.value.hint
    found = contents(store)
    assert found["patch coverage"].any()
    assert found["refined"].any()
    with AnalysisStore.open(store) as made:
        made.validate()
        assert not made.maps.complete


def test_damage_beside_a_viewport_does_not_fail_it(model: CountingModel, tmp_path: Path):
    slide = WatchedSlide(PIXELS, broken=lambda row, col: (row, col) == (7, 7))
    view = Region(600, 600, 200, 200)
    _, result = drain(analyze(slide, store=tmp_path / "s", model=model, config=CONFIG, region=view))
    assert any("1 tile (" in note for note in result.notes)


# Refusals -------------------------------------------------------------------------------


def test_a_slide_without_pixel_size_is_refused(model: CountingModel, tmp_path: Path):
    with pytest.raises(MppError, match="how large its pixels are") as caught:
        next(analyze(WatchedSlide(PIXELS, mpp=None), store=tmp_path / "s", model=model))
    assert "--mpp" in caught.value.hint
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    "region",
    [
        Region(SIDE, 0, 100, 100),
        Region(0, -500, 100, 500),
        Region(100, 100, 0, 50),
        Region(1e9, 1e9, 1, 1),
    ],
)
def test_a_region_outside_is_refused_before_anything_is_written(
    model: CountingModel, tmp_path: Path, region: Region
):
    run = analyze(WatchedSlide(PIXELS), store=tmp_path / "s", model=model, region=region)
    with pytest.raises(ConfigError, match="outside the slide of 2600 × 2600 px"):
        next(run)
    assert not (tmp_path / "s").exists()


def test_a_model_without_a_refiner_is_refused_before_the_work(loaded: LoadedModel, tmp_path: Path):
    card = loaded.card.model_copy(update={"refiner": None})
    model = CountingModel(LoadedModel(loaded.folder, card, loaded.compute))
    with pytest.raises(WeightsError, match="no refiner") as caught:
        next(analyze(WatchedSlide(PIXELS), store=tmp_path / "s", model=model, config=CONFIG))
    assert "--steps 0" in caught.value.hint
    assert "--stage patch" in caught.value.hint
    assert not (tmp_path / "s").exists()
    drain(analyze(WatchedSlide(PIXELS), store=tmp_path / "s", model=model, config=PATCH))
    assert sum(model.batches) >= tissue_tiles().sum()


@pytest.fixture
def without_refiner(loaded: LoadedModel) -> CountingModel:
    card = loaded.card.model_copy(update={"refiner": None})
    return CountingModel(LoadedModel(loaded.folder, card, loaded.compute))


def test_without_a_step_cells_have_the_class_of_stage_1(
    without_refiner: CountingModel, tmp_path: Path
):
    store = tmp_path / "s"
    cells = changed(steps=0)
    drain(analyze(WatchedSlide(PIXELS), store=store, model=without_refiner, config=cells))
    with AnalysisStore.open(store) as made:
        said, kept = made.maps.probability_map("cell"), made.maps.probability_map("refined")
        assert kept.coverage.any()
        shown = said.coverage & kept.coverage
        np.testing.assert_allclose(kept.probs[:, shown], said.probs[:, shown], atol=1e-3)
        labels = made.labels("refined")
        assert len(np.unique(labels[labels > 0])) > 1


def test_without_a_step_a_window_needs_the_next_tile_alone(
    without_refiner: CountingModel, tmp_path: Path
):
    cells, everything = changed(steps=0), tmp_path / "all"
    drain(analyze(WatchedSlide(PIXELS), store=everything, model=without_refiner, config=cells))
    window = Region(4 * 256, 4 * 256, 256, 2 * 256)  # tile 4 by tiles 4 and 5
    part = analyze(
        WatchedSlide(PIXELS),
        store=tmp_path / "part",
        model=without_refiner,
        config=cells,
        region=window,
    )
    events, _ = drain(part)
    tiles = np.concatenate(
        [np.stack([e.rows, e.cols], 1) for e in events if isinstance(e, TileBatch)]
    )
    assert {*map(tuple, tiles)} == {*product((3, 4, 5), (3, 4, 5, 6))}
    found, whole = (contents(tmp_path / name)["refined"] for name in ("part", "all"))
    assert found.any()
    assert np.array_equal(found[found > 0], whole[found > 0])


def test_a_model_of_other_classes_is_refused(loaded: LoadedModel, tmp_path: Path):
    model = CountingModel(loaded)
    model.card = loaded.card.model_copy(
        update={"classes": ("BG", "VT", "NC", "FH", "HC", "NT", "IF")}
    )
    with pytest.raises(WeightsError, match="has the classes BG, VT, NC, FH, HC, NT, IF"):
        next(analyze(WatchedSlide(PIXELS), store=tmp_path / "s", model=model))


def test_a_folder_of_something_else_is_no_store(model: CountingModel, tmp_path: Path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.txt").write_text("mine")
    with pytest.raises(StoreError):
        next(analyze(WatchedSlide(PIXELS), store=tmp_path / "s", model=model))
    assert [p.name for p in (tmp_path / "s").iterdir()] == ["thesis.txt"]


def test_provenance_is_enough_to_repeat_a_run(whole: Path, loaded: LoadedModel):
    with AnalysisStore.open(whole) as store:
        made = store.provenance
    assert made["slide"]["fingerprint"] == WatchedSlide(PIXELS).fingerprint
    assert made["slide"]["mpp"] == 1.0
    assert made["model"]["files"] == loaded.card.files
    assert AnalysisConfig(**made["config"]) == CONFIG
    assert {"torch", "timm", "peft", "diffusers", "numpy", "python"} <= set(made["versions"])
    assert made["dtype"] == "float32"
    assert made["threads"] >= 1
    assert made["device"].startswith("CPU")
