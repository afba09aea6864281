"""The maps that a run writes into a store: overview, class probabilities, automatic labels.

Data is written first and marked as done afterwards (the ``_done`` arrays), so that a run
that is resumed after a kill trusts exactly what had been finished.
"""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_fddm.core.errors import StoreError
from napari_fddm.core.files import storage_errors, write_json
from napari_fddm.core.geometry import Window
from napari_fddm.core.maps import TISSUE_FEATURES, ProbabilityMap
from napari_fddm.core.outside.json_files import read_json
from napari_fddm.core.tiling import CELLS_PER_REGION
from napari_fddm.interop import ome_zarr
from napari_fddm.interop.pyramids import iter_resampled, resample_nearest
from napari_fddm.pipeline.store import layout
from napari_fddm.pipeline.store.eventlog import acquire_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt
    import zarr

    from napari_fddm.core.geometry import MapGeometry
    from napari_fddm.pipeline.store.access import Access
    from napari_fddm.pipeline.store.layout import StoreGeometries

    Labels = npt.NDArray[np.uint8]
    Probs = npt.NDArray[np.floating]

MapName = Literal["patch", "cell", "refined"]
_PATCH_LABELS = f"{layout.OURS}/patch_labels"


class AutomaticMaps:
    """The automatic maps of one store: written by a run, read by everybody.

    Every method that reads raises a StoreError once the store is closed. Every method
    that writes also does so if the store is read-only, and a SignedOffError if the
    analysis is signed off, unless the run had begun before.

    Parameters
    ----------
    path : Path
        The store's folder.
    root : Group
        The store, opened for reading or writing.
    geometries : StoreGeometries
        Its grids.
    classes : int
        Number of classes.
    access : Access
        What the store allows at present.
    """

    def __init__(
        self,
        path: Path,
        root: zarr.Group,
        geometries: StoreGeometries,
        classes: int,
        access: Access,
    ) -> None:
        self._path = path
        self._root = root
        self._geometries = geometries
        self._classes = classes
        self._access = access
        self._mutex = threading.RLock()
        self._lock: Any = None
        self._unfinished = False

    @property
    def revision(self) -> str:
        """Identifies the present content; corrected maps store the one they are based on.

        It changes when a run begins or ends and with every finished tile or cell.
        """
        token = read_json(self._state_path).get("token", "")
        done = (self._done(name).sum(dtype=np.int64) for name in ("tile", "refined"))
        return "-".join(str(part) for part in (token, *done))

    @property
    def complete(self) -> bool:
        """Whether the last run came to its end."""
        return bool(read_json(self._state_path).get("complete", False))

    @property
    def unfinished(self) -> bool:
        """Whether this object has begun a run that `finish` has not ended yet."""
        return self._unfinished

    def begin(self) -> None:
        """Take the run's lock now instead of with the first write.

        Raises
        ------
        StoreBusyError
            If another run is writing into this store.
        SignedOffError
            If the analysis is signed off.
        """
        self._require_running()
        self._begin()

    def _require_running(self) -> None:
        self._access.require_writing()
        if not self._unfinished:
            self._access.require_unsigned()

    def _begin(self) -> None:
        with self._mutex:
            if self._lock is None:
                self._lock = acquire_lock(self._path / layout.OURS / layout.RUN_LOCK, self._path)
            if not self._unfinished:
                self._mark(complete=False)
                self._unfinished = True

    def write_overview(self, window: Window, rgb: npt.NDArray[np.uint8]) -> None:
        """Write part of the overview.

        Parameters
        ----------
        window : Window
            Cells of the label grid; the part outside the grid is dropped.
        rgb : array of uint8, shape (h, w, 3)
            Colors of the window.
        """
        self._require_running()
        with self._mutex:
            self._begin()
            ome_zarr.write_image_window(self._root, window, rgb)

    def write_tiles(
        self,
        rows_cols: npt.NDArray[np.integer],
        patch_probs: Probs,
        cell_probs: Probs,
        features: Probs,
    ) -> None:
        """Write classified tiles and mark them done.

        Parameters
        ----------
        rows_cols : array of int, shape (n, 2)
            Grid index (row, column) of each tile.
        patch_probs : array of float, shape (n, classes)
            Probabilities of each tile.
        cell_probs : array of float, shape (n, classes, k, k)
            Probabilities of the bridge cells of each tile.
        features : array of float, shape (n, 6, k, k)
            Tissue features of the bridge cells, which stage 2 reads later.

        Raises
        ------
        StoreError
            If shapes, indices or probabilities are impossible, or the store
            cannot be written.
        """
        self._require_running()
        index = np.asarray(rows_cols, np.int64)
        self._check_tiles(index, patch_probs, cell_probs, features)
        if not len(index):
            return
        patch = np.asarray(patch_probs, np.float16)[..., None, None]
        labels = (patch_probs.argmax(axis=1) + 1).astype(np.uint8)[:, None, None]
        with self._mutex:
            self._begin()
            self._scatter(f"{layout.OURS}/cell_probs", index, np.asarray(cell_probs, np.float16))
            self._scatter(f"{layout.OURS}/tissue_features", index, np.asarray(features, np.float16))
            self._scatter(f"{layout.OURS}/patch_probs", index, patch)
            self._scatter(_PATCH_LABELS, index, labels)
            self._scatter(f"{layout.OURS}/tile_done", index, np.ones_like(labels))

    def write_refined(
        self, window: Window, labels: Labels, cell_window: Window, probs: Probs
    ) -> None:
        """Write a refined part of the map and mark its cells done.

        Parameters
        ----------
        window : Window
            Cells of the label grid; the part outside the grid is dropped.
        labels : array of uint8, shape of ``window``
            Refined labels.
        cell_window : Window
            Bridge cells that are finished with this; the part outside is dropped.
        probs : array of float, shape (classes, *shape of ``cell_window``)
            Refined probabilities.

        Raises
        ------
        StoreError
            If probabilities or labels are impossible, or the store cannot be written.
        """
        self._require_running()
        shape = (self._classes, cell_window.height, cell_window.width)
        if probs.shape != shape or not np.isfinite(probs).all():
            raise StoreError(f"expected finite probabilities of {shape}, got {probs.shape}.")
        if labels.size and int(labels.max()) > self._classes:
            raise StoreError(f"label {int(labels.max())} is beyond the {self._classes} classes.")
        inside = cell_window.clipped(self._geometries.cell.shape)
        offset = (inside.y - cell_window.y, inside.x - cell_window.x)
        part = Window(*offset, inside.height, inside.width).slices
        with self._mutex:
            self._begin()
            refined = self._root[f"labels/{layout.REFINED}"]
            ome_zarr.write_label_window(refined, window, labels)
            with storage_errors("write refined maps to", self._path):
                ours = self._root[layout.OURS]
                ours["refined_probs"][(..., *inside.slices)] = probs[(..., *part)].astype(
                    np.float16
                )
                ours["refined_done"][inside.slices] = 1

    def finish(self, *, complete: bool = True) -> None:
        """Build the pyramids of what was written and record whether the run is complete."""
        self._access.require_writing()
        with self._mutex:
            self._begin()
            self._paint_tiles()
            ome_zarr.rebuild_image_pyramid(self._root)
            for name in (layout.PATCH, layout.REFINED):
                ome_zarr.rebuild_label_pyramid(self._root[f"labels/{name}"])
            self._mark(complete=complete)
            self._unfinished = False

    def release(self) -> None:
        """Release the run's lock."""
        with self._mutex:
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def read(self, key: str) -> npt.NDArray[Any]:
        """Read a whole array of the store by its path.

        Raises
        ------
        StoreError
            If it is missing or damaged.
        """
        with storage_errors("read", f"{self._path}/{key}", damaged=True):
            return np.require(self._root[key][...], requirements="W")

    def probability_map(self, name: MapName) -> ProbabilityMap:
        """Return "patch", "cell" (both of stage 1) or "refined" probabilities.

        The map's coverage is where the run has finished.
        """
        self._access.require_open()
        done = self._done("refined" if name == "refined" else "tile")
        geometry: MapGeometry = self._geometries.tile
        if name != "patch":
            geometry = self._geometries.cell
        if name == "cell":
            per_tile = self._geometries.cells_per_tile
            done = done.repeat(per_tile, axis=0).repeat(per_tile, axis=1)
        return ProbabilityMap(self.read(f"{layout.OURS}/{name}_probs"), done, geometry)

    def tissue_features(self) -> npt.NDArray[np.float16]:
        """Return the tissue features of the bridge cells, shape (6, H, W)."""
        self._access.require_open()
        return self.read(f"{layout.OURS}/tissue_features")

    def overview(self) -> npt.NDArray[np.uint8]:
        """Return the overview on the label grid, shape (H, W, 3)."""
        self._access.require_open()
        return np.ascontiguousarray(np.moveaxis(self.read("0"), 0, 2))

    def labels(self) -> Labels:
        """Return the automatic labels on the label grid, shape (H, W).

        The refined ones, as soon as any region was refined; before that, or in
        a run that stops after the tiles, those of the tiles. The two are never
        mixed: a rate computed from both would belong to neither method. What a
        killed run wrote without marking it done counts as not analyzed.
        """
        self._access.require_open()
        return self.current_labels()

    def current_labels(self) -> Labels:
        """Return what `labels` does, also while the store is closing.

        For the corrected maps, which are brought up to date at that moment.
        """
        tile, cell, label = (getattr(self._geometries, n) for n in ("tile", "cell", "label"))
        refined_done = self._done("refined")
        if refined_done.any():
            labels = self.read(f"labels/{layout.REFINED}/0")
            for rows, done in iter_resampled(refined_done.view(np.uint8), cell, label):
                labels[rows] *= done
            return labels
        tile_done = self._done("tile")
        if not tile_done.any():
            return np.zeros(label.shape, np.uint8)
        return resample_nearest(self.read(_PATCH_LABELS) * tile_done, tile, label)

    def stored_labels(self, name: str) -> Labels:
        """Return "patch" on the tile grid or "refined" on the label grid, as written."""
        self._access.require_open()
        return self.read(_PATCH_LABELS if name == layout.PATCH else f"labels/{name}/0")

    def _paint_tiles(self) -> None:
        """Write the tiles' classes on the label grid, where other programs see them."""
        tiles = self.read(_PATCH_LABELS) * self._done("tile")
        group, grid = self._root[f"labels/{layout.PATCH}"], self._geometries.label
        for rows, labels in iter_resampled(tiles, self._geometries.tile, grid):
            ome_zarr.write_label_window(group, Window(rows.start, 0, *labels.shape), labels)

    def _done(self, name: str) -> npt.NDArray[np.bool_]:
        return np.asarray(self.read(f"{layout.OURS}/{name}_done") == 1)

    @property
    def _state_path(self) -> Path:
        return self._path / layout.OURS / layout.RUN

    def _mark(self, *, complete: bool) -> None:
        # A new token each time, so that whatever was derived from earlier data is out of date.
        write_json(self._state_path, {"token": uuid.uuid4().hex, "complete": complete})

    def _scatter(
        self, key: str, index: npt.NDArray[np.int64], values: npt.NDArray[np.generic]
    ) -> None:
        """Write one square block per tile, (n, ..., k, k), one chunk at a time."""
        array = self._root[key]
        edge = values.shape[-1]
        place = f"{self._path}/{key}"
        for members in _by_chunk(index, max(1, CELLS_PER_REGION // edge)):
            corner = index[members].min(axis=0)
            size = (index[members].max(axis=0) - corner + 1) * edge
            part = (..., *Window(*(int(n) for n in (*(corner * edge), *size))).slices)
            with storage_errors("read", place, damaged=True):
                block = np.array(array[part])
            for member in members:
                y, x = ((index[member] - corner) * edge).tolist()
                block[..., y : y + edge, x : x + edge] = values[member]
            with storage_errors("write", place):
                array[part] = block

    def _check_tiles(
        self, index: npt.NDArray[np.int64], patch_probs: Probs, cell_probs: Probs, features: Probs
    ) -> None:
        n, cells = len(index), (self._geometries.cells_per_tile,) * 2
        expected = (
            (n, 2),
            (n, self._classes),
            (n, self._classes, *cells),
            (n, TISSUE_FEATURES, *cells),
        )
        found = (index.shape, patch_probs.shape, cell_probs.shape, features.shape)
        if found != expected:
            raise StoreError(f"tiles need arrays of {expected}, got {found}.")
        if n and ((index < 0).any() or (index >= self._geometries.tile.shape).any()):
            raise StoreError(f"a tile lies outside the grid of {self._geometries.tile.shape}.")
        if not all(np.isfinite(values).all() for values in (patch_probs, cell_probs, features)):
            raise StoreError(
                "a tile's probabilities or features are not finite.",
                hint="The model or its precision is at fault; try float32.",
            )


def _by_chunk(index: npt.NDArray[np.int64], tiles: int) -> Iterator[npt.NDArray[np.int64]]:
    keys = index // tiles
    for key in np.unique(keys, axis=0):
        yield np.flatnonzero((keys == key).all(axis=1))
