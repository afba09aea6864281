"""One analysis in the viewer: its layers, its label map, its store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.edits import Edit
from napari_fddm.core.geometry import Window
from napari_fddm.core.necrosis import ClassAreas, NecrosisReport, necrosis_report
from napari_fddm.core.outlines import outline_mask
from napari_fddm.interop.pyramids import resample_nearest as spread_tiles
from napari_fddm.pipeline.store import estimates, tumor_bed
from napari_fddm.pipeline.store.records import LogRecord
from napari_fddm.plugin.document.counting import LabelSync
from napari_fddm.plugin.document.keeper import StoreKeeper
from napari_fddm.plugin.layers.common import METADATA, automatic_layer
from napari_fddm.plugin.layers.corrected import CorrectedLabels
from napari_fddm.plugin.layers.slides import placement_of
from napari_fddm.plugin.layers.viewport import remove_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Labels
    from napari.viewer import Viewer

    from napari_fddm.core.events import AnalysisOpened, RegionRefined, TileBatch
    from napari_fddm.core.necrosis import NecrosisDefinition
    from napari_fddm.core.outlines import Polygon
    from napari_fddm.pipeline.store.rescue import Entry
    from napari_fddm.plugin.document.prepared import Prepared


class Analysis:
    """Layers and data of one store.

    Parameters
    ----------
    viewer : Viewer
        Gets the layers.
    prepared : Prepared
        What the store holds.
    slide_name : str
        Becomes part of the layers' names.

    Notes
    -----
    A layer takes napari as long to add as an eye needs to see that a window stands still.
    So only the corrected layer is added at once, and the two of the model by `add_next`.
    """

    def __init__(self, viewer: Viewer, prepared: Prepared, slide_name: str) -> None:
        opened = prepared.opened
        place = placement_of(viewer.layers, str(opened.slide.get("fingerprint", "")))
        self.viewer, self.place, self.slide_name = viewer, place, slide_name
        self.store_path = Path(opened.store)
        self.fingerprint = str(opened.slide.get("fingerprint", ""))
        self.geometry = opened.label_geometry
        self._tile_geometry = opened.tile_geometry
        self.patch, self.label_map = prepared.patch, prepared.label_map
        self.patch_layer = automatic_layer(
            self.patch, opened.tile_geometry, OSTEOSARCOMA, f"patch classes — {slide_name}", place
        )
        self.refined_layer = automatic_layer(
            self.label_map.automatic,
            opened.label_geometry,
            OSTEOSARCOMA,
            f"refined classes — {slide_name}",
            place,
        )
        self.layer = CorrectedLabels(
            self.label_map, OSTEOSARCOMA, f"corrected classes — {slide_name}", place
        )
        self.refined_layer.visible = False
        viewer.add_layer(self.layer)
        self._to_add = [self.refined_layer, self.patch_layer]  # the last one lies lowest
        self.sync = LabelSync(self.layer, self.label_map, len(OSTEOSARCOMA), prepared.counted)
        self.keeper = StoreKeeper(
            self.store_path, fingerprint=self.fingerprint, seq=opened.last_seq
        )
        self.sync.edited.connect(self.keeper.append)
        for layer in self.layers:
            layer.metadata[METADATA]["store"] = str(self.store_path)
        self._stale: set[Labels] = set()
        self._automatic_basis: tuple[Any, ...] = ()
        self.set_tumor_bed(opened.tumor_bed)
        self.estimate = opened.estimate
        self.sign_off = opened.sign_off
        self.update_lock()
        self.rate_seen = False
        self.model = opened.model
        self.coverage = opened.coverage
        self.tissue_excluded_mm2 = opened.tissue_excluded_mm2
        self.shows_tiles = not opened.refined and bool(opened.patch.any())
        self.stopped = False  # of a run in this window
        self.spread = opened.spread

    @property
    def layers(self) -> tuple[Labels, ...]:
        """Patch, refined and corrected layer."""
        return (self.patch_layer, self.refined_layer, self.layer)

    @property
    def is_shown(self) -> bool:
        """Whether the corrected layer is still in the viewer."""
        return self.layer in self.viewer.layers

    def add_next(self) -> bool:
        """Add one of the layers that are still missing; False if there is none."""
        if not self._to_add or not self.is_shown:
            return False
        layer, layers = self._to_add.pop(), self.viewer.layers
        active = layers.selection.active
        layers.insert(layers.index(self.layer), layer)
        layers.selection.active = active  # a stroke may be going on
        return True

    def put_tiles(self, batch: TileBatch) -> None:
        """Take the labels of a batch of tiles."""
        self.patch[batch.rows, batch.cols] = batch.labels
        self._stale.add(self.patch_layer)

    def put_tiles_as_labels(self) -> None:
        """Take the tiles' classes for the labels, unless something is refined.

        The store does the same (`pipeline.store.maps`): a run that stops after the tiles
        has a rate, of the tiles; the two methods are never mixed.
        """
        if self.label_map.automatic.any() and not self.shows_tiles:
            return
        labels = spread_tiles(self.patch, self._tile_geometry, self.geometry)
        self.sync.put_automatic(Window(0, 0, *labels.shape), labels)
        self.shows_tiles = bool(labels.any())
        self._stale |= {self.refined_layer, self.layer}

    def put_region(self, event: RegionRefined) -> None:
        """Take the labels of a refined region; corrected cells keep theirs."""
        if self.shows_tiles:
            whole = Window(0, 0, *self.geometry.shape)
            self.sync.put_automatic(whole, np.zeros(self.geometry.shape, np.uint8))
            self.shows_tiles = False
        self.sync.put_automatic(event.window, event.labels)
        self._stale |= {self.refined_layer, self.layer}

    def refresh(self) -> None:
        """Redraw what changed since the last call."""
        for layer in self._stale:
            if layer in self.viewer.layers:
                layer.refresh()
        self._stale.clear()

    def show_finished(self, *, in_front: bool = True) -> None:
        """Leave the corrected classes visible, in front if wanted, and ready for the brush."""
        self.patch_layer.visible = False
        if self.is_shown and in_front:
            self.viewer.layers.selection.active = self.layer

    @property
    def excluded_mm2(self) -> float:
        """Area that the model labeled and a person excluded, mm²."""
        return self.sync.excluded * self.geometry.cell_mm2

    def reports(
        self,
        definition: str,
        definitions: Sequence[NecrosisDefinition] = (),
    ) -> tuple[NecrosisReport, NecrosisReport]:
        """Return the reports of the corrected and of the automatic labels.

        Parameters
        ----------
        definition : str
            The one shown large.
        definitions : sequence of NecrosisDefinition
            The user's own.
        """
        mm2 = self.geometry.cell_mm2
        corrected = necrosis_report(
            ClassAreas.from_counts(self.sync.counts, mm2),
            definition=definition,
            definitions=definitions,
            coverage=self.coverage,
            edited=self.sync.edited_share,
        )
        said = ClassAreas.from_counts(self.sync.automatic_counts, mm2)
        basis = (said, definition, tuple(definitions), self.coverage)
        if basis != self._automatic_basis:  # it stays the same while the brush moves
            self._automatic_basis = basis
            self._automatic_report = necrosis_report(
                said, definition=definition, definitions=definitions, coverage=self.coverage
            )
        return corrected, self._automatic_report

    def set_tumor_bed(self, polygons: Sequence[Polygon]) -> None:
        """Count inside an outline as well; without polygons no longer.

        Parameters
        ----------
        polygons : sequence of array of float, shape (corners, 2)
            (y, x) in level-0 px, edge coordinates.
        """
        self.tumor_bed = tuple(polygons)
        mask = outline_mask(polygons, self.geometry) if polygons else None
        self.sync.set_bed(mask)

    def bed_report(
        self, definition: str, definitions: Sequence[NecrosisDefinition] = ()
    ) -> NecrosisReport | None:
        """Return the report of the corrected labels inside the outline, if there is one."""
        counts = self.sync.bed_counts
        if counts is None:
            return None
        areas = ClassAreas.from_counts(counts, self.geometry.cell_mm2)
        return necrosis_report(areas, definition=definition, definitions=definitions)

    @property
    def locked(self) -> str:
        """Why nothing may be changed; empty if it may."""
        if self.keeper.state.locked:
            return self.keeper.state.locked
        return f"{self.sign_off.title}; unlock it to change it" if self.sign_off else ""

    def update_lock(self, instead: str = "") -> None:
        """Lock or unlock the corrected layer as things stand now, or for another reason."""
        self.layer.lock_reason = instead or self.locked

    def take_stored(self, opened: AnalysisOpened) -> None:
        """Take what another program made of the analysis meanwhile.

        Strokes that were made here before its answer arrived stay on top.
        """
        labels = opened.corrected.copy()
        unread = self.keeper.take_unread()
        for edit in unread:
            edit.apply(labels)
        self.sync.take_stored(labels, opened.held)
        for edit in unread:
            edit.update_held(self.label_map.held)
        self.set_tumor_bed(opened.tumor_bed)
        self.estimate, self.sign_off = opened.estimate, opened.sign_off
        self.update_lock()

    def take_rescued(self, entries: Sequence[Entry], place: Path) -> bool:
        """Repeat what a window could not save; False while the analysis is locked.

        It goes the way of everything new; the file goes when all of it is in the log.
        """
        if self.locked:
            return False
        self.sync.repeat([entry for entry in entries if isinstance(entry, Edit)])
        for record in entries:
            if isinstance(record, LogRecord):
                self._take_record(record)
                self.keeper.record(record)
        self.keeper.forget(place)
        return True

    def _take_record(self, record: LogRecord) -> None:
        if record.kind == tumor_bed.KIND:
            self.set_tumor_bed(tumor_bed.polygons_of(record.fields))
        elif record.kind == estimates.KIND and self.estimate is None:  # the first one counts
            self.estimate = float(record.fields["rate"])

    def remove_layers(self) -> None:
        """Take its layers out of the viewer; the session then closes it.

        The brush is laid away first: napari would go on drawing its outline, for a layer
        that is gone, and under software OpenGL that ends the process when the next
        layer comes.
        """
        self.layer.mode = "pan_zoom"
        remove_layers(self.viewer, self.layers)

    def close(self) -> str:
        """Write what waits and let go of layer and store.

        Returns
        -------
        str
            What could not be kept in the store; empty if all is.
        """
        self.sync.edited.disconnect(self.keeper.append)
        self.sync.close()
        return self.keeper.close()
