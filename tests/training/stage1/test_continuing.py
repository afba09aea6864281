"""Going on from a model: what is kept, what learns, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.torch import load_file

from napari_fddm.core.cards import read_card, write_card
from napari_fddm.core.errors import TrainingError
from napari_fddm.models import load_model
from napari_fddm.training.loop import LoopSettings
from napari_fddm.training.stage1 import Stage1Settings, train_stage1
from tests.support.models import write_tiny_model
from tests.support.training import drained, tile_dataset

LOOP = LoopSettings(steps=6, batch_size=4, save_every=2, validate_every=3, lr=3e-3)


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    monkeypatch.setenv("NAPARI_FDDM_FLOAT32", "1")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tile_dataset(tmp_path_factory.mktemp("data") / "x")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "tiny"
    write_tiny_model(folder)
    return folder


def settings(base, tune=None, **changes):
    return Stage1Settings(base=str(base), tune=tune, loop=LOOP, device="cpu", **changes)


def test_heads_learn_and_all_else_stays(tmp_path, dataset, base):
    card = drained(train_stage1(dataset, tmp_path / "new", settings(base)))
    before = read_card(base)
    assert card.training["tune"] == "frozen"
    changed = {name for name, sha in before.files.items() if card.files[name] != sha}
    assert changed == {"heads.safetensors"}
    assert set(card.files) == set(before.files)  # its refiner, too
    assert card.refiner == before.refiner
    assert card.classifier == before.classifier
    # what the base never saw in real tissue, the new one saw
    assert card.real_classes == ("VT", "NC", "NT")
    assert card.trained_on.startswith(before.trained_on.rstrip("."))
    old, new = (load_model(str(f), "cpu") for f in (base, tmp_path / "new"))
    pixels = dataset.read(dataset.indices("val"))
    assert not np.array_equal(old.classify(pixels)[0], new.classify(pixels)[0])
    for was, now in zip(old.embed(pixels), new.embed(pixels), strict=True):
        assert np.array_equal(was, now)


def test_adapters_go_on_from_those_that_there_are(tmp_path, dataset, base):
    first, second = tmp_path / "first", tmp_path / "second"
    drained(train_stage1(dataset, first, settings(base, "lora")))
    card = drained(train_stage1(dataset, second, settings(first, "lora")))
    assert card.training["base"]["arch"] == card.classifier.backbone
    adapters = [load_file(f / "adapter.safetensors") for f in (first, second)]
    assert adapters[0].keys() == adapters[1].keys()
    assert any(bool((adapters[0][k] != adapters[1][k]).any()) for k in adapters[0])
    # one small step away, not begun anew
    gaps = [float((adapters[0][k] - adapters[1][k]).abs().max()) for k in adapters[0]]
    assert max(gaps) < 10 * LOOP.lr * LOOP.steps


def test_a_base_that_does_not_suit_is_refused(tmp_path, dataset, base):
    with pytest.raises(TrainingError, match="full would replace the backbone"):
        drained(train_stage1(dataset, tmp_path / "x", settings(base, "full")))
    with pytest.raises(TrainingError, match="would be overwritten"):
        drained(train_stage1(dataset, base, settings(base)))
    other = tmp_path / "other"
    write_tiny_model(other)
    card = read_card(other)
    write_card(card.model_copy(update={"classes": card.classes[::-1]}), other)
    with pytest.raises(TrainingError, match="has the classes NT, IF"):
        drained(train_stage1(dataset, tmp_path / "y", settings(other)))


def test_shared_features_are_computed_once(tmp_path, dataset, base, monkeypatch):
    shared = tmp_path / "features"
    drained(train_stage1(dataset, tmp_path / "a", settings(base), features=shared))
    made = {p.name: p.stat().st_mtime_ns for p in shared.rglob("*.npy")}
    assert made
    drained(train_stage1(dataset, tmp_path / "b", settings(base), features=shared))
    assert {p.name: p.stat().st_mtime_ns for p in shared.rglob("*.npy")} == made
    heads = [load_file(tmp_path / name / "heads.safetensors") for name in "ab"]
    assert all(bool((heads[0][k] == heads[1][k]).all()) for k in heads[0])
