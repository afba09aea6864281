"""Checkpoints are whole or absent."""

from __future__ import annotations

import pytest
import torch

from napari_fddm.core.errors import TrainingError
from napari_fddm.training.loop.checkpoint import load_checkpoint, restoring, save_checkpoint


def test_a_checkpoint_is_whole_or_absent(tmp_path):
    path = tmp_path / "x.checkpoint"
    assert load_checkpoint(path) is None
    save_checkpoint(path, step=3, model={"w": torch.arange(3)})
    state = load_checkpoint(path)
    assert state["step"] == 3
    assert torch.equal(state["model"]["w"], torch.arange(3))
    assert [p.name for p in tmp_path.iterdir()] == ["x.checkpoint"]


class Explosive:
    def __reduce__(self):
        return (pytest.fail, ("a checkpoint's code was run",))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02."])
def test_a_damaged_checkpoint_is_refused_in_one_sentence(tmp_path, content):
    path = tmp_path / "x.checkpoint"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match="cannot be read as a checkpoint") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_runs_no_code(tmp_path):
    torch.save({"step": Explosive()}, tmp_path / "x.checkpoint")
    with pytest.raises(TrainingError):
        load_checkpoint(tmp_path / "x.checkpoint")


def test_a_checkpoint_that_lacks_something_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="'model' is missing"), restoring(tmp_path / "x"):
        _ = {}["model"]
