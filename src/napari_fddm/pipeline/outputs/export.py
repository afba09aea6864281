"""Export a store: a complete, validated copy, which appears at its destination in one step."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import StoreError
from napari_fddm.core.files import (
    discard_folder,
    is_junk,
    is_unfinished,
    replace_folder,
    storage_errors,
    sync_folder,
    temporary_beside,
)
from napari_fddm.core.outside.files import real_path
from napari_fddm.core.outside.text import visible
from napari_fddm.interop import ngff, ngff04, ozx, validation
from napari_fddm.pipeline.outputs.anonymous import anonymize
from napari_fddm.pipeline.store import AnalysisStore, layout
from napari_fddm.pipeline.store.layout import is_our_store

if TYPE_CHECKING:
    from collections.abc import Callable

SUFFIXES = (".zarr", ozx.SUFFIX)
_TRANSIENT = (".lock", ".part", ".partial")
"""Ends of the names of files that only a running program needs."""


def export_version(
    store: AnalysisStore,
    destination: Path,
    *,
    version: str = ngff.VERSION,
    overwrite: bool = False,
    with_name: bool = False,
    change: Callable[[AnalysisStore], object] | None = None,
) -> tuple[str, ...]:
    """Write a complete, validated copy of a store as one version of OME-Zarr.

    Parameters
    ----------
    store : AnalysisStore
        The analysis.
    destination : Path
        Folder to create, for 0.5 also a ``.ozx`` file; it appears whole or not at all.
    version : str
        "0.5", whose copy is a store that can be edited further, or "0.4", which has
        the overview and the labels only.
    overwrite : bool
        Replace an older export of ours. Nothing else is ever replaced.
    with_name : bool
        Keep the names of slide and readers, see `pipeline.outputs.anonymous`.
    change : callable, optional
        Called with the copy, open for writing, before it is validated.

    Returns
    -------
    tuple of str
        Notes on what was left out.

    Raises
    ------
    StoreError
        If the version is unknown, the destination is taken, impossible or named as
        another format, or the copy is not valid.
    """
    if destination.suffix not in SUFFIXES:
        raise StoreError(
            f"{destination.name} cannot be an OME-Zarr, whose name ends with "
            f"{' or '.join(SUFFIXES)}.",
            hint=f"Write {destination.stem}.ome.zarr, or {destination.stem}{ozx.SUFFIX} for one "
            "file.",
        )
    if version == ngff.VERSION:
        return export_store(
            store, destination, overwrite=overwrite, with_name=with_name, change=change
        )
    if version != ngff04.VERSION or destination.suffix == ozx.SUFFIX:
        raise StoreError(
            f"{destination.name} cannot be written as OME-Zarr {version}.",
            hint=f"Known versions are {ngff.VERSION} and {ngff04.VERSION}; "
            f"a single {ozx.SUFFIX} file is always {ngff.VERSION}.",
        )
    _check_places(store.path, destination)
    notes: list[str] = []

    def build(converted: Path) -> None:
        finished = temporary_beside(destination)
        try:
            notes.extend(export_store(store, finished, with_name=with_name, change=change))
            ngff04.write_v04(finished, converted)
            ngff04.check_v04(finished, converted)
        finally:
            discard_folder(finished)
        validation.validate_v04(converted)

    put_in_place(build, destination, overwrite=overwrite)
    return tuple(notes)


def export_store(
    store: AnalysisStore,
    destination: Path,
    *,
    overwrite: bool = False,
    with_name: bool = False,
    change: Callable[[AnalysisStore], object] | None = None,
) -> tuple[str, ...]:
    """Write a complete, validated copy of a store, without names unless asked.

    Parameters
    ----------
    store : AnalysisStore
        The analysis, open.
    destination : Path
        Folder or ``.ozx`` file to create.
    overwrite : bool
        Replace an older store of ours. Nothing else is ever replaced.
    with_name : bool
        Keep the names of slide and readers, see `pipeline.outputs.anonymous`.
    change : callable, optional
        Called with the copy, open for writing, before it is validated.

    Returns
    -------
    tuple of str
        Notes on what was left out.

    Raises
    ------
    StoreError
        If the destination is taken or impossible, the store is damaged, or the copy is not
        valid or differs from the store; the
        destination is then as it was.
    """
    store.flush()
    source = store.path
    before = _state_of(store)

    def complete(path: Path) -> None:
        if not with_name:
            anonymize(path, source)
        with AnalysisStore.open(path, "r+") as copy:
            if not copy.maps.complete:
                copy.finish(complete=False)
            copy.corrections.sync()
            if change is not None:
                change(copy)
        validation.validate(path)
        # A run or an editor at work has gone on meanwhile: the copy is what was there before.
        same = change is None and _state_of(store) == before
        _read_back(path, store if same else None)

    notes = export_copy(source, destination, complete, overwrite=overwrite)
    return (*notes, store.unchecked) if store.unchecked else notes


def _state_of(store: AnalysisStore) -> tuple[str, int]:
    return store.maps.revision, store.log.last_seq


def _read_back(path: Path, original: AnalysisStore | None) -> None:
    """Read every chunk of a copy, and compare its label maps with what they have to be.

    Parameters
    ----------
    path : Path
        The finished copy.
    original : AnalysisStore or None
        What it is a copy of; None if that has changed since: then the maps are compared with
        what follows from the copy's own probabilities and event log.

    Raises
    ------
    StoreError
        Naming what cannot be read or differs.
    """
    with AnalysisStore.open(path) as copy:
        copy.maps.require_all()
        right = original or copy
        names = zip(copy.corrections.layers, right.corrections.layers, strict=True)
        expected = [(name, right.labels(known)) for name, known in names]
        expected += [
            (layout.REFINED, right.maps.stored_labels(layout.REFINED)),
            (layout.PATCH, right.maps.painted_tiles()),
        ]
        for name, labels in expected:
            if not np.array_equal(copy.maps.read(f"labels/{name}/0"), labels):
                raise StoreError(
                    f"the copy of labels/{name} differs from {right.path}, so it was not exported.",
                    hint="Try again; if it differs again, the disk may be failing: choose another.",
                )


def export_copy(
    source: Path, destination: Path, check: Callable[[Path], None], *, overwrite: bool = False
) -> tuple[str, ...]:
    """Copy a store, check the copy, then rename it to its destination.

    A destination that ends with ``.ozx`` becomes one file instead of a folder.

    Parameters
    ----------
    source : Path
        The store's folder.
    destination : Path
        Folder or ``.ozx`` file to create.
    check : callable
        Completes and validates the copy at the path it is given; raises if the copy
        is not valid.
    overwrite : bool
        Replace an older store of ours. Nothing else is ever replaced.

    Returns
    -------
    tuple of str
        Notes on what was left out.

    Raises
    ------
    StoreError
        If the destination is taken or impossible, the copy is not valid, or the
        disk fails; the destination is then as it was.
    """
    _check_places(source, destination)
    notes: list[str] = []

    def build(copy: Path) -> None:
        with storage_errors("export to", destination):
            notes.extend(_copy_tree(source, copy))
        check(copy)
        _remove_transient(copy)

    put_in_place(build, destination, overwrite=overwrite)
    return tuple(notes)


def put_in_place(
    build: Callable[[Path], None], destination: Path, *, overwrite: bool = False
) -> None:
    """Build an OME-Zarr beside its destination and rename it, packed if it is one file.

    Parameters
    ----------
    build : callable
        Builds the folder at the path it is given.
    destination : Path
        Folder or ``.ozx`` file to create; it appears whole or not at all.
    overwrite : bool
        Replace an older store of ours. Nothing else is ever replaced.

    Raises
    ------
    StoreError
        If the destination is taken or the disk fails; it is then as it was.
    """
    _check_vacancy(destination, overwrite=overwrite)
    copy, packed = temporary_beside(destination), temporary_beside(destination)
    try:
        with storage_errors("export to", destination):
            destination.parent.mkdir(parents=True, exist_ok=True)
        build(copy)
        if destination.suffix == ozx.SUFFIX:
            ozx.write_ozx(copy, packed)
            ozx.check_ozx(packed, copy)
        _check_vacancy(destination, overwrite=overwrite)
        _install(packed if packed.exists() else copy, destination)
    finally:
        discard_folder(copy)
        packed.unlink(missing_ok=True)


def _check_places(source: Path, destination: Path) -> None:
    here, there = real_path(source), real_path(destination)
    if here == there or here in there.parents or there in here.parents:
        raise StoreError(
            f"cannot export {source} to {destination}: one lies in the other.",
            hint="Choose a folder outside the analysis.",
        )


def _check_vacancy(destination: Path, *, overwrite: bool) -> None:
    if not os.path.lexists(destination):
        return
    if not overwrite:
        raise StoreError(
            f"{destination} exists already.",
            hint="Choose another name; on the command line --overwrite replaces it.",
        )
    ours = is_our_store(destination) or ngff04.is_v04_export(destination)
    if not (ours or _is_our_file(destination)):
        raise StoreError(
            f"{destination} exists and was not written by napari-fddm, so it is not replaced.",
            hint="Choose another name, or remove it yourself.",
        )


def _copy_tree(source: Path, target: Path) -> list[str]:
    """Copy the files of a store; return notes on those that are left out.

    A link that leads out of the store is not followed: somebody else's store could so take
    along a file of the person who exports it. Files of file managers are no part of a store.
    """
    notes = []
    root = real_path(source)
    for folder, inside, names in os.walk(source, onerror=_raise):
        here = target / os.path.relpath(folder, source)
        here.mkdir(parents=True, exist_ok=True)
        # What was seen of the log is copied before the log, which may grow meanwhile.
        for name in (*inside, *sorted(names, key=lambda name: name != layout.SYNCED)):
            place = Path(folder, name)
            if is_junk(name) or (name in names and _is_transient(place)):
                continue
            if not real_path(place).is_relative_to(root):
                notes.append(f"{visible(place)} leads out of the analysis and was left out")
            elif name in inside and place.is_symlink():
                notes.append(f"{visible(place)} is a link to another folder and was left out")
            elif name in names:
                _copy_file(place, here / name)
    return notes


def _copy_file(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError:
        if source.exists():
            raise
        # zarr removes chunks that become empty, possibly while they are being copied.
        target.unlink(missing_ok=True)


def _raise(error: OSError) -> None:
    raise error


def _remove_transient(copy: Path) -> None:
    for path in copy.rglob("*"):
        if _is_transient(path) and path.is_file():
            path.unlink()


def _is_transient(path: Path) -> bool:
    return path.name.endswith(_TRANSIENT) or is_unfinished(path)


def _install(copy: Path, destination: Path) -> None:
    with storage_errors("export to", destination):
        if destination.exists():
            old = temporary_beside(destination)
            replace_folder(copy, destination, old)
            _discard(old)
        else:
            copy.rename(destination)
            sync_folder(destination.parent)


def _is_our_file(path: Path) -> bool:
    if path.is_symlink() or not path.is_file() or path.suffix != ozx.SUFFIX:
        return False
    try:
        return "schema" in ozx.read_root_attributes(path).get(ngff.BLOCK, {})
    except StoreError:
        return False


def _discard(old: Path) -> None:
    if old.is_dir():
        shutil.rmtree(old)
    else:
        old.unlink()
