"""The maps that a run writes into a store: overview, class probabilities, automatic labels.

Data is written first and marked as done afterwards (the ``_done`` arrays), so that a run
that is resumed after a kill trusts exactly what had been finished.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_fddm.core.errors import StoreError
from napari_fddm.core.files import storage_errors
from napari_fddm.core.geometry import Window
from napari_fddm.core.maps import TISSUE_FEATURES, ProbabilityMap
from napari_fddm.core.outside.checked_json import read_checked, write_checked
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import visible
from napari_fddm.core.outside.zarr_files import read_window
from napari_fddm.core.tiling import CELLS_PER_REGION
from napari_fddm.interop import ome_zarr
from napari_fddm.interop.levels import for_writing
from napari_fddm.interop.pyramids import iter_resampled, resample_nearest
from napari_fddm.pipeline.store import chunks, layout
from napari_fddm.pipeline.store.eventlog import acquire_lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt
    import zarr

    from napari_fddm.core.geometry import MapGeometry
    from napari_fddm.pipeline.store.access import Access
    from napari_fddm.pipeline.store.layout import Header

    Labels = npt.NDArray[np.uint8]
    Probs = npt.NDArray[np.floating]

MapName = Literal["patch", "cell", "refined"]
_PATCH_LABELS = f"{layout.OURS}/patch_labels"
_DATA = {
    "tile": (
        _PATCH_LABELS,
        *(f"{layout.OURS}/{name}" for name in ("patch_probs", "cell_probs", "tissue_features")),
    ),
    "refined": (f"labels/{layout.REFINED}/0", f"{layout.OURS}/refined_probs"),
}
"""Arrays whose data is complete where ``tile_done`` and ``refined_done`` say so."""


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
    header : Header
        Its grids and classes, and whether it carries checksums.
    access : Access
        What the store allows at present.
    """

    def __init__(self, path: Path, root: zarr.Group, header: Header, access: Access) -> None:
        self._path = path
        self._root = root
        self._header = header
        self._geometries = header.geometries
        self._classes = len(header.table)
        self._access = access
        self._mutex = threading.RLock()
        self._lock: Any = None
        self._unfinished = False

    @property
    def revision(self) -> str:
        """Identifies the present content; corrected maps store the one they are based on.

        It changes when a run begins or ends and with every finished tile or cell.
        """
        token = self._state().get("token", "")
        done = (self._done(name).sum(dtype=np.int64) for name in ("tile", "refined"))
        return "-".join(str(part) for part in (token, *done))

    @property
    def complete(self) -> bool:
        """Whether the last run came to its end."""
        return bool(self._state().get("complete", False))

    @property
    def unfinished(self) -> bool:
        """Whether this object has begun a run that `finish` has not ended yet."""
        return self._unfinished

    def begin(self) -> tuple[str, ...]:
        """Take the run's lock now instead of with the first write, and give up what is lost.

        Tiles and cells that are marked as done, but whose data is missing or damaged, are
        not done from then on, so that the run computes them again.

        Returns
        -------
        tuple of str
            Notes on what was lost, for the user; empty if nothing was.

        Raises
        ------
        StoreBusyError
            If another run is writing into this store.
        SignedOffError
            If the analysis is signed off.
        """
        self._require_running()
        with self._mutex:
            self._take_lock()
            notes = () if self._unfinished else self._give_up_lost()
            self._begin()
        return notes

    def _require_running(self) -> None:
        self._access.require_writing()
        if not self._unfinished:
            self._access.require_unsigned()

    def _begin(self) -> None:
        with self._mutex:
            self._take_lock()
            if not self._unfinished:
                self._require_overview()
                self._mark(complete=False)
                self._unfinished = True

    def _take_lock(self) -> None:
        if self._lock is None:
            self._lock = acquire_lock(self._path / layout.OURS / layout.RUN_LOCK, self._path)

    def _give_up_lost(self) -> tuple[str, ...]:
        """Remove damaged chunks, and the marks of what is not there; return notes on it."""
        notes = []
        for key, array in self._arrays():
            for file, fault in chunks.damaged_chunks(self._path / key, array):
                if isinstance(fault, OSError) and fault.errno is not None:
                    continue  # the disk failed, so the data may be intact; reading it will say so
                with storage_errors("remove", file):
                    file.unlink()
                notes.append(f"{file.relative_to(self._path)} was damaged and was removed")
        for name, what in (("tile", "tiles"), ("refined", "cells")):
            done = self._marks(name)
            lost = np.zeros_like(done)
            for key in _DATA[name]:
                lost |= self._lost(key, name, done)[0]
            gone = self._recorded(name) - int(done.sum(dtype=np.int64))
            count = int(lost.sum(dtype=np.int64)) + max(0, gone)
            if not count:
                continue
            notes.append(f"stored data of {count} {what} was lost; it is computed again")
            kept = {"tile": self._marks("tile"), "refined": self._marks("refined")}
            kept[name] = done & ~lost
            # The lower numbers first: marks may be more than was recorded, but never fewer.
            self._mark(complete=False, done=kept)
            with storage_errors("write", self._path):
                marks = for_writing(self._root[f"{layout.OURS}/{name}_done"])
                marks[...] = kept[name].astype(np.uint8)
        if self._lost_of_overview():
            notes.append("part of the overview was lost; it is written again")
            self._mark(complete=False)
        return tuple(notes)

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
                values = for_writing(ours["refined_probs"])
                values[(..., *inside.slices)] = probs[(..., *part)].astype(np.float16)
                for_writing(ours["refined_done"])[inside.slices] = 1

    def finish(self, *, complete: bool = True) -> None:
        """Build the pyramids of what was written and record whether the run is complete."""
        self._access.require_writing()
        with self._mutex:
            self._begin()
            self._require_data("refined", self._done("refined"))
            self._paint_tiles()
            ome_zarr.rebuild_image_pyramid(self._root)
            for name in (layout.PATCH, layout.REFINED):
                finest = f"labels/{name}/0"
                chunks.fill_missing(self._path / finest, self._root[finest])
                ome_zarr.rebuild_label_pyramid(self._root[f"labels/{name}"])
            self._mark(complete=complete, pyramids=True)
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
        where = f"{self._path}/{key}"
        with reading("an array", where, error=StoreError, hint=chunks.AGAIN):
            array: Any = self._root[key]
        return chunks.read_whole(self._path, key, array)

    def holds_all(self, name: str) -> bool:
        """Return whether every chunk of a label map and its coarser levels is there and intact."""
        group: Any = self._root[f"labels/{name}"]
        levels = [str(entry["path"]) for entry in group.attrs["ome"]["multiscales"][0]["datasets"]]
        folder = self._path / "labels" / name
        return all(
            chunks.stored_chunks(folder / level, group[level]).all()
            and next(chunks.damaged_chunks(folder / level, group[level]), None) is None
            for level in levels
        )

    def require_all(self) -> None:
        """Make sure that nothing is lost of what runs have written.

        Raises
        ------
        StoreError
            Naming the first chunk that is missing or cannot be decoded.
        """
        self._access.require_open()
        for name in _DATA:
            self._require_data(name, self._done(name))
        self._require_overview()
        whole = bool(self._state().get("pyramids", False))
        for key, array in self._arrays():
            # The finest level of the overview may have gaps, where the slide cannot be read.
            if whole and key != "0" and not key.startswith(f"{layout.OURS}/"):
                stored = chunks.stored_chunks(self._path / key, array)
                if not stored.all():
                    raise chunks.lost_error(self._path, key, stored, array, 0.0)
            for file, fault in chunks.damaged_chunks(self._path / key, array):
                with reading("a chunk of an analysis", file, hint=chunks.AGAIN, error=StoreError):
                    raise fault

    @property
    def overview_is_whole(self) -> bool:
        """Whether every chunk of the overview's finest level is there."""
        return bool(chunks.stored_chunks(self._path / "0", self._root["0"]).all())

    def probability_map(self, name: MapName) -> ProbabilityMap:
        """Return "patch", "cell" (both of stage 1) or "refined" probabilities.

        The map's coverage is where the run has finished.
        """
        self._access.require_open()
        marks = "refined" if name == "refined" else "tile"
        done = self._done(marks)
        self._require_data(marks, done)
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
        self._require_overview()
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
        cell, label = self._geometries.cell, self._geometries.label
        refined_done = self._done("refined")
        if refined_done.any():
            self._require_data("refined", refined_done)
            labels = self.read(f"labels/{layout.REFINED}/0")
            for rows, done in iter_resampled(refined_done.view(np.uint8), cell, label):
                labels[rows] *= done
            return labels
        tile_done = self._done("tile")
        if not tile_done.any():
            return np.zeros(label.shape, np.uint8)
        return self.painted_tiles()

    def stored_labels(self, name: str) -> Labels:
        """Return "patch" on the tile grid or "refined" on the label grid, as written."""
        self._access.require_open()
        marks = "tile" if name == layout.PATCH else "refined"
        self._require_data(marks, self._done(marks))
        return self.read(_PATCH_LABELS if name == layout.PATCH else f"labels/{name}/0")

    def _paint_tiles(self) -> None:
        """Write the tiles' classes on the label grid, where other programs see them."""
        group, grid = self._root[f"labels/{layout.PATCH}"], self._geometries.label
        for rows, labels in iter_resampled(self._tile_labels(), self._geometries.tile, grid):
            ome_zarr.write_label_window(group, Window(rows.start, 0, *labels.shape), labels)

    def painted_tiles(self) -> Labels:
        """Return the tiles' classes on the label grid, as `finish` writes them, shape (H, W)."""
        return resample_nearest(self._tile_labels(), self._geometries.tile, self._geometries.label)

    def _tile_labels(self) -> Labels:
        done = self._done("tile")
        self._require_data("tile", done)
        return self.read(_PATCH_LABELS) * done

    def _done(self, name: str) -> npt.NDArray[np.bool_]:
        """Return which tiles ("tile") or cells ("refined") are done, as it is marked.

        Raises
        ------
        StoreError
            If there are fewer marks than a run has recorded: some are lost.
        """
        recorded = self._recorded(name)  # first, since a run at work adds marks
        done = self._marks(name)
        if int(done.sum(dtype=np.int64)) < recorded:
            lost = recorded - int(done.sum(dtype=np.int64))
            mm2 = lost * self._marks_geometry(name).cell_mm2
            raise StoreError(
                f"{visible(self._path)} is damaged: {layout.OURS}/{name}_done lacks {lost} of "
                f"{recorded} marks, so {mm2:.3g} mm² that were analyzed are lost.",
                hint=chunks.AGAIN,
            )
        return done

    def _marks(self, name: str) -> npt.NDArray[np.bool_]:
        return np.asarray(self.read(f"{layout.OURS}/{name}_done") == 1)

    def _recorded(self, name: str) -> int:
        done = self._state().get("done", {})
        return int(done.get(name, 0)) if isinstance(done, dict) else 0

    def _require_data(self, name: str, done: npt.NDArray[np.bool_]) -> None:
        """Make sure that the data of everything that is marked as done is there."""
        for key in _DATA[name]:
            lost, stored = self._lost(key, name, done)
            if lost.any():
                mm2 = int(lost.sum(dtype=np.int64)) * self._marks_geometry(name).cell_mm2
                raise chunks.lost_error(self._path, key, stored, self._root[key], mm2)

    def _lost_of_overview(self) -> int:
        recorded = int(self._state().get("overview_chunks", 0))
        there = int(chunks.stored_chunks(self._path / "0", self._root["0"]).sum(dtype=np.int64))
        return max(0, recorded - there)

    def _require_overview(self) -> None:
        if self._lost_of_overview():
            array = self._root["0"]
            stored = chunks.stored_chunks(self._path / "0", array)
            raise chunks.lost_error(self._path, "0", stored, array, 0.0)

    def _lost(
        self, key: str, name: str, done: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return which done cells have lost their data, and which chunks there are."""
        array: Any = self._root[key]
        geometry = self._geometries.label
        if not key.startswith("labels/"):
            on_tiles = array.shape[-2:] == self._geometries.tile.shape
            geometry = self._geometries.tile if on_tiles else self._geometries.cell
        stored = chunks.stored_chunks(self._path / key, array)
        if name == "refined" and not self._header.checked and not stored.all():
            # Earlier versions did not write chunks in which no tile was analyzed.
            per_tile = self._geometries.cells_per_tile
            tiles = self._marks("tile")
            done = done & tiles.repeat(per_tile, axis=0).repeat(per_tile, axis=1)
        marks = self._marks_geometry(name)
        return chunks.lost_cells(stored, array, geometry, done, marks), stored

    def _marks_geometry(self, name: str) -> MapGeometry:
        return self._geometries.tile if name == "tile" else self._geometries.cell

    def _arrays(self) -> Iterator[tuple[str, Any]]:
        """Iterate over all arrays that a run writes, with their paths."""
        keys = [f"{layout.OURS}/{name}" for name in self._geometries.shapes(self._classes)]
        ome: Any = self._root.attrs["ome"]
        levels = [str(entry["path"]) for entry in ome["multiscales"][0]["datasets"]]
        for name in (layout.PATCH, layout.REFINED):
            keys += [f"labels/{name}/{level}" for level in levels]
        for key in (*levels, *keys):
            with reading("an array", f"{self._path}/{key}", error=StoreError, hint=chunks.AGAIN):
                yield key, self._root[key]

    @property
    def _state_path(self) -> Path:
        return self._path / layout.OURS / layout.RUN

    def _state(self) -> dict[str, Any]:
        return read_checked(self._state_path, required=self._header.checked)

    def _mark(
        self,
        *,
        complete: bool,
        pyramids: bool = False,
        done: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    ) -> None:
        done = done or {name: self._done(name) for name in _DATA}
        counts = {name: int(marks.sum(dtype=np.int64)) for name, marks in done.items()}
        pyramids = pyramids or bool(self._state().get("pyramids", False))
        there = int(chunks.stored_chunks(self._path / "0", self._root["0"]).sum(dtype=np.int64))
        state = layout.run_state(complete=complete, done=counts, pyramids=pyramids, overview=there)
        write_checked(self._state_path, state)

    def _scatter(
        self, key: str, index: npt.NDArray[np.int64], values: npt.NDArray[np.generic]
    ) -> None:
        """Write one square block per tile, (n, ..., k, k), one chunk at a time."""
        array = for_writing(self._root[key])
        edge = values.shape[-1]
        place = f"{self._path}/{key}"
        for members in _by_chunk(index, max(1, CELLS_PER_REGION // edge)):
            corner = index[members].min(axis=0)
            size = (index[members].max(axis=0) - corner + 1) * edge
            part = (..., *Window(*(int(n) for n in (*(corner * edge), *size))).slices)
            block = np.array(read_window(array, part))
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
