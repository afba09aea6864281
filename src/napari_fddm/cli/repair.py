"""``napari-fddm repair``: say whether an event log is in order, or begin a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_fddm.cli.printing import say
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.outside.text import visible

if TYPE_CHECKING:
    from pathlib import Path


def repair_store(path: Path, *, from_map: bool, without_corrections: bool, reader: str) -> None:
    """Begin a new event log as asked; without a choice, only look at the old one.

    Raises
    ------
    ConfigError
        If both ways are asked for.
    StoreError
        If the log is refused and no way is chosen, or the chosen one is not possible.
    """
    from napari_fddm.pipeline.store import repair

    if from_map and without_corrections:
        raise ConfigError("--from-map and --without-corrections exclude each other.")
    if not from_map and not without_corrections:
        fault = repair.log_fault(path)
        if fault is not None:
            raise fault
        say(f"the event log of {visible(path)} is in order")
        return
    begin = repair.begin_from_map if from_map else repair.give_up_corrections
    kept = begin(path, reader)
    base = "the stored corrected map" if from_map else "the model's labels"
    say(f"a new event log begins with {base}; the old files are in {visible(kept)}")
