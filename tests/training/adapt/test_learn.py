"""From strokes in a store to an adapted model that runs, is listed, exported and taken back."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from napari_fddm.core.errors import ConfigError, StoreError, TrainingError, WeightsError
from napari_fddm.core.events import Progressed
from napari_fddm.models import LoadedModel, load_model
from napari_fddm.models.bundle import HEADS_FILE
from napari_fddm.models.registry import adapters_folder, find_model
from napari_fddm.models.weights import check_files, load_tensors
from napari_fddm.pipeline.run import model_cards
from napari_fddm.pipeline.run.analyze import analyze
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.slides import ArraySlide
from napari_fddm.training.adapt import adapt_events
from napari_fddm.training.adapt import learn as adapt_module
from napari_fddm.training.adapt.events import Verdict
from napari_fddm.training.adapt.guidance import NotEnoughStrokesError, count_strokes
from napari_fddm.training.adapt.models import export_adapter, find_adapter, free_name, list_adapters
from napari_fddm.training.adapt.tile_cache import cache_folder
from tests.support.adapting import (
    BLOCKS,
    CONFIG,
    analyzed_store,
    open_tissues,
    paint_blocks,
    truth_at,
    two_tissues,
)
from tests.support.models import write_tiny_model
from tests.support.runs import drain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALL_BUT_ONE = [(r, c) for r in range(BLOCKS) for c in range(BLOCKS - 1)]


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Iterator[LoadedModel]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_FDDM_FLOAT32", "1")
        yield load_model(str(tiny_model), "cpu")


@pytest.fixture(scope="module")
def analyzed(model, tmp_path_factory) -> Path:
    return analyzed_store(tmp_path_factory.mktemp("adapt") / "s.fddm.ome.zarr", model)


@pytest.fixture
def store(analyzed, tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return shutil.copytree(analyzed, tmp_path / "s.fddm.ome.zarr")


def learn(store: Path, model: LoadedModel, name: str = "mine", **options):
    with open_tissues() as slide:
        run = adapt_events(
            slide, store=store, model=model, model_name=str(model.folder), name=name, **options
        )
        return drain(run)


def classes_of_blocks(model: LoadedModel, path: Path) -> np.ndarray:
    """What a model says of the tile in the middle of each block, (4, 4)."""
    with open_tissues() as slide:
        drain(analyze(slide, store=path, model=model, config=CONFIG))
    with AnalysisStore.open(path) as store:
        return store.labels("patch")[1::3, 1::3]


def test_a_model_learns_what_was_painted_and_is_a_model_like_any_other(store, model, tmp_path):
    before = {p: p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()}
    paint_blocks(store, ALL_BUT_ONE)
    painted = {p: p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()}
    assert painted != before
    events, result = learn(store, model)
    assert {p: p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()} == painted
    assert result.folder == adapters_folder() / "mine"
    assert result.verdict.tile_after > result.verdict.tile_before
    assert "12 held-out sites: tiles" in result.in_words
    assert "; used." in result.in_words
    assert any(isinstance(e, Progressed) for e in events)

    assert sorted(p.name for p in result.folder.iterdir()) == ["card.json", HEADS_FILE]
    adapted = load_model("mine", "cpu")
    card = adapted.card
    assert card.id == "tiny-random+mine"
    assert card.base.files == model.card.files
    assert {k for k in card.files if card.files[k] != model.card.files[k]} == {HEADS_FILE}
    about = card.training["adapted"]
    assert about["strokes"]["sites_of"]["VT"] == 6
    assert about["slides"] == [open_tissues().fingerprint]
    assert about["verdict"]["accepted"]
    assert card.real_classes == ("VT", "NC")
    assert model_cards.look_up("mine") == card
    assert set(check_files(result.folder).values()) == {"ok"}

    said = classes_of_blocks(adapted, tmp_path / "again.fddm.ome.zarr")
    truth = np.array([[truth_at(r, c) for c in range(BLOCKS)] for r in range(BLOCKS)])
    assert np.array_equal(said, truth)  # also where nobody painted


def test_the_second_time_the_backbone_is_not_asked(store, model, monkeypatch):
    paint_blocks(store, ALL_BUT_ONE)
    learn(store, model)
    monkeypatch.setattr(LoadedModel, "embed", lambda *_: pytest.fail("the backbone was asked"))
    _, again = learn(store, model, "again")
    assert again.folder is not None
    assert cache_folder(store).is_dir()


def test_a_damaged_cache_is_made_again(store, model):
    paint_blocks(store, ALL_BUT_ONE)
    _, first = learn(store, model)
    (file,) = cache_folder(store).iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    _, again = learn(store, model, "again")
    assert again.verdict == first.verdict
    assert file.stat().st_size > 1000


def test_too_few_places_are_refused_with_advice(store, model):
    paint_blocks(store, [(0, 0), (3, 2)])
    with pytest.raises(
        NotEnoughStrokesError, match="2 places: viable tumor 1, necrosis 1"
    ) as caught:
        learn(store, model)
    assert "there are 2" in caught.value.hint
    assert not list_adapters()
    assert count_strokes(store).sites == 2


def test_what_is_not_better_is_not_kept(store, model, monkeypatch):
    paint_blocks(store, ALL_BUT_ONE)
    monkeypatch.setattr(
        "napari_fddm.training.adapt.judging.fit_heads", lambda heads, *_: heads
    )  # learns nothing
    _, result = learn(store, model)
    assert result.folder is None
    assert "not used" in result.in_words
    assert not list_adapters()


def test_closing_stops_and_keeps_what_was_seen(store, model):
    paint_blocks(store, ALL_BUT_ONE)
    with open_tissues() as slide:
        run = adapt_events(
            slide, store=store, model=model, model_name="m", name="mine", batch_size=8
        )
        for _ in range(4):
            next(run)
        run.close()
    assert not list_adapters()
    (file,) = cache_folder(store).iterdir()
    with np.load(file) as kept:
        assert 0 < len(kept["index"]) < 60


def test_lora_learns_too_and_keeps_its_adapter(store, model, tmp_path):
    paint_blocks(store, ALL_BUT_ONE)
    _, result = learn(store, model, lora=True)
    assert result.folder is not None
    assert result.verdict.sites == 4  # a third is held out
    own = sorted(p.name for p in result.folder.iterdir())
    assert own == ["adapter.safetensors", "card.json", HEADS_FILE]
    adapted = load_model("mine", "cpu")
    assert adapted.card.training["adapted"]["method"] == "lora"
    before = load_tensors(model.folder, "adapter.safetensors", model.card)
    after = load_tensors(result.folder, "adapter.safetensors", adapted.card)
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[k], after[k]) for k in before)
    said = classes_of_blocks(adapted, tmp_path / "again.fddm.ome.zarr")
    assert said[0, 0] == truth_at(0, 0)


def test_what_was_adapted_can_be_adapted_again_and_still_stands_on_the_first_model(
    store, model, monkeypatch
):
    paint_blocks(store, ALL_BUT_ONE)
    learn(store, model)
    first = load_model("mine", "cpu")
    monkeypatch.setattr(Verdict, "accepted", True)  # nothing is left to learn
    with open_tissues() as slide:
        run = adapt_events(
            slide, store=store, model=first, model_name="mine", name="second", lora=True
        )
        _, result = drain(run)
    assert result.folder is not None
    shutil.rmtree(first.folder)
    second = load_model("second", "cpu")
    assert second.card.base.id == "tiny-random"
    assert second.card.training["adapted_before"]["strokes"]["sites"] == 12


def test_an_export_needs_no_other_model(store, model, tmp_path):
    paint_blocks(store, ALL_BUT_ONE)
    learn(store, model)
    adapter = find_adapter("mine")
    export_adapter(adapter, tmp_path / "whole")
    shutil.rmtree(adapter.folder)
    whole = load_model(str(tmp_path / "whole"), "cpu")
    assert whole.card.base is None
    assert whole.card.id == adapter.card.id
    assert whole.identity["files"] == adapter.card.files
    with pytest.raises(StoreError, match="exists already"):
        export_adapter(adapter, tmp_path / "whole")


def test_a_base_that_changed_or_went_is_refused(store, tmp_path):
    base = load_model(str(write_tiny_model(tmp_path / "base", refiner=False, seed=5)), "cpu")
    paint_blocks(store, ALL_BUT_ONE)
    learn(store, base)
    adapter = find_adapter("mine")
    (base.folder / "backbone.safetensors").write_bytes(b"other")
    assert check_files(adapter.folder)["backbone.safetensors"] == "damaged"
    with pytest.raises(WeightsError, match="damaged"):
        load_model("mine", "cpu")
    with pytest.raises(WeightsError, match="not the file"):
        export_adapter(adapter, tmp_path / "whole")
    assert not (tmp_path / "whole").exists()
    shutil.rmtree(base.folder)
    with pytest.raises(WeightsError, match="made from 'tiny-random', which is not there"):
        load_model("mine", "cpu")


def test_names(store, model):
    paint_blocks(store, ALL_BUT_ONE)
    assert free_name() == "adapted-1"
    learn(store, model, "adapted-1")
    assert free_name() == "adapted-2"
    for name, what in (("adapted-1", "already"), ("fddm-small", "already"), ("a/b", "cannot name")):
        with pytest.raises(TrainingError, match=what):
            learn(store, model, name)
    assert [a.name for a in list_adapters()] == ["adapted-1"]
    assert "12 places" in list_adapters()[0].in_words
    with pytest.raises(TrainingError, match="no adapted model 'x'"):
        find_adapter("x")
    assert find_model("adapted-1") == adapters_folder() / "adapted-1"
    broken = adapters_folder() / "broken"
    broken.mkdir()
    (broken / "card.json").write_text(json.dumps({"id": 1}), encoding="utf-8")
    assert [a.name for a in list_adapters()] == ["adapted-1"]


def test_nothing_is_left_of_an_adapter_that_could_not_be_written(store, model, monkeypatch):
    paint_blocks(store, ALL_BUT_ONE)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_fddm.training.adapt.models.write_card", full)
    with pytest.raises(StoreError, match="No space left"):
        learn(store, model)
    assert not list(adapters_folder().glob("*"))


def test_other_slides_and_grids_are_refused(store, model, monkeypatch):
    paint_blocks(store, ALL_BUT_ONE)
    other = ArraySlide(two_tissues(seed=1), mpp=1.0, name="other")
    with pytest.raises(ConfigError, match="another slide"):
        next(adapt_events(other, store=store, model=model, model_name="m", name="mine"))
    coarse = ArraySlide(two_tissues(), mpp=0.5, name="two-tissues")
    monkeypatch.setattr(type(coarse), "fingerprint", open_tissues().fingerprint)
    with pytest.raises(ConfigError, match="other tiles"):
        next(adapt_events(coarse, store=store, model=model, model_name="m", name="mine"))


def test_synthetic_tissue_stays_synthetic(store, model, monkeypatch):
    paint_blocks(store, ALL_BUT_ONE)
    monkeypatch.setattr(adapt_module, "SYNTHETIC", "array")
    _, result = learn(store, model)
    assert result.folder is not None
    assert load_model("mine", "cpu").card.real_tissue is False


def test_lora_learns_from_strokes_over_the_borders_of_tiles(store, model):
    """Such strokes are samples of cells, but of no tile."""
    corners = [(r, c) for r in range(BLOCKS) for c in range(BLOCKS - 1)]
    paint_blocks(store, corners, side=8, shift=16)
    assert count_strokes(store).tiles == 0
    _, result = learn(store, model, lora=True)
    assert result.verdict.tile_before is None
    assert result.verdict.cell_after > result.verdict.cell_before
