"""The corrected label maps of a store, and how edits are logged and written into them.

The event log decides. A corrected map is the automatic labels with the logged edits
applied, stored so that other OME-Zarr readers see it; ``synced.json`` says which edit
and which run it was derived from, and a map that does not match is derived again.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.edits import Edit, edit_of_window
from napari_fddm.core.errors import ConfigError, StoreError
from napari_fddm.core.files import storage_errors
from napari_fddm.core.geometry import Window, bounding
from napari_fddm.core.outside.checked_json import read_checked, write_checked
from napari_fddm.interop import ome_zarr
from napari_fddm.pipeline.store import layout
from napari_fddm.pipeline.store.eventlog import EDIT
from napari_fddm.pipeline.store.strokes import stroke_fields

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    import zarr

    from napari_fddm.core.classes import ClassTable
    from napari_fddm.core.geometry import MapGeometry
    from napari_fddm.pipeline.store.access import Access
    from napari_fddm.pipeline.store.eventlog import EventLog
    from napari_fddm.pipeline.store.maps import AutomaticMaps

    Labels = npt.NDArray[np.uint8]

_Basis = dict[str, Any]
"""What a stored map was derived from: number of the last edit, revision of the maps."""
_WRITTEN_AT_ONCE = 1 << 22
"""Cells. Overlapping pieces of one stroke are written together, up to this area."""


class Corrections:
    """The label maps of one store that people edit.

    Every method that reads raises a StoreError once the store is closed. Every method
    that writes also does so if the store is read-only, and a StoreBusyError if another
    program is editing it; edits raise a SignedOffError if the analysis is signed off.

    Parameters
    ----------
    path : Path
        The store's folder.
    root : Group
        The store, opened for reading or writing.
    geometry : MapGeometry
        The label grid.
    table : ClassTable
        Classes an edit may use.
    automatic : AutomaticMaps
        The labels that edits start from.
    log : EventLog
        Where edits are logged.
    access : Access
        What the store allows at present.
    """

    def __init__(
        self,
        path: Path,
        root: zarr.Group,
        geometry: MapGeometry,
        table: ClassTable,
        automatic: AutomaticMaps,
        log: EventLog,
        access: Access,
    ) -> None:
        self._root = root
        self._geometry = geometry
        self._table = table
        self._automatic = automatic
        self._log = log
        self._access = access
        self._mutex = threading.RLock()
        self._synced_path = path / layout.OURS / layout.SYNCED
        self._basis: dict[str, _Basis] = {}
        self._dirty: dict[str, list[Window]] = {}
        self._begun = False
        # Edits in the log that are not in their map yet: layer, edit, number in the log.
        self._logged: deque[tuple[str, Edit, int]] = deque()

    @property
    def layers(self) -> list[str]:
        """Names of the label maps that can be edited."""
        listed: Any = self._root["labels"].attrs.asdict()["ome"]["labels"]
        return [n for n in listed if n not in (layout.PATCH, layout.REFINED)]

    def sync(self) -> None:
        """Take the editor's lock and bring the stored maps up to date.

        Maps are derived again that do not follow from the log and the last run, as
        after a crash, or when a run of another process has ended.

        Raises
        ------
        StoreBusyError
            If another program is editing this store.
        """
        self._access.require_writing()
        self._sync()

    def _sync(self) -> None:
        with self._mutex:
            self._begin()
            for layer in self.layers:
                if not self._is_current(layer):
                    self._derive(layer)

    def _begin(self) -> None:
        """Take the log's lock and bring every map up to date, once."""
        with self._mutex:
            self._log.acquire()
            if not self._begun:
                self._begun = True
                stored = self._stored_basis()
                self._basis = {k: b for k, b in stored.items() if b == self._due(k)}
                self._sync()

    def sync_and_release(self) -> None:
        """Do what `sync` does and release the lock, unless it was held before."""
        self._access.require_writing()
        with self._mutex:
            held = self._log.writing
            self._sync()
            if not held:
                self.close()

    def add_reader(self, reader: str) -> str:
        """Create a further reader's map, equal to the automatic one, and return its name.

        Raises
        ------
        StoreError
            If the name is impossible or taken.
        """
        self._access.require_writing()
        layer = layout.reader_layer(reader)
        with self._mutex:
            self._begin()
            ome_zarr.create_labels(self._root, layer, self._geometry, self._table)
            self._derive(layer)
        return layer

    def append_edit(self, edit: Edit, *, layer: str = layout.CORRECTED, reader: str = "") -> None:
        """Log an edit durably, then write it into the stored map.

        Raises
        ------
        StoreError
            If the edit does not fit, or cannot be written. In the latter case
            it is kept in memory (`EventLog.pending`) and the map is derived
            again from the log as soon as that is possible.
        """
        self._access.require_writing()
        self._check(edit, layer)
        with self._mutex:
            fields = stroke_fields(edit, layer, reader)
            try:
                self._begin()
            except StoreError:
                self._log.defer(EDIT, **fields)
                raise
            self._access.require_unsigned()
            basis = self._basis.pop(layer, None)
            record = self._log.append(EDIT, **fields)
            if basis is not None:
                self._basis[layer] = basis
            self._logged.append((layer, edit, int(record["seq"])))
            self._apply_logged()

    def log_edits(
        self, edits: Sequence[Edit], *, layer: str = layout.CORRECTED, reader: str = ""
    ) -> None:
        """Log edits durably, all or none; `apply_logged` writes them into their map.

        It waits for nothing but the log: neither for a map that is being derived nor for
        an export in another thread.

        Raises
        ------
        StoreError
            If an edit does not fit or they cannot be written; nothing is kept.
        """
        self._access.require_writing()
        for edit in edits:
            self._check(edit, layer)
        self._log.acquire()
        self._access.require_unsigned()
        records = self._log.extend([(EDIT, stroke_fields(e, layer, reader)) for e in edits])
        self._logged.extend(
            (layer, edit, int(record["seq"])) for edit, record in zip(edits, records, strict=True)
        )

    def apply_logged(self) -> None:
        """Write the edits that `log_edits` has logged into their maps.

        Raises
        ------
        StoreError
            If a map cannot be written. It is derived again from the log later.
        """
        self._access.require_writing()
        self._apply_logged()

    def _apply_logged(self) -> None:
        with self._mutex:
            self._begin()
            while self._logged:
                batch = self._next_batch()
                layer, _, seq = batch[-1]
                basis = self._basis.pop(layer, None)
                if basis is None:
                    self._derive(layer)
                else:  # the map may have been derived after some of these edits
                    due = [edit for _, edit, number in batch if number > basis["seq"]]
                    self._write_edits(layer, due)
                    self._basis[layer] = basis | {"seq": max(seq, basis["seq"])}
                for _ in batch:
                    self._logged.popleft()

    def _next_batch(self) -> list[tuple[str, Edit, int]]:
        """Return the oldest edit to write, and those after it that lie close to it in its map."""
        batch: list[tuple[str, Edit, int]] = []
        for item in list(self._logged):
            whole = bounding([edit.window for _, edit, _ in (*batch, item)])
            far = whole is not None and whole.height * whole.width > _WRITTEN_AT_ONCE
            if batch and (far or item[0] != batch[0][0]):
                break
            batch.append(item)
        return batch

    def _write_edits(self, layer: str, edits: Sequence[Edit]) -> None:
        whole = bounding([edit.window for edit in edits])
        if whole is None:
            return
        block = self._read(layer, whole)
        for edit in edits:
            w = edit.window
            part = Window(w.y - whole.y, w.x - whole.x, w.height, w.width).slices
            block[part][edit.mask()] = edit.after
        ome_zarr.write_label_window(self._group(layer), whole, block)
        self._dirty.setdefault(layer, []).append(whole)

    def write(
        self,
        window: Window,
        labels: Labels,
        *,
        layer: str = layout.CORRECTED,
        tool: str = "write",
        reader: str = "",
    ) -> None:
        """Write part of a map, and log what differs from the stored one as an edit.

        Do not log the same change with `append_edit` as well.
        """
        self._access.require_writing()
        if labels.shape != (window.height, window.width) or labels.dtype != np.uint8:
            raise StoreError(f"{labels.shape} in {labels.dtype} is no label map of {window}.")
        inside = window.clipped(self._geometry.shape)
        if inside.is_empty:
            return
        moved = Window(inside.y - window.y, inside.x - window.x, inside.height, inside.width)
        with self._mutex:
            self._begin()
            self._access.require_unsigned()
            if not self._is_current(layer):
                self._derive(layer)
            before = self._read(layer, inside)
            after = labels[moved.slices]
            edit = edit_of_window(before, after, inside, self._geometry.shape, tool)
            if edit is not None:
                automatic = self._automatic.labels()[edit.window.slices][edit.mask()]
                self.append_edit(edit.following(automatic), layer=layer, reader=reader)

    def labels(self, layer: str) -> Labels:
        """Return a map as the log determines it, shape (H, W), even if the stored one is stale.

        Raises
        ------
        StoreError
            If the log is damaged or belongs to another grid.
        """
        self._access.require_open()
        self._check_layer(layer)
        with self._mutex:
            if not self._is_current(layer):
                return self._replay(layer)
            return self._automatic.read(f"labels/{layer}/0")

    def _replay(self, layer: str) -> Labels:
        """Return the automatic labels with every logged edit applied, shape (H, W)."""
        automatic = self._automatic.current_labels()
        labels = automatic.copy()
        for edit in self._log.edits(layer):
            try:
                edit.apply(labels, automatic)
            except ConfigError as error:
                raise StoreError(
                    f"{self._log.path}: an edit does not fit this store: {error.message}",
                    hint="Restore the event log that belongs to it.",
                ) from error
        return labels

    def held_cells(self, layer: str = layout.CORRECTED) -> npt.NDArray[np.bool_] | None:
        """Return the cells that people gave a value of their own, (H, W); None if nobody did.

        Raises
        ------
        StoreError
            If the log is damaged.
        """
        self._access.require_open()
        self._check_layer(layer)
        held = None
        for edit in self._log.edits(layer):
            if held is None:
                held = np.zeros(self._geometry.shape, np.bool_)
            edit.update_held(held)
        return held

    def close(self) -> None:
        """Update maps, pyramids and ``synced.json``, and release the editor's lock."""
        with self._mutex:
            if not self._log.writing and not self._log.pending:
                return
            try:
                self._log.flush()
                self._apply_logged()
                for layer in self.layers:
                    if layer not in self._basis:
                        self._derive(layer)
                self._settle()
            finally:
                self._basis.clear()
                self._logged.clear()
                self._begun = False
                self._log.close()

    def _derive(self, layer: str) -> None:
        basis = self._due(layer)
        whole = Window(0, 0, *self._geometry.shape)
        ome_zarr.write_label_window(self._group(layer), whole, self._replay(layer))
        self._dirty[layer] = [whole]
        self._basis[layer] = basis
        self._settle()

    def _settle(self) -> None:
        for layer, windows in self._dirty.items():
            ome_zarr.rebuild_label_pyramid(self._group(layer), bounding(windows))
        self._dirty.clear()
        if self._basis != self._stored_basis():
            write_checked(self._synced_path, self._basis)

    def _is_current(self, layer: str) -> bool:
        if not self._log.writing:
            return self._stored_basis().get(layer) == self._due(layer)
        # A map with a basis holds every edit of ours except those in `_logged`.
        basis = self._basis.get(layer)
        if basis is None or any(name == layer for name, _, _ in tuple(self._logged)):
            return False
        return bool(basis["automatic"] == self._automatic.revision)

    def _due(self, layer: str) -> _Basis:
        return {"seq": self._last_edit(layer), "automatic": self._automatic.revision}

    def _stored_basis(self) -> dict[str, _Basis]:
        if not self._synced_path.exists():
            return {}
        stored = read_checked(self._synced_path, required=False)
        # A map that lacks chunks is derived again, like one that is out of date.
        known = set(self.layers) & set(stored)
        return {layer: stored[layer] for layer in known if self._automatic.holds_all(layer)}

    def _last_edit(self, layer: str) -> int:
        records = self._log.records(EDIT)
        return max((int(r["seq"]) for r in records if r.get("layer") == layer), default=0)

    def _group(self, layer: str) -> zarr.Group:
        return self._root[f"labels/{layer}"]

    def _read(self, layer: str, window: Window) -> Labels:
        with storage_errors("read", f"labels/{layer}", damaged=True):
            return np.array(self._group(layer)["0"][window.slices], np.uint8)

    def _check(self, edit: Edit, layer: str) -> None:
        self._check_layer(layer)
        if edit.shape != self._geometry.shape:
            raise StoreError(f"an edit of {edit.shape} does not fit a map of this store.")
        if int(edit.after.max()) > len(self._table):
            raise StoreError(
                f"label {int(edit.after.max())} is beyond the {len(self._table)} classes."
            )

    def _check_layer(self, layer: str) -> None:
        if layer not in self.layers:
            raise StoreError(
                f"there is no editable label map {layer!r}.", hint=f"Known are {self.layers}."
            )
