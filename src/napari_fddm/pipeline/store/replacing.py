"""Replace a store with a new one; a store that a person corrected is renamed and kept."""

from __future__ import annotations

import glob
import time
import uuid
from datetime import datetime
from typing import TYPE_CHECKING

from napari_fddm.core.errors import StoreError
from napari_fddm.core.files import (
    discard_folder,
    replace_folder,
    storage_errors,
    sync_folder,
    temporary_beside,
    write_json,
)
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.json_files import field, read_json
from napari_fddm.pipeline.store import layout
from napari_fddm.pipeline.store.analysis_store import AnalysisStore
from napari_fddm.pipeline.store.eventlog import acquire_lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DATE = "%Y-%m-%d-%H%M%S"
DATE_PATTERN = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]-[0-9][0-9][0-9][0-9][0-9][0-9]"
ABANDONED_S = 3600.0
"""Unfinished stores of killed runs are removed after this time; a younger one might belong
to a run that is just starting."""


def replace_store(path: Path, create: Callable[[Path], None]) -> Path | None:
    """Put a new, empty store in the place of an old one.

    The old one is renamed and kept, with the date in its name, if a person corrected it.
    Otherwise it is removed once the new one has taken its place.

    Parameters
    ----------
    path : Path
        Place of a store.
    create : callable
        Creates the new store at the path it is given, while the old one is still in its place.

    Returns
    -------
    Path or None
        Where the old store was moved to; None if it was removed.

    Raises
    ------
    StoreError
        If the path holds no store of ours, or one that is in use or cannot be renamed;
        nothing has changed then.
    """
    if not layout.is_our_store(path):
        raise StoreError(
            f"{path} was not written by napari-fddm, so it is not replaced.",
            hint="Choose another place with -o.",
        )
    _check_idle(path)
    keep = holds_corrections(path)
    new = temporary_beside(path)
    old = dated(path) if keep else temporary_beside(path)
    try:
        create(new)
        write_json(_replaces_file(new), {"old": old.name})
        with storage_errors("replace", path):
            # `recover` repairs what a kill between the two renames leaves.
            replace_folder(new, path, old)
            _replaces_file(path).unlink(missing_ok=True)
    finally:
        discard_folder(new)
    if keep:
        return old
    discard_folder(old)
    return None


def recover(path: Path) -> None:
    """Put an old store back if `replace_store` was killed between its two renames.

    Raises
    ------
    StoreError
        If it cannot be renamed.
    """
    if path.exists():
        return
    for part in _parts(path):
        replaces = _replaces_file(part)
        if not replaces.exists():
            continue
        name = field(read_json(replaces), "old", str, replaces)
        with reading("the name of an analysis", replaces, error=StoreError):
            old = path.with_name(name)
        if layout.is_our_store(old):
            with storage_errors("put back", path):
                old.rename(path)
                sync_folder(path.parent)
            discard_folder(part)
            return


def holds_corrections(path: Path) -> bool:
    """Return whether a store holds a person's work; True if that cannot be found out."""
    try:
        with AnalysisStore.open(path) as store:
            return store.holds_corrections
    except StoreError:
        return True


def kept_beside(path: Path) -> list[Path]:
    """Return the stores that were replaced at a path and kept, newest first."""
    stem, suffix = _stem_and_suffix(path)
    pattern = f"{glob.escape(stem)}.{DATE_PATTERN}*{glob.escape(suffix)}"
    return sorted(filter(layout.is_our_store, path.parent.glob(pattern)), reverse=True)


def dated(path: Path) -> Path:
    """Return a free path beside a store, with the current time in its name."""
    stem, suffix = _stem_and_suffix(path)
    now = datetime.now().astimezone().strftime(DATE)
    free = path.with_name(f"{stem}.{now}{suffix}")
    if free.exists():
        free = path.with_name(f"{stem}.{now}-{uuid.uuid4().hex[:4]}{suffix}")
    return free


def _stem_and_suffix(path: Path) -> tuple[str, str]:
    stem = path.name.removesuffix(layout.SUFFIX)
    return stem, path.name[len(stem) :]


def remove_abandoned(path: Path) -> None:
    """Remove the unfinished stores that runs killed long ago left beside a store."""
    for part in _parts(path):
        try:
            old = time.time() - part.stat().st_ctime > ABANDONED_S
        except OSError:
            continue  # it has just been renamed or removed
        if old:
            discard_folder(part)


def _check_idle(path: Path) -> None:
    """Raise a StoreBusyError if a run or an editor is writing into a store."""
    for name in (layout.RUN_LOCK, f"{layout.EVENTS}.lock"):
        acquire_lock(path / layout.OURS / name, path).release()


def _parts(path: Path) -> list[Path]:
    """Return the unfinished stores for a path.

    A store that is created at such a temporary path is itself built under a temporary
    name, with one more dot.
    """
    name = glob.escape(path.name)
    return [part for dots in (".", "..") for part in path.parent.glob(f"{dots}{name}.*.part")]


def _replaces_file(store: Path) -> Path:
    return store / layout.OURS / layout.REPLACES
