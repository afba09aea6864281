"""Writing and reading of checkpoints, with which a stopped training continues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from napari_fddm.core.files import whole_file
from napari_fddm.core.outside.guard import reading

if TYPE_CHECKING:
    from pathlib import Path


def save_checkpoint(path: Path, **state: Any) -> None:
    """Write state dicts and numbers; the old checkpoint is kept until the new one is complete."""
    with whole_file(path) as part:
        torch.save(state, part)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Read a checkpoint, tensors and plain values only; None if there is none."""
    if not path.exists():
        return None
    with reading("a checkpoint", path, hint="Start over with --fresh."):
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
