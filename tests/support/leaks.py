"""What is left over: threads, open files and locks of a store after it was closed."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_fddm.pipeline.store import layout
from napari_fddm.pipeline.store.eventlog import StoreBusyError, acquire_lock

if TYPE_CHECKING:
    from napari.viewer import Viewer

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
            acquire_lock(store / layout.OURS / name, store).release()
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


def callbacks(viewer: Viewer) -> dict[str, int]:
    """Return how many callbacks hang on each event of a viewer that plugins connect to."""
    groups = {
        "viewer": viewer.events,
        "layers": viewer.layers.events,
        "selection": viewer.layers.selection.events,
        "camera": viewer.scene.camera.events,
        "dims": viewer.dims.events,
    }
    counted = {}
    for group, events in groups.items():
        emitters = getattr(events, "emitters", None)
        named = emitters if emitters is not None else dict(events.items())
        for name, emitter in named.items():
            connected = emitter.callbacks if hasattr(emitter, "callbacks") else emitter._slots
            counted[f"{group}.{name}"] = len(connected)
    return counted


def running(viewer: Viewer) -> dict[str, object]:
    """Return what goes on in this process and on a viewer; equal before and after a use."""
    application = QApplication.instance()
    return {
        "threads": sorted(t.name for t in threading.enumerate() if t.name.startswith("fddm-")),
        "files": len(os.listdir("/proc/self/fd")),
        "callbacks": callbacks(viewer),
        "timers": len(viewer.window._qt_window.findChildren(QTimer))
        + len(application.findChildren(QTimer)),
    }
