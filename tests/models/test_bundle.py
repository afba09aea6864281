"""A model loads whole, or is refused in one line that says which file is at fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_fddm.core.cards import DenoiserSettings, LoraSettings
from napari_fddm.core.errors import ConfigError, WeightsError
from napari_fddm.models import Denoiser, LoadedModel, TileClassifier, load_model
from napari_fddm.models.bundle import (
    ADAPTER_FILE,
    BACKBONE_FILE,
    HEADS_FILE,
    REFINER_FILE,
    with_best_layout,
)
from napari_fddm.models.classifier import build_backbone
from napari_fddm.models.lora import add_lora, lora_state
from napari_fddm.models.weights import sha256_of
from tests.support.models import TINY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    EditCard = Callable[[Callable[[dict[str, Any]], None]], Path]

SCALE = [1.0] * 1001


@pytest.fixture(scope="module", autouse=True)
def float32():
    """Compare numbers in one precision on every machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAPARI_FDDM_FLOAT32", "1")
        yield


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> LoadedModel:
    return load_model(str(tiny_model), "cpu")


def tiles(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 256, 256, 3), np.uint8)


def refusal(load: Callable[[], object]) -> WeightsError:
    with pytest.raises(WeightsError) as caught:
        load()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    return caught.value


def put(folder: Path, edit_card: EditCard, name: str, state: dict[str, torch.Tensor]) -> Path:
    """Replace a weights file, its sha256 included."""
    save_file(state, folder / name)
    return edit_card(lambda card: card["files"].update({name: sha256_of(folder / name)}))


def test_tiles_become_probabilities(model: LoadedModel):
    tile_probs, cell_probs = model.classify(tiles(3))
    assert (tile_probs.shape, cell_probs.shape) == ((3, 7), (3, 7, 8, 8))
    assert tile_probs.dtype == cell_probs.dtype == np.float32
    np.testing.assert_allclose(tile_probs.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(cell_probs.sum(axis=1), 1, atol=1e-5)
    assert min(tile_probs.min(), cell_probs.min()) >= 0


def test_a_tile_is_judged_alone_whatever_shares_its_batch(model: LoadedModel):
    """What bit-equality of viewports rests on: the batch's shape counts, its content does not."""
    batch, other = tiles(4), tiles(4, seed=1)
    shuffled = np.stack([other[0], batch[2], other[1], batch[0]])
    for first, second in zip(model.classify(batch), model.classify(shuffled), strict=True):
        assert np.array_equal(second[1], first[2])
        assert np.array_equal(second[3], first[0])


def test_the_adapter_is_part_of_the_loaded_model(
    model: LoadedModel, model_folder: Path, edit_card: EditCard
):
    def forget_adapter(card: dict[str, Any]) -> None:
        card["files"].pop(ADAPTER_FILE)

    without = load_model(str(edit_card(forget_adapter)), "cpu")
    assert not np.array_equal(without.classify(tiles(1))[0], model.classify(tiles(1))[0])


def test_loading_twice_gives_the_same_numbers(model: LoadedModel, tiny_model: Path):
    torch.manual_seed(12345)  # what a network is filled with before it is loaded
    again = load_model(str(tiny_model), "cpu")
    for first, second in zip(model.classify(tiles(2)), again.classify(tiles(2)), strict=True):
        assert np.array_equal(first, second)
    denoisers = [m.load_denoiser(SCALE).state_dict() for m in (model, again)]
    assert all(torch.equal(v, denoisers[1][k]) for k, v in denoisers[0].items())


def test_identity_names_every_file(model: LoadedModel, tiny_model: Path):
    names = (BACKBONE_FILE, ADAPTER_FILE, HEADS_FILE, REFINER_FILE)
    assert model.identity["files"] == {name: sha256_of(tiny_model / name) for name in names}
    assert model.identity["id"] == "tiny-random"
    assert model.identity["real_tissue"] is False


def test_networks_are_ready_to_judge_not_to_learn(model: LoadedModel):
    assert not model.classifier.training
    assert not model.load_denoiser(SCALE).training


@pytest.mark.parametrize("name", [BACKBONE_FILE, ADAPTER_FILE, HEADS_FILE])
def test_each_file_of_stage_one_is_needed_and_checked(model_folder: Path, name: str):
    (model_folder / name).write_bytes(b"\0" * 100)
    assert name in refusal(lambda: load_model(str(model_folder), "cpu")).message
    (model_folder / name).unlink()
    assert name in refusal(lambda: load_model(str(model_folder), "cpu")).message


def test_the_refiner_is_read_on_demand_and_checked(model_folder: Path):
    (model_folder / REFINER_FILE).unlink()
    loaded = load_model(str(model_folder), "cpu")
    assert REFINER_FILE in refusal(lambda: loaded.load_denoiser(SCALE)).message


@pytest.mark.parametrize("fault", ["rank", "blocks", "empty"])
def test_an_adapter_that_does_not_fit_is_refused(
    model_folder: Path, edit_card: EditCard, fault: str
):
    options = {**TINY.backbone_options, "depth": 3 if fault == "blocks" else 2}
    rank = LoraSettings(r=2 if fault == "rank" else 4, lora_alpha=8)
    state = lora_state(add_lora(build_backbone(TINY.backbone, **options), rank))
    folder = put(model_folder, edit_card, ADAPTER_FILE, {} if fault == "empty" else state)
    error = refusal(lambda: load_model(str(folder), "cpu"))
    assert ADAPTER_FILE in error.message
    assert "does not fit" in error.message


def test_a_backbone_of_another_size_is_refused(model_folder: Path, edit_card: EditCard):
    other = build_backbone(TINY.backbone, **{**TINY.backbone_options, "embed_dim": 32})
    folder = put(model_folder, edit_card, BACKBONE_FILE, other.state_dict())
    error = refusal(lambda: load_model(str(folder), "cpu"))
    assert BACKBONE_FILE in error.message
    assert "size mismatch" in error.message


def test_heads_for_other_classes_are_refused(model_folder: Path, edit_card: EditCard):
    heads = load_file(model_folder / HEADS_FILE)
    shorter = {k: v[:5].clone() if v.shape[0] == 7 else v for k, v in heads.items()}
    folder = put(model_folder, edit_card, HEADS_FILE, shorter)
    assert HEADS_FILE in refusal(lambda: load_model(str(folder), "cpu")).message


def test_a_missing_head_is_refused(model_folder: Path, edit_card: EditCard):
    heads = load_file(model_folder / HEADS_FILE)
    tile_only = {k: v for k, v in heads.items() if k.startswith("tile_head")}
    folder = put(model_folder, edit_card, HEADS_FILE, tile_only)
    assert "cell_head" in refusal(lambda: load_model(str(folder), "cpu")).message


def test_the_refiner_of_another_model_is_refused(model_folder: Path, edit_card: EditCard):
    other = Denoiser(DenoiserSettings(widths=(16, 32), layers=1), SCALE)
    folder = put(model_folder, edit_card, REFINER_FILE, other.state_dict())
    loaded = load_model(str(folder), "cpu")
    error = refusal(lambda: loaded.load_denoiser(SCALE))
    assert REFINER_FILE in error.message
    assert "does not fit" in error.message


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["classifier"].update(backbone="no_such_network"),
        lambda c: c["classifier"]["backbone_options"].update(nonsense=1),
        lambda c: c["classifier"]["backbone_options"].update(embed_dim=25),
        lambda c: c["classifier"]["backbone_options"].update(num_heads=-1),
        lambda c: c["classifier"].update(input_px=17),
        lambda c: c["classifier"]["lora"].update(target_modules="nothing"),
        lambda c: c["classifier"]["lora"].update(target_modules="(("),
    ],
)
def test_a_card_that_describes_no_network_is_refused(
    edit_card: EditCard, change: Callable[[dict[str, Any]], None]
):
    folder = edit_card(change)
    assert str(folder) in refusal(lambda: load_model(str(folder), "cpu")).message


def test_a_card_with_an_impossible_refiner_is_refused(edit_card: EditCard):
    folder = edit_card(lambda c: c["refiner"]["denoiser"].update(widths=[5, 7]))
    loaded = load_model(str(folder), "cpu")
    assert "card.json" in refusal(lambda: loaded.load_denoiser(SCALE)).message


def test_a_model_without_a_second_stage_says_so(edit_card: EditCard):
    loaded = load_model(str(edit_card(lambda card: card.update(refiner=None))), "cpu")
    assert not loaded.can_refine
    assert "--steps 0" in refusal(lambda: loaded.load_denoiser(SCALE)).hint


def test_a_wrong_device_is_an_error_of_the_settings(tiny_model: Path):
    with pytest.raises(ConfigError, match="device"):
        load_model(str(tiny_model), "abacus")


@pytest.mark.parametrize(("name", "last"), [("resnet18", True), (TINY.backbone, False)])
def test_convolutions_keep_channels_last_and_answer_the_same(name: str, last: bool):
    options = TINY.backbone_options if name == TINY.backbone else {}
    torch.manual_seed(0)
    network = TileClassifier(
        build_backbone(name, **options), 7, input_px=64, mean=TINY.mean, std=TINY.std
    ).eval()
    batch = torch.from_numpy(tiles(2))
    with torch.inference_mode():
        before = network(batch)
        after = with_best_layout(network, torch.device("cpu"))(batch)
        prepared = network.preprocess(batch)
    torch.testing.assert_close(after.tile, before.tile, atol=1e-4, rtol=1e-4)
    assert prepared.is_contiguous(memory_format=torch.channels_last)
    weights = [p for p in network.backbone.parameters() if p.dim() == 4 and min(p.shape[1:]) > 1]
    kept = [p.is_contiguous(memory_format=torch.channels_last) for p in weights]
    assert all(kept) if last else not any(kept)


def test_a_network_much_larger_than_its_file_is_not_built(edit_card: EditCard):
    """It would have 12 million weights in each of its blocks, together 24 GB."""
    options = {"embed_dim": 1024, "num_heads": 16, "depth": 500}
    folder = edit_card(lambda c: c["classifier"]["backbone_options"].update(options))
    assert "million values" in refusal(lambda: load_model(str(folder), "cpu")).message


def test_a_refiner_much_larger_than_its_file_is_not_built(edit_card: EditCard):
    widths = {"widths": [4096] * 8, "layers": 16}
    loaded = load_model(str(edit_card(lambda c: c["refiner"]["denoiser"].update(widths))), "cpu")
    assert "million values" in refusal(lambda: loaded.load_denoiser(SCALE)).message


def test_a_refiner_for_other_classes_is_refused(edit_card: EditCard):
    loaded = load_model(str(edit_card(lambda c: c["refiner"]["denoiser"].update(classes=5))), "cpu")
    assert "7 classes, but its refiner 5" in refusal(lambda: loaded.load_denoiser(SCALE)).message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(
    model_folder: Path, edit_card: EditCard, value: float
):
    heads = load_file(model_folder / HEADS_FILE)
    name = next(iter(heads))
    heads[name].view(-1)[0] = value
    error = refusal(lambda: load_model(str(put(model_folder, edit_card, HEADS_FILE, heads)), "cpu"))
    assert name in error.message
    assert "finite" in error.message
