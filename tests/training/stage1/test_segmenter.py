"""Segmenters: pixels of a tile become its cells, and a trained one runs."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn

from napari_fddm.core.class_names import ClassNames
from napari_fddm.core.errors import DataError, WeightsError
from napari_fddm.models import load_model
from napari_fddm.models.segmenter import TileSegmenter, build_segmenter
from napari_fddm.training.data import build_dataset, read_manifest, split_manifest
from napari_fddm.training.data.patches import RegionSettings
from napari_fddm.training.loop import LoopSettings
from napari_fddm.training.stage1 import SegmenterSettings, train_segmenter
from napari_fddm.training.stage1.scores import mean_iou
from tests.support.training import drained, tile_dataset, write_rows

HALVES = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}


class Coded(nn.Module):
    """Sees class 2 where an image is dark, else class 5."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dark = x.mean(dim=1) < 0
        logits = torch.full((len(x), 7, *x.shape[2:]), -50.0)
        logits[:, 1], logits[:, 4] = torch.where(dark, 50.0, -50.0), torch.where(dark, -50.0, 50.0)
        return logits


def test_cells_and_tile_are_the_means_of_their_pixels():
    shares = np.random.default_rng(0).integers(0, 33, (8, 8))
    tile = np.full((256, 256, 3), 255, np.uint8)
    for row, col in np.ndindex(8, 8):
        tile[32 * row : 32 * row + shares[row, col], 32 * col : 32 * col + 32] = 0
    made = TileSegmenter(Coded(), **HALVES)(torch.from_numpy(tile[None]))
    cells = torch.softmax(made.cells, 1)[0].numpy()
    np.testing.assert_allclose(cells[1], shares / 32, atol=1e-6)
    np.testing.assert_allclose(cells[4], 1 - shares / 32, atol=1e-6)
    np.testing.assert_allclose(torch.softmax(made.tile, 1)[0, 1], shares.mean() / 32, atol=1e-6)


def test_the_mean_iou_is_of_the_classes_that_are_there():
    matrix = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]])
    assert mean_iou(matrix) == pytest.approx((6 / 9 + 3 / 6) / 2)


def test_patches_are_no_regions(tmp_path):
    with pytest.raises(DataError, match="regions"):
        drained(train_segmenter(tile_dataset(tmp_path / "x"), tmp_path / "m", SegmenterSettings()))


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("regions")
    rows = [f"synthetic:1400x1400?seed={i}&mpp=1.0,truth,{i},{s}"
            for i, s in enumerate(("train", "train", "val"))]  # fmt: skip
    manifest = read_manifest(write_rows(folder / "s.csv", "slide,mask,case,split", *rows))
    settings = RegionSettings(k=1, mpp=2.0, max_per_slide=3)
    return drained(build_dataset(split_manifest(manifest), folder / "data", settings, ClassNames()))


def settings(**changes):
    loop = LoopSettings(steps=3, batch_size=2, save_every=1, validate_every=2, lr=1e-3)
    values = {"arch": "unet", "encoder": "tu-test_resnet", "random_init": True, "loop": loop}
    return SegmenterSettings(**values, device="cpu", allow_missing=True, **changes)


def test_a_segmenter_is_trained_resumed_and_runs(tmp_path, regions, monkeypatch):
    pytest.importorskip("segmentation_models_pytorch")
    monkeypatch.setenv("NAPARI_FDDM_FLOAT32", "1")
    whole = drained(train_segmenter(regions, tmp_path / "m", settings()))
    run = train_segmenter(regions, tmp_path / "n" / "m", settings())
    for _ in range(3):
        next(run)
    del run
    again = drained(train_segmenter(regions, tmp_path / "n" / "m", settings()))
    assert again.files == whole.files
    assert again.metrics == whole.metrics
    assert whole.analysis_mpp == 2.0
    labeled = int((regions.truth[regions.indices("val")] > 0).sum())
    assert np.sum(whole.metrics["val"]["confusion"]) == labeled
    tiles, cells = load_model(str(tmp_path / "m"), "cpu").classify(regions.read([0, 1]))
    assert (tiles.shape, cells.shape) == ((2, 7), (2, 7, 8, 8))
    np.testing.assert_allclose(cells.sum(axis=1), 1, atol=1e-5)


def test_an_unknown_segmenter_is_named():
    pytest.importorskip("segmentation_models_pytorch")
    with pytest.raises(WeightsError, match="'pyramid'"):
        build_segmenter("pyramid", "resnet18", 7)


@pytest.mark.thorough
def test_the_papers_segformer_can_be_built():
    pytest.importorskip("segmentation_models_pytorch")
    network = build_segmenter("segformer", "mit_b5", 7).eval()
    assert sum(p.numel() for p in network.parameters()) > 80_000_000


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(WeightsError, match="segmentation-models-pytorch") as caught:
        build_segmenter("unet", "resnet18", 7)
    assert "baselines" in caught.value.hint
