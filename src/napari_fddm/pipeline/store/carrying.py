"""Copy corrections and classified tiles from an old store into the new one that replaces it.

Everything is copied before the new store takes the place of the old one
(`pipeline.store.replacing`), so a run that is killed here leaves the old one as it was.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import StoreError
from napari_fddm.core.files import storage_errors, sync_folder
from napari_fddm.core.provenance import mask_identity
from napari_fddm.pipeline.store import layout
from napari_fddm.pipeline.store.analysis_store import AnalysisStore
from napari_fddm.pipeline.store.replacing import kept_beside
from napari_fddm.pipeline.store.signature import refuse_signed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from napari_fddm.core.provenance import Provenance

TILES_AT_ONCE = 4096
"""Tiles that are copied together: about 7 MB of probabilities."""


def carry_over(
    old_path: Path,
    new: AnalysisStore,
    wanted: Provenance,
    selected_tiles: Callable[[], npt.NDArray[np.bool_]],
) -> None:
    """Copy into a new, empty store what remains valid with other settings.

    Parameters
    ----------
    old_path : Path
        The analysis that is replaced.
    new : AnalysisStore
        Open for writing.
    wanted : Provenance
        Of the new run.
    selected_tiles : callable
        Returns which tiles the new tissue mask selects; called only if the mask changed.

    Raises
    ------
    SignedOffError
        If the old one is signed off: a sign-off is valid only while labels do not change.
    StoreError
        If corrections do not fit the new label grid, or something cannot be read or
        written.
    """
    with AnalysisStore.open(old_path) as old:
        refuse_signed(old.log)
        problem = _misfit(old, new, wanted)
        if problem and old.holds_corrections:
            raise StoreError(
                f"the corrections of {old_path} cannot be carried over: {problem}.",
                hint="Start over with --fresh: the earlier analysis is kept with them.",
            )
        if not problem:
            carry_corrections(old, new)
        if _carry_classified(old, new, wanted, selected_tiles):
            return
    # An analysis that was replaced earlier may have been run with these very settings.
    for path in kept_beside(old_path):
        with suppress(StoreError), AnalysisStore.open(path) as kept:
            if _carry_classified(kept, new, wanted, selected_tiles):
                return


def _carry_classified(
    old: AnalysisStore,
    new: AnalysisStore,
    wanted: Provenance,
    selected_tiles: Callable[[], npt.NDArray[np.bool_]],
) -> bool:
    """Copy the tiles if both runs have the same stage 1; return whether they have."""
    if not wanted.classifies_as(old.provenance):
        return False
    same = mask_identity(wanted.to_json()) == mask_identity(old.provenance)
    carry_tiles(old, new, None if same else selected_tiles())
    return True


def _misfit(old: AnalysisStore, new: AnalysisStore, wanted: Provenance) -> str:
    """Return why corrections cannot be carried over; empty if they can."""
    if old.provenance.get("slide", {}).get("fingerprint") != wanted.slide.get("fingerprint"):
        return "they were drawn on another slide"
    if old.geometries.label != new.geometries.label:
        return "they lie on another label grid"
    return ""


def carry_corrections(old: AnalysisStore, new: AnalysisStore) -> None:
    """Copy the event log, and create the label maps of further readers.

    The corrected maps are then the new automatic labels with every logged edit applied.

    Raises
    ------
    StoreError
        If something cannot be read or written.
    """
    if old.log.path.exists():
        with storage_errors("carry corrections to", new.path):
            shutil.copyfile(old.log.path, new.log.path)
            with new.log.path.open("rb+") as file:
                os.fsync(file.fileno())
            sync_folder(new.log.path.parent)
    for layer in old.corrections.layers:
        if layer != layout.CORRECTED:
            new.corrections.add_reader(layer.removeprefix(layout.READER_PREFIX))


def carry_tiles(
    old: AnalysisStore, new: AnalysisStore, selected: npt.NDArray[np.bool_] | None
) -> int:
    """Copy classified tiles and return how many there are.

    Parameters
    ----------
    old, new : AnalysisStore
        Stores of one slide and one tile grid.
    selected : array of bool, shape of the tile grid
        The tiles that the new tissue mask analyzes; None for all.

    Raises
    ------
    StoreError
        If the tile grids differ, or something cannot be read or written.
    """
    if old.geometries.tile != new.geometries.tile or old.geometries.cell != new.geometries.cell:
        raise StoreError(f"{old.path} has other tiles than the new analysis.")
    patch, cell = old.maps.probability_map("patch"), old.maps.probability_map("cell")
    features = old.maps.tissue_features()
    wanted = patch.coverage if selected is None else patch.coverage & selected
    index = np.argwhere(wanted)
    edge = old.geometries.cells_per_tile
    for first in range(0, len(index), TILES_AT_ONCE):
        tiles = index[first : first + TILES_AT_ONCE]
        rows, cols = tiles.T
        new.maps.write_tiles(
            tiles,
            np.moveaxis(patch.probs[:, rows, cols], 1, 0),
            _blocks(cell.probs, tiles, edge),
            _blocks(features, tiles, edge),
        )
    return len(index)


def _blocks(
    array: npt.NDArray[np.floating], tiles: npt.NDArray[np.int64], edge: int
) -> npt.NDArray[np.floating]:
    """Return the square blocks of some tiles, from (c, H, W) to (n, c, edge, edge)."""
    tiled = array.reshape(len(array), array.shape[1] // edge, edge, -1, edge)
    # Index arrays that a slice separates put their axis first: (n, c, edge, edge).
    return tiled[:, tiles[:, 0], :, tiles[:, 1]]
