"""One open analysis: its layers in the viewer, its label map, its store."""

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
from napari_fddm.pipeline.store import LogRecord, estimates, tumor_bed
from napari_fddm.plugin.document.edit_tracker import EditTracker
from napari_fddm.plugin.document.store_writer import StoreWriter
from napari_fddm.plugin.layers import CorrectedLabels
from napari_fddm.plugin.layers.common import METADATA, automatic_layer
from napari_fddm.plugin.layers.slides import placement_of
from napari_fddm.plugin.layers.viewport import remove_layers
from napari_fddm.plugin.plumbing.napari_text import unmarked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Labels
    from napari.viewer import Viewer

    from napari_fddm.core.events import AnalysisOpened, RegionRefined, TileBatch
    from napari_fddm.core.necrosis import NecrosisDefinition
    from napari_fddm.core.outlines import Polygon
    from napari_fddm.pipeline.store.rescue import Entry
    from napari_fddm.plugin.document.prepared_analysis import PreparedAnalysis


class Analysis:
    """The layers and the labels of one store.

    Parameters
    ----------
    viewer : Viewer
        Gets the layers.
    prepared : PreparedAnalysis
        What the store holds.
    slide_name : str
        Part of the layers' names.

    Attributes
    ----------
    layer, patch_layer, refined_layer : Labels
        The corrected labels, and the model's: per tile, and refined.
    tracker : EditTracker
        Finds edits of the corrected labels and counts classes.
    writer : StoreWriter
        Writes edits and records to the store.
    tumor_bed : tuple of Polygon
        The outline of the tumor bed; empty if there is none.
    estimate : float or None
        The reader's own necrosis rate, in [0, 1].
    sign_off : SignOff or None
        The sign-off that is valid now.
    rate_seen : bool
        Whether the computed rate was shown in this window.
    model, coverage, tissue_excluded_mm2, spread
        Of the last run, as in `AnalysisOpened`.
    shows_tiles : bool
        Whether the labels are the tiles' classes, because nothing is refined.
    stopped : bool
        Whether a run in this window was stopped.

    Notes
    -----
    napari takes so long to add a layer that three at once would visibly freeze the window.
    So only the corrected layer is added at once, and the two of the model by `add_next`.
    """

    def __init__(self, viewer: Viewer, prepared: PreparedAnalysis, slide_name: str) -> None:
        opened = prepared.opened
        place = placement_of(viewer.layers, str(opened.slide.get("fingerprint", "")))
        slide_name = unmarked(slide_name)
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
        self.tracker = EditTracker(self.layer, self.label_map, len(OSTEOSARCOMA), prepared.counted)
        self.writer = StoreWriter(
            self.store_path, fingerprint=self.fingerprint, seq=opened.last_seq
        )
        self.tracker.edited.connect(self.writer.append)
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
        self.stopped = False
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
        """Add one of the layers that are not in the viewer yet; False if there is none."""
        if not self._to_add or not self.is_shown:
            return False
        layer, layers = self._to_add.pop(), self.viewer.layers
        active = layers.selection.active
        layers.insert(layers.index(self.layer), layer)
        layers.selection.active = active  # somebody may be drawing on it
        return True

    def put_tiles(self, batch: TileBatch) -> None:
        """Show the labels of a batch of tiles."""
        self.patch[batch.rows, batch.cols] = batch.labels
        self._stale.add(self.patch_layer)

    def put_tiles_as_labels(self) -> None:
        """Use the tiles' classes as labels, unless a region is refined.

        The store does the same (`pipeline.store.maps`): a run that stops after the tiles
        has a rate, that of the tiles. Tiles and refined regions are never mixed.
        """
        if self.label_map.automatic.any() and not self.shows_tiles:
            return
        labels = spread_tiles(self.patch, self._tile_geometry, self.geometry)
        self.tracker.put_automatic(Window(0, 0, *labels.shape), labels)
        self.shows_tiles = bool(labels.any())
        self._stale |= {self.refined_layer, self.layer}

    def put_region(self, event: RegionRefined) -> None:
        """Show the labels of a refined region; corrected cells keep theirs."""
        if self.shows_tiles:
            whole = Window(0, 0, *self.geometry.shape)
            self.tracker.put_automatic(whole, np.zeros(self.geometry.shape, np.uint8))
            self.shows_tiles = False
        self.tracker.put_automatic(event.window, event.labels)
        self._stale |= {self.refined_layer, self.layer}

    def refresh(self) -> None:
        """Redraw what changed since the last call."""
        for layer in self._stale:
            if layer in self.viewer.layers:
                layer.refresh()
        self._stale.clear()

    def show_finished(self, *, in_front: bool = True) -> None:
        """Show the corrected classes after a run; ``in_front`` selects their layer."""
        self.patch_layer.visible = False
        if self.is_shown and in_front:
            self.viewer.layers.selection.active = self.layer

    @property
    def excluded_mm2(self) -> float:
        """Area of the cells that the model labeled and a person excluded, mm²."""
        return self.tracker.excluded * self.geometry.cell_mm2

    def reports(
        self,
        definition: str,
        definitions: Sequence[NecrosisDefinition] = (),
    ) -> tuple[NecrosisReport, NecrosisReport]:
        """Return the reports of the corrected and of the automatic labels.

        Parameters
        ----------
        definition : str
            Name of the definition of the main rate.
        definitions : sequence of NecrosisDefinition
            The user's own definitions.
        """
        mm2 = self.geometry.cell_mm2
        corrected = necrosis_report(
            ClassAreas.from_counts(self.tracker.counts, mm2),
            definition=definition,
            definitions=definitions,
            coverage=self.coverage,
            edited=self.tracker.edited_share,
        )
        automatic = ClassAreas.from_counts(self.tracker.automatic_counts, mm2)
        basis = (automatic, definition, tuple(definitions), self.coverage)
        if basis != self._automatic_basis:  # strokes do not change it
            self._automatic_basis = basis
            self._automatic_report = necrosis_report(
                automatic, definition=definition, definitions=definitions, coverage=self.coverage
            )
        return corrected, self._automatic_report

    def set_tumor_bed(self, polygons: Sequence[Polygon]) -> None:
        """Count inside an outline as well, or without polygons no longer.

        Parameters
        ----------
        polygons : sequence of array of float, shape (corners, 2)
            (y, x) in level-0 px, edge coordinates.
        """
        self.tumor_bed = tuple(polygons)
        mask = outline_mask(polygons, self.geometry) if polygons else None
        self.tracker.set_bed(mask)

    def bed_report(
        self, definition: str, definitions: Sequence[NecrosisDefinition] = ()
    ) -> NecrosisReport | None:
        """Return the report of the corrected labels inside the outline, if there is one."""
        counts = self.tracker.bed_counts
        if counts is None:
            return None
        areas = ClassAreas.from_counts(counts, self.geometry.cell_mm2)
        return necrosis_report(areas, definition=definition, definitions=definitions)

    @property
    def locked(self) -> str:
        """Why the analysis may not be changed; empty if it may."""
        if self.writer.state.locked:
            return self.writer.state.locked
        return f"{self.sign_off.title}; unlock it to change it" if self.sign_off else ""

    def update_lock(self, instead: str = "") -> None:
        """Lock or unlock the corrected layer; ``instead`` locks it for another reason."""
        self.layer.lock_reason = instead or self.locked

    def take_stored(self, opened: AnalysisOpened) -> None:
        """Show what another program has stored meanwhile.

        Strokes that were made here before ``opened`` arrived are applied on top.
        """
        labels = opened.corrected.copy()
        newer = self.writer.take_edits_since_reread()
        for edit in newer:
            edit.apply(labels)
        self.tracker.take_stored(labels, opened.held)
        for edit in newer:
            edit.update_held(self.label_map.held)
        self.set_tumor_bed(opened.tumor_bed)
        self.estimate, self.sign_off = opened.estimate, opened.sign_off
        self.update_lock()

    def take_rescued(self, entries: Sequence[Entry], place: Path) -> bool:
        """Apply what an earlier window could not save; False while the analysis is locked.

        It is logged like new strokes; the rescue file is removed when all of it is in the log.
        """
        if self.locked:
            return False
        self.tracker.repeat([entry for entry in entries if isinstance(entry, Edit)])
        for record in entries:
            if isinstance(record, LogRecord):
                self._take_record(record)
                self.writer.record(record)
        self.writer.remove_rescue(place)
        return True

    def _take_record(self, record: LogRecord) -> None:
        if record.kind == tumor_bed.KIND:
            self.set_tumor_bed(tumor_bed.polygons_of(record.fields))
        elif record.kind == estimates.KIND and self.estimate is None:  # the first one counts
            self.estimate = float(record.fields["rate"])

    def remove_layers(self) -> None:
        """Remove its layers from the viewer; the session then closes it.

        The brush is deactivated first. Otherwise napari goes on drawing its outline for a
        removed layer, and with software OpenGL the process crashes when the next layer is
        added.
        """
        self.layer.mode = "pan_zoom"
        remove_layers(self.viewer, self.layers)

    def close(self) -> str:
        """Write what is pending, disconnect from the layer, close the store.

        Returns
        -------
        str
            What could not be written to the store; empty if everything is.
        """
        self.tracker.edited.disconnect(self.writer.append)
        self.tracker.close()
        return self.writer.close()
