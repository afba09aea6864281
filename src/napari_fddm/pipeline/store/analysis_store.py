"""The working file of an analysis, which is also its export: one valid OME-Zarr.

Two jobs write into it, each under a lock of its own, so that a pathologist can
correct while a run goes on in another process: the *run* (`AutomaticMaps`) and
the *editor* (`Corrections`). They share no file. Readers need no lock.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Self

from napari_fddm.core.errors import StoreError
from napari_fddm.core.provenance import Provenance
from napari_fddm.interop import ngff, validation
from napari_fddm.interop.files import read_json, write_json
from napari_fddm.pipeline.outputs.export import export_store
from napari_fddm.pipeline.store import layout
from napari_fddm.pipeline.store.corrections import Corrections
from napari_fddm.pipeline.store.eventlog import StoreBusyError
from napari_fddm.pipeline.store.maps import AutomaticMaps
from napari_fddm.pipeline.store.signature import LOCKED_KINDS, refuse_signed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from napari_fddm.core.classes import ClassTable
    from napari_fddm.core.edits import Edit
    from napari_fddm.core.geometry import Window
    from napari_fddm.core.maps import ProbabilityMap
    from napari_fddm.pipeline.store.eventlog import EventLog
    from napari_fddm.pipeline.store.layout import StoreGeometries
    from napari_fddm.pipeline.store.maps import MapName

    Labels = npt.NDArray[np.uint8]
    Probs = npt.NDArray[np.floating]

Mode = Literal["r", "r+"]

_LOGGER = logging.getLogger(__name__)


class AnalysisStore:
    """An analysis on disk; make one with `create` or `open`.

    Attributes
    ----------
    path : Path
        The store's folder.
    mode : str
        "r" for reading, "r+" for writing.
    geometries : StoreGeometries
        Tile, cell and label grids.
    table : ClassTable
        Its classes.
    """

    def __init__(self, path: Path, mode: Mode) -> None:
        self.path = path
        self.mode = mode
        self._closed = False
        root = layout.open_root(path, mode)
        self.geometries, self.table = layout.read_header(root.attrs.get(ngff.BLOCK), path)
        layout.check_arrays(root, path, self.geometries, len(self.table))
        self._about = read_json(path / layout.OURS / layout.PROVENANCE)
        self._maps = AutomaticMaps(path, root, self.geometries, len(self.table))
        self._corrections = Corrections(path, root, self.geometries.label, self.table, self._maps)

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
        `begin_run` and `begin_edits`.

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
    def provenance(self) -> dict[str, Any]:
        """What the results depend on, as stored."""
        return dict(self._about.get("run", {}))

    @property
    def slide_info(self) -> dict[str, Any]:
        """What identifies the slide."""
        return dict(self._about.get("slide", {}))

    @property
    def complete(self) -> bool:
        """Whether the last run came to its end."""
        return self._maps.complete

    @property
    def log(self) -> EventLog:
        """The event log; append notes with ``log.append``, edits with `append_edit`."""
        return self._corrections.log

    @property
    def holds_corrections(self) -> bool:
        """Whether a person's work is in it; a damaged log raises StoreError."""
        return self.edit_layers != [layout.CORRECTED] or self.log.last_seq > 0

    def check_compatible(self, provenance: Provenance) -> None:
        """Make sure that a run continues what is stored.

        Raises
        ------
        SettingsDifferError
            Naming what differs: slide, weights or settings.
        """
        asked = Provenance(**json.loads(json.dumps(_plain(provenance))))
        asked.require_same(self.provenance, self.path, lambda: self.holds_corrections)

    def update_provenance(self, provenance: Provenance | Mapping[str, Any]) -> None:
        """Replace the stored provenance, e.g. when another device continues a run."""
        self.begin_run()
        self._about = {**self._about, "run": _plain(provenance), "updated": _now()}
        write_json(self.path / layout.OURS / layout.PROVENANCE, self._about)

    def begin_run(self) -> None:
        """Take the run's lock now instead of with the first write.

        Raises
        ------
        StoreBusyError
            If another run is writing into this store.
        SignedOffError
            If it is signed off.
        """
        self._require_running()
        self._maps.begin()

    def begin_edits(self) -> None:
        """Take the editor's lock now; maps that a crash left behind are derived again.

        Raises
        ------
        StoreBusyError
            If another program is editing this store.
        """
        self._require_writing()
        self._corrections.begin()

    def write_overview(self, window: Window, rgb: Labels) -> None:
        """Write part of the overview, (h, w, 3) of uint8; ``window`` in label cells."""
        self._require_running()
        self._maps.write_overview(window, rgb)

    def write_tiles(
        self,
        rows_cols: npt.NDArray[np.integer],
        patch_probs: Probs,
        cell_probs: Probs,
        features: Probs,
    ) -> None:
        """Write classified tiles and mark them done; see `AutomaticMaps.write_tiles`."""
        self._require_running()
        self._maps.write_tiles(rows_cols, patch_probs, cell_probs, features)

    def write_refined(
        self, window: Window, labels: Labels, cell_window: Window, probs: Probs
    ) -> None:
        """Write a refined part and mark its cells; see `AutomaticMaps.write_refined`."""
        self._require_running()
        self._maps.write_refined(window, labels, cell_window, probs)

    def finish(self, *, complete: bool = True) -> None:
        """Wrap up a run: pyramids, and corrected maps on the new automatic labels.

        While another program is editing, it does the latter itself (`sync`). A run that was
        cancelled is not ``complete``; what it finished is kept.
        """
        self._require_writing()
        self._maps.finish(complete=complete)
        try:
            self._corrections.catch_up()
        except StoreBusyError:
            _LOGGER.info("%s is being edited; its editor takes over the new labels", self.path)

    def sync(self) -> None:
        """Bring the corrected maps up to date, e.g. when another process's run has ended."""
        self._require_writing()
        self._corrections.sync()

    def labels(self, name: str) -> Labels:
        """Return "patch" (on the tile grid), "refined", "corrected" or a reader's map.

        A corrected map is returned as the event log has it, also after a crash.
        """
        self._require_open()
        if name in (layout.PATCH, layout.REFINED):
            return self._maps.stored_labels(name)
        return self._corrections.labels(name)

    def automatic_labels(self) -> Labels:
        """Return what the models say on the label grid; see `AutomaticMaps.labels`."""
        self._require_open()
        return self._maps.labels()

    def held_cells(self, layer: str = layout.CORRECTED) -> npt.NDArray[np.bool_] | None:
        """Return the cells that people gave a value of their own, (H, W); None if nobody did."""
        self._require_open()
        return self._corrections.held(layer)

    def replay_corrected(self, layer: str = layout.CORRECTED) -> Labels:
        """Return the automatic labels with every logged edit applied."""
        self._require_open()
        return self._corrections.replay(layer)

    def probability_map(self, name: MapName) -> ProbabilityMap:
        """Return "patch", "cell" (both stage 1) or "refined" probabilities."""
        self._require_open()
        return self._maps.probability_map(name)

    def tissue_features(self) -> npt.NDArray[np.float16]:
        """Return the tissue features of the bridge cells, shape (6, H, W)."""
        self._require_open()
        return self._maps.tissue_features()

    def overview(self) -> npt.NDArray[np.uint8]:
        """Return the overview on the label grid, shape (H, W, 3)."""
        self._require_open()
        return self._maps.overview()

    @property
    def edit_layers(self) -> list[str]:
        """Names of the label maps that can be edited."""
        return self._corrections.layers

    def add_reader(self, reader: str) -> str:
        """Create the label map of a further reader and return its name."""
        self._require_writing()
        return self._corrections.add_reader(reader)

    def append_edit(self, edit: Edit, *, layer: str = layout.CORRECTED, reader: str = "") -> None:
        """Log an edit durably and write it into its map; see `Corrections.append_edit`."""
        self._require_writing()
        self._corrections.append_edit(edit, layer, reader)

    def log_edits(
        self, edits: Sequence[Edit], *, layer: str = layout.CORRECTED, reader: str = ""
    ) -> None:
        """Log edits durably, for `apply_logged` to write; see `Corrections.log_edits`."""
        self._require_writing()
        self._corrections.log_edits(edits, layer, reader)

    def apply_logged(self) -> None:
        """Write logged edits into their maps; see `Corrections.apply_logged`."""
        self._require_writing()
        self._corrections.apply_logged()

    def append_record(self, kind: str, /, **fields: Any) -> dict[str, Any]:
        """Log something else durably and return it; where that fails, nothing is kept.

        What would change a signed analysis raises a SignedOffError.
        """
        self._require_writing()
        self.log.acquire()
        if kind in LOCKED_KINDS:
            refuse_signed(self.log)
        return self.log.extend([(kind, fields)])[0]

    def write_corrected(
        self,
        window: Window,
        labels: Labels,
        *,
        layer: str = layout.CORRECTED,
        tool: str = "write",
        reader: str = "",
    ) -> None:
        """Write part of a corrected map and log what thereby changes.

        Do not log the same change with `append_edit` as well.
        """
        self._require_writing()
        self._corrections.write(window, labels, layer, tool, reader)

    def validate(self) -> None:
        """Check the store against the OME-Zarr 0.5 specification; see `validation.validate`."""
        validation.validate(self.path)

    def export(
        self, destination: Path, *, overwrite: bool = False, with_name: bool = False
    ) -> None:
        """Write a complete, validated copy of this store, without names unless asked.

        Parameters
        ----------
        destination : Path
            Folder to create, or file if it ends with ``.ozx``; it appears
            whole or not at all.
        overwrite, with_name : bool
            See `export_store`.

        Raises
        ------
        StoreError
            If the destination is taken or the copy is not valid.
        """
        self._require_open()
        self.log.flush()
        export_store(self.path, destination, overwrite=overwrite, with_name=with_name)

    def close(self) -> None:
        """Wrap up what was written and give the locks back; closing twice is fine.

        Raises
        ------
        StoreError
            If that fails; the locks are given back all the same.
        """
        if self._closed:
            return
        try:
            if self._maps.unfinished:
                self.finish(complete=False)
        finally:
            self._closed = True
            try:
                self._corrections.close()
            finally:
                self._maps.release()

    def _require_open(self) -> None:
        if self._closed:
            raise StoreError(f"{self.path} is closed.", hint="Open the analysis again.")

    def _require_running(self) -> None:
        self._require_writing()
        if not self._maps.unfinished:
            refuse_signed(self.log)

    def _require_writing(self) -> None:
        self._require_open()
        if self.mode != "r+":
            raise StoreError(f"{self.path} is open for reading only.", hint='Use mode="r+".')


def _plain(provenance: Provenance | Mapping[str, Any]) -> dict[str, Any]:
    return provenance.to_json() if isinstance(provenance, Provenance) else dict(provenance)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
