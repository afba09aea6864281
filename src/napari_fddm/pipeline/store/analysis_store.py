"""An analysis on disk: the store that runs and editors write, always a valid OME-Zarr.

Two jobs write into it, each under a lock of its own, so that a pathologist can
correct while a run goes on in another process: the *run* (`AutomaticMaps`) and
the *editor* (`Corrections`, `Records`). They share no file. Readers need no lock.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from napari_fddm.core.outside.checked_json import read_checked, write_checked
from napari_fddm.core.outside.json_files import as_object, parse_json
from napari_fddm.core.provenance import Provenance
from napari_fddm.interop import ngff, validation
from napari_fddm.pipeline.store import layout
from napari_fddm.pipeline.store.access import Access
from napari_fddm.pipeline.store.corrections import Corrections
from napari_fddm.pipeline.store.eventlog import EventLog, StoreBusyError
from napari_fddm.pipeline.store.maps import AutomaticMaps
from napari_fddm.pipeline.store.records import Records

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from napari_fddm.core.classes import ClassTable
    from napari_fddm.pipeline.store.access import Mode
    from napari_fddm.pipeline.store.layout import StoreGeometries

_LOGGER = logging.getLogger(__name__)


class AnalysisStore:
    """An analysis on disk; make one with `create` or `open`.

    Attributes
    ----------
    path : Path
        The store's folder.
    geometries : StoreGeometries
        Tile, cell and label grids.
    table : ClassTable
        Its classes.
    maps : AutomaticMaps
        What a run writes: overview, probabilities, automatic labels.
    corrections : Corrections
        The label maps that people edit.
    records : Records
        What people entered besides edits.
    log : EventLog
        Every edit and record, oldest first.
    """

    def __init__(self, path: Path, mode: Mode) -> None:
        root = layout.open_root(path, mode)
        self.path = path
        self._header = header = layout.read_header(root.attrs.get(ngff.BLOCK), path)
        self.geometries, self.table = header.geometries, header.table
        layout.check_metadata(root, path, header)
        self._about = _about(path, header)
        self.log = EventLog(path / layout.OURS / layout.EVENTS)
        self._access = access = Access(path, mode, self.log)
        self.records = Records(self.log, access)
        self.maps = AutomaticMaps(path, root, header, access)
        self.corrections = Corrections(
            path, root, self.geometries.label, self.table, self.maps, self.log, access
        )

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        slide_info: Mapping[str, Any],
        geometries: StoreGeometries,
        table: ClassTable,
        provenance: Provenance | Mapping[str, Any],
    ) -> Self:
        """Create an empty store, whole or not at all, and open it for writing.

        Parameters
        ----------
        path : Path
            Folder to create, see `layout.default_store_path`; parents are made.
        slide_info : mapping
            JSON values that identify the slide; "name" is shown by viewers.
        geometries : StoreGeometries
            Tile, cell and label grids.
        table : ClassTable
            The classes.
        provenance : Provenance or mapping
            What the results will depend on.

        Raises
        ------
        StoreError
            If the path is taken or cannot be written.
        """
        name = str(slide_info.get("name", path.name.removesuffix(layout.SUFFIX)))
        about = {"created": _now(), "slide": dict(slide_info), "run": _plain(provenance)}
        layout.create_store(path, name, geometries, table, about)
        return cls(path, "r+")

    @classmethod
    def open(cls, path: Path, mode: Mode = "r") -> Self:
        """Open a store.

        Writing takes no lock yet: the first write of a run or of an edit does, or
        `maps.begin` and `corrections.sync`.

        Parameters
        ----------
        path : Path
            The store's folder.
        mode : str
            "r" for reading, "r+" for writing.

        Raises
        ------
        StoreError
            If it is not a store, was written by a newer version, or is damaged.
        """
        return cls(path, mode)

    def __enter__(self) -> Self:
        """Return the store itself; leaving the block closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the store."""
        self.close()

    @property
    def unchecked(self) -> str:
        """What of it carries no checksums, in words; empty for the present layout."""
        if self._header.checked:
            return ""
        return (
            f"{self.path.name} was begun by an earlier version (layout {self._header.schema}): its "
            "data has no checksums, so that it was not checked for changed bytes"
        )

    @property
    def provenance(self) -> dict[str, Any]:
        """What the results depend on, as stored."""
        return dict(self._about.get("run", {}))

    @property
    def slide_info(self) -> dict[str, Any]:
        """What identifies the slide."""
        return dict(self._about.get("slide", {}))

    @property
    def holds_corrections(self) -> bool:
        """Whether it holds a person's work; a damaged log raises StoreError."""
        return self.corrections.layers != [layout.CORRECTED] or self.log.last_seq > 0

    def check_compatible(self, provenance: Provenance) -> None:
        """Make sure that a run with this provenance may continue what is stored.

        Raises
        ------
        SettingsDifferError
            Naming what differs: slide, weights or settings.
        """
        plain = parse_json(json.dumps(_plain(provenance)), "the settings of this run")
        wanted = Provenance(**plain)
        wanted.require_same(self.provenance, self.path, lambda: self.holds_corrections)

    def update_provenance(self, provenance: Provenance | Mapping[str, Any]) -> None:
        """Replace the stored provenance, e.g. when another device continues a run."""
        self.maps.begin()
        self._about = {**self._about, "run": _plain(provenance), "updated": _now()}
        write_checked(self.path / layout.OURS / layout.PROVENANCE, self._about)

    def labels(self, name: str) -> npt.NDArray[np.uint8]:
        """Return a label map by its name; see also `AutomaticMaps.labels`.

        Parameters
        ----------
        name : str
            "patch" (on the tile grid), "refined", "corrected" or a reader's map. The
            last two are returned as the event log determines them, also after a crash.
        """
        if name in (layout.PATCH, layout.REFINED):
            return self.maps.stored_labels(name)
        return self.corrections.labels(name)

    def finish(self, *, complete: bool = True) -> None:
        """End a run: build pyramids and bring the corrected maps onto the new labels.

        A program that is editing at the same time does the latter itself
        (`Corrections.sync`).

        Parameters
        ----------
        complete : bool
            False if the run was cancelled; what it finished is kept.
        """
        self.maps.finish(complete=complete)
        try:
            self.corrections.sync_and_release()
        except StoreBusyError:
            _LOGGER.info("%s is being edited; its editor takes over the new labels", self.path)

    def validate(self) -> None:
        """Check the store against the OME-Zarr 0.5 specification, and read all of it.

        Raises
        ------
        StoreError
            Naming what is not valid, missing or damaged.
        """
        validation.validate(self.path)
        self.maps.require_all()

    def flush(self) -> None:
        """Write to the disk what is still in memory, e.g. before the store is copied."""
        self._access.require_open()
        self.log.flush()

    def close(self) -> None:
        """End an unfinished run, write what is pending, release the locks.

        Closing twice is fine.

        Raises
        ------
        StoreError
            If that fails; the locks are released all the same.
        """
        if self._access.closed:
            return
        try:
            if self.maps.unfinished:
                self.finish(complete=False)
        finally:
            self._access.closed = True
            try:
                self.corrections.close()
            finally:
                self.maps.release()


def _about(path: Path, header: layout.Header) -> dict[str, Any]:
    """Read ``provenance.json``; its objects are objects."""
    place = path / layout.OURS / layout.PROVENANCE
    about = read_checked(place, required=header.checked)
    for key in ("slide", "run"):
        about[key] = as_object(about.get(key, {}), f"{place}: {key}")
    for key in ("slide", "model", "config", "tissue"):
        if key in about["run"]:
            as_object(about["run"][key], f"{place}: run: {key}")
    return about


def _plain(provenance: Provenance | Mapping[str, Any]) -> dict[str, Any]:
    return provenance.to_json() if isinstance(provenance, Provenance) else dict(provenance)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
