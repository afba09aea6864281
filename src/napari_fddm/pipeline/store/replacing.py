"""Starting over where an analysis exists, without ever losing a person's corrections."""

from __future__ import annotations

import glob
import shutil
import time
import uuid
from datetime import datetime
from typing import TYPE_CHECKING

from napari_fddm.core.errors import StoreError
from napari_fddm.interop.files import (
    read_json,
    replace_folder,
    storage_errors,
    sync_folder,
    temporary_beside,
    write_json,
)
from napari_fddm.pipeline.store import layout
from napari_fddm.pipeline.store.analysis_store import AnalysisStore
from napari_fddm.pipeline.store.eventlog import claim

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DATE = "%Y-%m-%d-%H%M%S"
DATE_PATTERN = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]-[0-9][0-9][0-9][0-9][0-9][0-9]"
FORGOTTEN_S = 3600.0
"""What a killed run left half built beside a store is removed after this time: before,
it might belong to a run that is just starting."""


def replace_store(path: Path, create: Callable[[Path], None]) -> Path | None:
    """Put a new, empty store in the place of an old one.

    One that a person corrected is renamed, with the date, and stays. Any other is
    removed once the new one has taken its place.

    Parameters
    ----------
    path : Path
        Place of a store.
    create : callable
        Creates the new store at the path it gets; the old one is still in its place then.

    Returns
    -------
    Path or None
        Where the old store was moved to; None if it was removed.

    Raises
    ------
    StoreError
        If what lies there is no store of ours, is in use or cannot be moved; it
        is then as it was.
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
        write_json(_note_in(new), {"old": old.name})
        with storage_errors("replace", path):
            # `recover` repairs what a kill between the two renames leaves.
            replace_folder(new, path, old)
            _note_in(path).unlink(missing_ok=True)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    if keep:
        return old
    shutil.rmtree(old, ignore_errors=True)
    return None


def recover(path: Path) -> None:
    """Put an old store back that a killed `replace_store` had moved away, but not replaced.

    Raises
    ------
    StoreError
        If it cannot be moved.
    """
    if path.exists():
        return
    for part in _parts(path):
        note = _note_in(part)
        if not note.exists():
            continue
        old = path.with_name(str(read_json(note)["old"]))
        if layout.is_our_store(old):
            with storage_errors("put back", path):
                old.rename(path)
                sync_folder(path.parent)
            shutil.rmtree(part, ignore_errors=True)
            return


def holds_corrections(path: Path) -> bool:
    """Say whether a person's work is in a store; yes, where that cannot be known."""
    try:
        with AnalysisStore.open(path) as store:
            return store.holds_corrections
    except StoreError:
        return True


def kept_beside(path: Path) -> list[Path]:
    """Return the stores that were replaced at a place and kept, the newest first."""
    stem, suffix = _stem_and_suffix(path)
    pattern = f"{glob.escape(stem)}.{DATE_PATTERN}*{glob.escape(suffix)}"
    return sorted(filter(layout.is_our_store, path.parent.glob(pattern)), reverse=True)


def dated(path: Path) -> Path:
    """Return a free name beside a store, with the present time in it."""
    stem, suffix = _stem_and_suffix(path)
    now = datetime.now().astimezone().strftime(DATE)
    place = path.with_name(f"{stem}.{now}{suffix}")
    return (
        place
        if not place.exists()
        else path.with_name(f"{stem}.{now}-{uuid.uuid4().hex[:4]}{suffix}")
    )


def _stem_and_suffix(path: Path) -> tuple[str, str]:
    stem = path.name.removesuffix(layout.SUFFIX)
    return stem, path.name[len(stem) :]


def remove_forgotten(path: Path) -> None:
    """Remove what runs that were killed long ago left half built beside a store."""
    for part in _parts(path):
        try:
            old = time.time() - part.stat().st_ctime > FORGOTTEN_S
        except OSError:
            continue  # it was just renamed or removed
        if old:
            shutil.rmtree(part, ignore_errors=True)


def _check_idle(path: Path) -> None:
    """Refuse a store that a run or an editor is writing into."""
    for name in (layout.RUN_LOCK, f"{layout.EVENTS}.lock"):
        claim(path / layout.OURS / name, path).release()


def _parts(path: Path) -> list[Path]:
    """Return what was being built for a place; what builds itself there has a dot more."""
    name = glob.escape(path.name)
    return [part for dots in (".", "..") for part in path.parent.glob(f"{dots}{name}.*.part")]


def _note_in(store: Path) -> Path:
    return store / layout.OURS / layout.REPLACES
