"""Checkpoint and log of a training of stage 1, in the folder of its model.

::

    train.jsonl           the log
    work/checkpoint.pt    may be deleted when the training is finished
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fddm.training.loop import RunLog, run_loop

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_fddm.models import ComputeDevice
    from napari_fddm.training.loop import LoopSettings
    from napari_fddm.training.loop.progress import JobProgress
    from napari_fddm.training.loop.training_loop import LoopResult, Task

WORK = "work"
"""Folder in a model's folder with what only the training needs."""
CHECKPOINT = "checkpoint.pt"
LOG = "train.jsonl"


def make_work_folder(out: Path, *, fresh: bool) -> Path:
    """Create the work folder of a model folder and return it.

    Parameters
    ----------
    out : Path
        The model folder.
    fresh : bool
        Delete the checkpoint; patches and features that are there stay valid.
    """
    work = out / WORK
    work.mkdir(parents=True, exist_ok=True)
    if fresh:
        (work / CHECKPOINT).unlink(missing_ok=True)
    return work


def train_in_folder(
    task: Task, settings: LoopSettings, compute: ComputeDevice, out: Path, *, identity: str
) -> Generator[JobProgress, None, LoopResult]:
    """Run the training loop with checkpoint and log in a model folder.

    Parameters are those of `run_loop`; ``out`` is the model folder.
    """
    return run_loop(
        task, settings, compute, out / WORK / CHECKPOINT, RunLog(out / LOG), identity=identity
    )
