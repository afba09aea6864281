"""Writing and reading of checkpoints, with which a stopped training continues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from napari_fddm.core.errors import TrainingError
from napari_fddm.core.files import whole_file
from napari_fddm.core.outside.files import require_regular
from napari_fddm.core.outside.guard import reading

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path


WHAT = "a checkpoint"


def restoring(path: Path) -> AbstractContextManager[None]:
    """Turn whatever a damaged checkpoint causes in the block into a TrainingError."""
    return reading(
        WHAT,
        path,
        error=TrainingError,
        hint="Start over with --fresh.",
    )


def save_checkpoint(path: Path, **state: Any) -> None:
    """Write state dicts and numbers; the old checkpoint is kept until the new one is complete."""
    with whole_file(path) as part:
        torch.save(state, part)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Read a checkpoint, tensors and plain values only; None if there is none.

    Raises
    ------
    TrainingError
        If it is damaged, or holds anything else.
    """
    if not path.exists():
        return None
    require_regular(path, WHAT, error=TrainingError)
    with restoring(path):
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
