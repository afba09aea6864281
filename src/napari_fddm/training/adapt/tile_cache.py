"""Cache on disk of what a frozen backbone computes for tiles, the slowest part of learning."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import DataError
from napari_fddm.core.files import storage_errors, whole_file
from napari_fddm.core.outside.arrays import read_arrays
from napari_fddm.core.outside.text import visible
from napari_fddm.core.provenance import REFINER_FILE
from napari_fddm.core.tiling import CELLS_PER_TILE
from napari_fddm.models.bundle import HEADS_FILE
from napari_fddm.pipeline.store.layout import SUFFIX
from napari_fddm.training.loop.identity import digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    Index = tuple[int, int]

CACHE_SUFFIX = ".fddm.features"
MAX_BYTES = 256 * 2**20
"""Size of one file. A tile of a ViT-S takes 50 kB, so 5 000 tiles fit; those that were used
longest ago are dropped first."""
_ARRAYS = ("key", "index", "pooled", "cells")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class HeadInputs:
    """Features of one tile: the inputs of the two heads.

    Attributes
    ----------
    pooled : array of float16, shape (d',)
        Input of the tile head.
    cells : array of float16, shape (8, 8, d)
        Input of the cell head at each bridge cell.
    """

    pooled: npt.NDArray[np.float16]
    cells: npt.NDArray[np.float16]

    @classmethod
    def of(cls, pooled: npt.NDArray[np.float32], cells_dhw: npt.NDArray[np.float32]) -> HeadInputs:
        """Round the features that a model computed, cells with axes (d, 8, 8), to float16."""
        largest = float(np.finfo(np.float16).max)
        small = [np.clip(a, -largest, largest).astype(np.float16) for a in (pooled, cells_dhw)]
        return cls(small[0], np.ascontiguousarray(small[1].transpose(1, 2, 0)))

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return self.pooled.nbytes + self.cells.nbytes


class TileCache:
    """Features of the tiles of one slide by one backbone, in one file.

    A file that is damaged, or whose content does not belong to its name, counts as empty.

    Parameters
    ----------
    folder : Path
        See `cache_folder`; created with the first write.
    key : str
        See `cache_key`.
    max_bytes : int
        Most bytes of features in the file.
    """

    def __init__(self, folder: Path, key: str, max_bytes: int = MAX_BYTES) -> None:
        self.path = folder / f"{key}.npz"
        self._key = key
        self._max_bytes = max_bytes
        self._tiles: dict[Index, HeadInputs] = self._read()

    def __len__(self) -> int:
        return len(self._tiles)

    def __contains__(self, index: object) -> bool:
        return index in self._tiles

    def __getitem__(self, index: Index) -> HeadInputs:
        # Moved to the end: what was used last is dropped last.
        self._tiles[index] = found = self._tiles.pop(index)
        return found

    def put(self, index: Index, features: HeadInputs) -> None:
        """Add the features of a tile, in memory."""
        self._tiles[index] = features

    def write(self) -> None:
        """Write the features to the file, those that were used last as far as there is room.

        Raises
        ------
        StoreError
            If it cannot be written.
        """
        room, kept = self._max_bytes, []
        for index, features in reversed(self._tiles.items()):
            room -= features.nbytes
            if room < 0:
                break
            kept.append(index)
        kept.reverse()
        if not kept:
            return
        with storage_errors("write", self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(self.path) as part:
            np.savez(
                part,
                key=np.array(self._key),
                index=np.array(kept, np.int32),
                pooled=np.stack([self._tiles[i].pooled for i in kept]),
                cells=np.stack([self._tiles[i].cells for i in kept]),
            )

    def _read(self) -> dict[Index, HeadInputs]:
        if not self.path.exists():
            return {}
        try:
            stored = read_arrays(self.path, _ARRAYS, "features of tiles")
            index, pooled, cells = (stored[name] for name in _ARRAYS[1:])
            if str(stored["key"]) != self._key or not _fits(index, pooled, cells):
                raise DataError("its content does not belong to its name.")
        except DataError as error:
            log.warning("%s is damaged and made again: %s", visible(self.path), error.message)
            return {}
        return {
            (int(row), int(col)): HeadInputs(p, c)
            for (row, col), p, c in zip(index, pooled, cells, strict=True)
        }


def _fits(index: npt.NDArray[Any], pooled: npt.NDArray[Any], cells: npt.NDArray[Any]) -> bool:
    shapes = (
        index.ndim == 2
        and index.shape[1] == 2
        and index.dtype == np.int32
        and pooled.ndim == 2
        and cells.ndim == 4
        and cells.shape[1:3] == (CELLS_PER_TILE, CELLS_PER_TILE)
        and len(index) == len(pooled) == len(cells)
    )
    return shapes and pooled.dtype == cells.dtype == np.float16


def cache_folder(store: Path) -> Path:
    """Return the folder for the features of a store's slide, beside it: no export holds it."""
    return store.with_name(store.name.removesuffix(SUFFIX) + CACHE_SUFFIX)


def cache_key(slide: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    """Return a digest of all that decides features: slide, pixel size, weights without heads.

    Parameters
    ----------
    slide : mapping
        ``slide`` of a run's provenance.
    model : mapping
        `LoadedModel.identity`.
    """
    files: dict[str, str] = model["files"]
    decisive = {
        "fingerprint": slide["fingerprint"],
        "mpp": slide["mpp"],
        "analysis_mpp": model["analysis_mpp"],
        "backbone": model.get("backbone"),
        "files": {k: v for k, v in files.items() if k not in (HEADS_FILE, REFINER_FILE)},
    }
    return digest(decisive)[:32]
