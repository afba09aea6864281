"""What is left over: threads, open files and locks of a store after it was closed."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from napari_fddm.pipeline import layout
from napari_fddm.pipeline.eventlog import StoreBusyError, claim

STORE_THREADS = ("fddm-log", "fddm-store", "fddm-opener")


def open_files(folder: Path) -> list[str]:
    """Return the files under a folder that this process has open."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            place = os.readlink(link)
        except OSError:
            continue  # the handle of this very listing
        if Path(place).is_relative_to(folder):
            found.append(place)
    return found


def store_threads() -> list[str]:
    """Return the names of threads that work for stores."""
    names = (thread.name for thread in threading.enumerate())
    return [name for name in names if name.startswith(STORE_THREADS)]


def held_locks(store: Path) -> list[str]:
    """Return which locks of a store somebody holds."""
    held = []
    for name in (layout.RUN_LOCK, f"{layout.EVENTS}.lock"):
        try:
            claim(store / layout.OURS / name, store).release()
        except StoreBusyError:
            held.append(name)
    return held


def leftovers(store: Path) -> dict[str, list[str]]:
    """Return everything a closed store should not leave; empty if it leaves nothing."""
    found = {
        "threads": store_threads(),
        "files": open_files(store),
        "locks": held_locks(store),
    }
    return {kind: names for kind, names in found.items() if names}
