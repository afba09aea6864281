"""Checkpoints of a training that can be stopped at any moment and goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from napari_fddm.core.files import whole_file

if TYPE_CHECKING:
    from pathlib import Path


def save_checkpoint(path: Path, **state: Any) -> None:
    """Write state dicts and numbers; the old checkpoint stays until the new one is whole."""
    with whole_file(path) as part:
        torch.save(state, part)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Read a checkpoint, tensors and plain values only; None where there is none."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
