"""The training loops: truth stays with its pixels, and a stopped training goes on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fddm.models.classifier import TileClassifier, build_backbone
from napari_fddm.models.device import ComputeDevice
from napari_fddm.models.lora import add_lora
from napari_fddm.training.checkpoint import load_checkpoint, save_checkpoint
from napari_fddm.training.classifier import (
    ClassifierTraining,
    augment,
    learning_rate_factor,
    train_classifier,
)
from napari_fddm.training.synthetic_data import (
    TileSet,
    block_majority,
    load_or_make_tiles,
)
from tests.support.models import TINY

CPU = ComputeDevice(torch.device("cpu"), torch.float32, "CPU, float32")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_majority_of_a_block_is_its_most_frequent_class(rng):
    channels = rng.integers(0, 7, (12, 20)).astype(np.uint8)
    result = block_majority(channels, 4)
    for row, col in np.ndindex(3, 5):
        block = channels[4 * row : 4 * row + 4, 4 * col : 4 * col + 4]
        assert result[row, col] == np.bincount(block.ravel(), minlength=7).argmax()


@pytest.mark.parametrize("seed", range(12))
def test_augmented_pixels_keep_their_truth(seed):
    cells = np.random.default_rng(1).integers(0, 7, (2, 8, 8)).astype(np.uint8)
    gray = (40 + 30 * cells).repeat(4, axis=1).repeat(4, axis=2)
    pixels, truth = augment(gray[..., None].repeat(3, axis=3), cells, np.random.default_rng(seed))
    for tile in range(2):
        per_cell = pixels[tile, ::4, ::4, 0]
        for channel in range(7):
            assert len(np.unique(per_cell[truth[tile] == channel])) <= 1
        order = [per_cell[truth[tile] == c][0] for c in range(7) if (truth[tile] == c).any()]
        assert (np.diff(np.array(order, int)) > 0).all()


def test_the_learning_rate_warms_up_and_falls():
    factors = [learning_rate_factor(step, 200) for step in range(200)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == pytest.approx(1.0)
    assert factors[-1] < 0.02
    assert (np.diff(factors[10:]) <= 0).all()


def test_a_checkpoint_is_whole_or_absent(tmp_path):
    path = tmp_path / "x.checkpoint"
    assert load_checkpoint(path) is None
    save_checkpoint(path, step=3, model={"w": torch.arange(3)})
    state = load_checkpoint(path)
    assert state["step"] == 3
    assert torch.equal(state["model"]["w"], torch.arange(3))
    assert [p.name for p in tmp_path.iterdir()] == ["x.checkpoint"]


def tiny_classifier():
    torch.manual_seed(0)
    backbone = build_backbone(TINY.backbone, **TINY.backbone_options)
    adapted = add_lora(backbone, TINY.lora)
    return TileClassifier(
        adapted.get_base_model(), 7, input_px=TINY.input_px, mean=TINY.mean, std=TINY.std
    )


@pytest.fixture
def tiles(rng):
    cells = rng.integers(0, 7, (12, 8, 8)).astype(np.uint8)
    pixels = rng.integers(0, 255, (12, 64, 64, 3)).astype(np.uint8)
    return TileSet(pixels, cells, cells[:, 0, 0])


def test_a_stopped_classifier_training_goes_on_to_the_same_end(tiles, tmp_path):
    settings = ClassifierTraining(steps=4, batch_size=3, save_every=2)
    whole, stopped = tiny_classifier(), tiny_classifier()
    before = {n: p.detach().clone() for n, p in whole.named_parameters()}
    train_classifier(whole, tiles, settings, CPU, tmp_path / "a")

    class StopError(Exception):
        pass

    calls = 0

    def stop_after_two(*_args):
        nonlocal calls
        calls += 1
        if calls == 3:
            raise StopError

    handle = stopped.register_forward_pre_hook(stop_after_two)
    with pytest.raises(StopError):
        train_classifier(stopped, tiles, settings, CPU, tmp_path / "b")
    handle.remove()
    fresh = tiny_classifier()
    train_classifier(fresh, tiles, settings, CPU, tmp_path / "b")
    for (name, one), (_, other) in zip(
        whole.named_parameters(), fresh.named_parameters(), strict=True
    ):
        assert torch.equal(one, other), name
        changed = not torch.equal(one, before[name])
        assert changed == one.requires_grad, name


def test_tiles_are_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_fddm.training.synthetic_data.SLIDE_PX", 1024)
    tiles = load_or_make_tiles(tmp_path / "t.npz", count=5, first_seed=1, analysis_mpp=1.0)
    again = load_or_make_tiles(tmp_path / "t.npz", count=5, first_seed=99, analysis_mpp=1.0)
    assert np.array_equal(tiles.pixels, again.pixels)
    assert tiles.cells.shape == (5, 8, 8)
