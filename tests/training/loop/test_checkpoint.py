"""Checkpoints are whole or absent."""

from __future__ import annotations

import torch

from napari_fddm.training.loop.checkpoint import load_checkpoint, save_checkpoint


def test_a_checkpoint_is_whole_or_absent(tmp_path):
    path = tmp_path / "x.checkpoint"
    assert load_checkpoint(path) is None
    save_checkpoint(path, step=3, model={"w": torch.arange(3)})
    state = load_checkpoint(path)
    assert state["step"] == 3
    assert torch.equal(state["model"]["w"], torch.arange(3))
    assert [p.name for p in tmp_path.iterdir()] == ["x.checkpoint"]
