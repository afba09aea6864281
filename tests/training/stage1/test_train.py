"""Stage 1 from a dataset to a model that classifies as the trained network did."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_fddm.core.cards import read_card
from napari_fddm.core.errors import DataError, TrainingError, WeightsError
from napari_fddm.models import load_model
from napari_fddm.models.classifier import build_backbone
from napari_fddm.models.weights import tensors_sha256
from napari_fddm.training.loop import LoopSettings
from napari_fddm.training.stage1 import Stage1Settings, architectures, train_stage1
from napari_fddm.training.stage1.architectures import Architecture, find_architecture, load_backbone
from tests.support.training import drained, tile_dataset

VIT, CNN = "test_vit.r160_in1k", "test_resnet.r160_in1k"

LOOP = LoopSettings(steps=8, batch_size=4, save_every=2, validate_every=4, lr=3e-3)


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    monkeypatch.setenv("NAPARI_FDDM_FLOAT32", "1")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tile_dataset(tmp_path_factory.mktemp("data") / "x")


@pytest.fixture
def small_radiomics_os(monkeypatch):
    """The very arms of RadiomicsOS on a backbone that trains in seconds."""
    network = Architecture(
        CNN, input_px=64, tune="full", tree=True, radiomics=("first_order", "glcm")
    )
    monkeypatch.setitem(architectures.KNOWN, "radiomics-os", network)


def settings(arch, **changes):
    values = {"arch": arch, "random_init": True, "input_px": 64, "loop": LOOP, "device": "cpu"}
    return Stage1Settings(**(values | changes))


def predictions(folder, dataset):
    return load_model(str(folder), "cpu").classify(dataset.read(dataset.indices("val")))


@pytest.mark.parametrize(
    ("arch", "tune"),
    [(VIT, "lora"), (VIT, "full"), (VIT, "frozen"), (CNN, "full"), (CNN, "frozen")],
)
def test_every_way_of_training_gives_a_model_that_runs(tmp_path, dataset, arch, tune):
    card = drained(train_stage1(dataset, tmp_path, settings(arch, tune=tune)))
    tiles, cells = predictions(tmp_path, dataset)
    said = tiles.argmax(axis=1)
    matrix = np.array(card.metrics["val"]["model"]["confusion"])
    truth = dataset.values[dataset.indices("val")] - 1
    assert matrix.sum() == len(truth) == 6
    # the folder's model says what the trained network said
    again = np.zeros_like(matrix)
    np.add.at(again, (truth, said), 1)
    assert np.array_equal(again, matrix)
    assert cells.shape == (6, 7, 8, 8)
    assert card == read_card(tmp_path)
    assert card.real_classes == ("VT", "NC", "NT")
    assert card.training["result"]["best_step"] in (4, 8)
    assert set(card.metrics["val"]["color alone"]["cases"]) == {"c"}
    assert ("adapter.safetensors" in card.files) == (tune == "lora")


@pytest.mark.parametrize("tune", ["lora", "frozen"])
def test_radiomics_can_be_switched_on_for_any_network(tmp_path, dataset, tune):
    chosen = settings(VIT, tune=tune, radiomics=("first_order", "glcm"))
    card = drained(train_stage1(dataset, tmp_path, chosen))
    assert card.classifier.radiomics == ("first_order", "glcm")
    assert set(card.metrics["radiomics"]["gate"]) == {"image", "radiomics"}
    assert predictions(tmp_path, dataset)[0].shape == (6, 7)


def test_only_what_is_tuned_changes(tmp_path, dataset):
    for tune in ("lora", "frozen"):
        drained(train_stage1(dataset, tmp_path / tune, settings(VIT, tune=tune)))
        backbone, _ = load_backbone(find_architecture(VIT), None, random_init=True, seed=LOOP.seed)
        stored = load_file(tmp_path / tune / "backbone.safetensors")
        assert tensors_sha256(stored) == tensors_sha256(backbone.state_dict())
    adapter = load_file(tmp_path / "lora" / "adapter.safetensors")
    assert any(v.abs().sum() > 0 for k, v in adapter.items() if "lora_B" in k)


def test_colors_are_learned_in_a_few_steps(tmp_path, dataset):
    loop = LoopSettings(steps=60, batch_size=8, validate_every=20, lr=3e-3)
    card = drained(train_stage1(dataset, tmp_path, settings(CNN, tune="full", loop=loop)))
    assert card.metrics["val"]["model"]["balanced_accuracy"] > 0.9
    assert card.metrics["val"]["color alone"]["balanced_accuracy"] > 0.9
    assert card.metrics["val"]["chance"] == pytest.approx(1 / 3, abs=1e-3)


@pytest.mark.parametrize(
    ("arch", "tune"),
    [
        (VIT, "lora"),
        (CNN, "full"),
        pytest.param("radiomics-os", "full", marks=pytest.mark.thorough),
    ],
)
def test_a_stopped_training_gives_the_same_files(tmp_path, dataset, arch, tune, small_radiomics_os):
    whole = drained(train_stage1(dataset, tmp_path / "m", settings(arch, tune=tune)))
    run = train_stage1(dataset, tmp_path / "n" / "m", settings(arch, tune=tune))
    for event in run:
        if event.what.startswith("loss") and event.done == 5:
            break
    del run
    again = drained(train_stage1(dataset, tmp_path / "n" / "m", settings(arch, tune=tune)))
    assert again.files == whole.files
    assert again.metrics == whole.metrics


@pytest.mark.thorough
def test_radiomics_os_fuses_and_says_what_counts(tmp_path, dataset, small_radiomics_os):
    card = drained(train_stage1(dataset, tmp_path, settings("radiomics-os")))
    assert card.classifier.tree == ("VT", "NC", "NT")
    assert card.classifier.radiomics == ("first_order", "glcm")
    told = card.metrics["radiomics"]
    assert sum(told["gate"].values()) == pytest.approx(1, abs=1e-3)
    assert len(told["importance"]) == 30
    assert card.training["loss"] == "hierarchical"
    assert all(0.2 <= w <= 3 for w in card.training["level_weights"])
    tiles, _ = predictions(tmp_path, dataset)
    np.testing.assert_allclose(tiles.sum(axis=1), 1, atol=1e-5)
    assert (tiles[:, [0, 3, 4, 5]] == 0).all()


@pytest.mark.thorough
def test_a_backbone_that_may_not_be_passed_on_stays_where_it_is(tmp_path, dataset, monkeypatch):
    network = Architecture(VIT, {"dynamic_img_size": True}, source="hf:Owner/Gated", input_px=64)
    monkeypatch.setitem(architectures.KNOWN, "gated", network)
    place = tmp_path / "backbones" / "Owner" / "Gated" / "model.safetensors"
    place.parent.mkdir(parents=True)
    torch.manual_seed(0)
    save_file(build_backbone(VIT, dynamic_img_size=True).state_dict(), place)
    monkeypatch.setenv("NAPARI_FDDM_BACKBONES", str(tmp_path / "backbones"))
    card = drained(train_stage1(dataset, tmp_path / "m", settings("gated", random_init=False)))
    assert "backbone.safetensors" not in card.files
    assert not (tmp_path / "m" / "backbone.safetensors").exists()
    assert card.classifier.backbone_source == "hf:Owner/Gated"
    predictions(tmp_path / "m", dataset)
    save_file({k: v + 1 for k, v in load_file(place).items()}, place)
    with pytest.raises(WeightsError, match="not the backbone"):
        predictions(tmp_path / "m", dataset)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"arch": "no_such_net"}, TrainingError, "no_such_net"),
        ({"arch": CNN, "tune": "lora"}, TrainingError, "no attention"),
        ({"tune": "half"}, TrainingError, "--tune"),
        ({"loss": "dice"}, TrainingError, "--loss"),
        ({"random_init": False, "weights": "absent"}, WeightsError, "absent"),
        ({"random_init": False, "weights": "other"}, WeightsError, "does not fit"),
        ({"input_px": 70}, WeightsError, "multiple"),
    ],
)
def test_what_cannot_be_trained_is_refused(tmp_path, dataset, changes, error, words):
    if changes.get("weights"):
        changes = {**changes, "weights": tmp_path / changes["weights"]}
    save_file(build_backbone(CNN).state_dict(), tmp_path / "other")
    with pytest.raises(error, match=words):
        drained(train_stage1(dataset, tmp_path / "m", settings(**({"arch": VIT} | changes))))


def test_without_a_connection_nothing_is_random_silently(tmp_path, dataset, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def unreachable(*_args, **_options):
        raise OSError("offline")

    monkeypatch.setattr("timm.create_model", unreachable)
    with pytest.raises(WeightsError, match="cannot be fetched") as caught:
        drained(train_stage1(dataset, tmp_path, settings(VIT, random_init=False)))
    assert "--weights" in caught.value.hint


def test_data_without_anything_to_tell_apart_are_refused(tmp_path, dataset, monkeypatch):
    monkeypatch.setitem(vars(dataset), "values", np.full(len(dataset.values), 2, np.uint8))
    with pytest.raises(DataError, match="one class only"):
        drained(train_stage1(dataset, tmp_path, settings(VIT)))
