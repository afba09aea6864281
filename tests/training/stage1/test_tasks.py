"""The loss of the heads."""

from __future__ import annotations

import pytest
import torch

from napari_fddm.models.classifier import TileLogits
from napari_fddm.training.stage1.tasks import HeadLoss


@pytest.fixture(autouse=True)
def float32(monkeypatch):
    monkeypatch.setenv("NAPARI_FDDM_FLOAT32", "1")


def test_cells_that_nobody_labeled_teach_nothing():
    loss = HeadLoss(None)
    tile, cells = torch.randn(2, 7), torch.randn(2, 7, 8, 8, requires_grad=True)
    truth = torch.zeros(2, 8, 8, dtype=torch.int64)
    truth[0, 3, 4] = 5
    loss(TileLogits(tile, cells), torch.tensor([2, 3]), truth).backward()
    reached = cells.grad.abs().sum(dim=1) > 0
    assert torch.equal(reached, truth > 0)
    nothing = loss(TileLogits(tile, cells), torch.tensor([2, 3]), torch.zeros_like(truth))
    of_tiles = torch.nn.functional.cross_entropy(tile, torch.tensor([1, 2]))
    assert torch.allclose(nothing, of_tiles)
