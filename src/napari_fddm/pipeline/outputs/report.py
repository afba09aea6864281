"""The report of a store: necrosis rates, areas, cautions, provenance, as plain JSON values.

It is what ``rate --json`` and ``run --report`` write.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.cards import unseen_classes
from napari_fddm.core.errors import StoreError
from napari_fddm.core.events import AnalysisOpened
from napari_fddm.core.necrosis import ClassAreas, NecrosisReport, necrosis_report
from napari_fddm.core.outlines import outline_mask
from napari_fddm.interop import ozx
from napari_fddm.pipeline.store import AnalysisStore, layout
from napari_fddm.pipeline.store.estimates import read_estimate, saw_the_rate
from napari_fddm.pipeline.store.repair import beginning
from napari_fddm.pipeline.store.signoff import read_sign_off
from napari_fddm.pipeline.store.tumor_bed import read_tumor_bed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry
    from napari_fddm.core.necrosis import NecrosisDefinition
    from napari_fddm.core.signoff import SignOff


AREAS = (
    "slide_mm2",
    "tissue_mm2",
    "tissue_excluded_mm2",
    "tissue_not_analyzed_mm2",
    "unreadable_mm2",
    "unreadable_tiles",
)
"""Keys of a run's provenance, see `pipeline.run.areas.compute_areas`; None before one ended."""
LATER_AREAS = ("not_stored_mm2", "not_stored_tiles")
"""Keys that runs of earlier versions do not have."""


CHANGED_SINCE = "the corrected labels are not those that were signed off"


def compute_store_report(
    store: AnalysisStore,
    *,
    label: str = layout.CORRECTED,
    definition: str = "fddm",
    definitions: Sequence[NecrosisDefinition] = (),
) -> NecrosisReport:
    """Count one label map of a store and apply every definition.

    Parameters
    ----------
    store : AnalysisStore
        Open store.
    label : str
        "corrected", "refined", "patch" or a reader's map.
    definition : str
        Name of the main definition, which the report shows first.
    definitions : sequence of NecrosisDefinition
        The user's own, reported beside ours.

    Raises
    ------
    StoreError
        If there is no such label map.
    ConfigError
        If the definition is unknown.
    """
    labels, grid = _labels_and_grid(store, label)
    areas = ClassAreas.from_labels(labels, grid.cell_mm2, store.table)
    edited = 0.0
    if label in store.corrections.layers:
        automatic = store.maps.labels()
        changed = int(np.count_nonzero(labels != automatic))
        # Excluded cells are 0 now, but they were analyzed and edited.
        edited = changed / max(1, int(np.count_nonzero(labels | automatic)))
    return necrosis_report(
        areas,
        definition=definition,
        definitions=definitions,
        coverage=store.provenance.get("coverage"),
        edited=edited,
    )


def bed_report(
    store: AnalysisStore,
    *,
    label: str = layout.CORRECTED,
    definition: str = "fddm",
    definitions: Sequence[NecrosisDefinition] = (),
) -> NecrosisReport | None:
    """Return the report of the inside of the tumor bed; None if nobody outlined one.

    Parameters and errors are those of `compute_store_report`.
    """
    polygons = read_tumor_bed(store)
    if not polygons:
        return None
    labels, grid = _labels_and_grid(store, label)
    inside = labels * outline_mask(polygons, grid)
    areas = ClassAreas.from_labels(inside, grid.cell_mm2, store.table)
    return necrosis_report(areas, definition=definition, definitions=definitions)


def _labels_and_grid(store: AnalysisStore, label: str) -> tuple[npt.NDArray[np.uint8], MapGeometry]:
    known = (layout.PATCH, layout.REFINED, *store.corrections.layers)
    if label not in known:
        raise StoreError(
            f"{store.path} has no label map {label!r}.", hint=f"It has {', '.join(known)}."
        )
    grid = store.geometries.tile if label == layout.PATCH else store.geometries.label
    return store.labels(label), grid


def opened_event(store: AnalysisStore, *, device: str = "") -> AnalysisOpened:
    """Return the content of a store as the event that a viewer needs to show it.

    Parameters
    ----------
    store : AnalysisStore
        Open store.
    device : str
        Device on which a run is about to continue, in words.
    """
    run = store.provenance
    last_seq = (
        store.log.last_seq
    )  # read before the labels, which may then be newer, but never older
    return AnalysisOpened(
        str(store.path),
        store.geometries.tile,
        store.geometries.label,
        store.maps.probability_map("patch").labels,
        store.maps.labels(),
        store.labels(layout.CORRECTED),
        store.slide_info,
        dict(run.get("model", {})),
        run.get("coverage"),
        device,
        read_tumor_bed(store),
        read_estimate(store),
        read_sign_off(store),
        last_seq,
        bool(store.maps.probability_map("refined").coverage.any()),
        run.get("tissue_excluded_mm2"),
        store.corrections.held_cells(),
        bool(run.get(layout.SPREAD)),
    )


def store_report(
    store: AnalysisStore,
    *,
    label: str = layout.CORRECTED,
    definition: str = "fddm",
    definitions: Sequence[NecrosisDefinition] = (),
) -> dict[str, Any]:
    """Return the whole report as plain JSON values; see `compute_store_report`."""
    report = compute_store_report(
        store, label=label, definition=definition, definitions=definitions
    )
    inside = bed_report(store, label=label, definition=definition, definitions=definitions)
    run = store.provenance
    slide = store.slide_info
    signed = read_sign_off(store)
    return {
        "slide": slide.get("name"),
        "mpp": slide.get("mpp"),
        "mpp_source": slide.get("mpp_source"),
        "label": label,
        **report.to_json(),
        **{key: run.get(key) for key in AREAS},
        **{key: run[key] for key in LATER_AREAS if key in run},
        "spread": run.get(layout.SPREAD, []),
        "inside_tumor_bed": inside.to_json() if inside is not None else None,
        "reader_estimate": read_estimate(store),
        "reader_estimate_saw_rate": saw_the_rate(store),
        "sign_off": signed.to_json() if signed is not None else None,
        "notes": _cautions(store, label, signed) + list(run.get("notes", [])),
        "research_use_only": True,
        "provenance": {
            k: run.get(k)
            for k in (
                "slide",
                "model",
                "config",
                "tissue",
                "device",
                "dtype",
                "threads",
                "batch_size",
                "versions",
            )
        },
    }


def read_report(
    path: Path | str,
    *,
    label: str = layout.CORRECTED,
    definition: str = "fddm",
    definitions: Sequence[NecrosisDefinition] = (),
) -> dict[str, Any]:
    """Return the report of a store, or of an export of one; see `compute_store_report`.

    Raises
    ------
    StoreError
        If there is no store, or not this label map in it.
    ConfigError
        If there is no such definition.
    """
    with ozx.unpacked(Path(path)) as folder, AnalysisStore.open(folder) as store:
        return store_report(store, label=label, definition=definition, definitions=definitions)


def _cautions(store: AnalysisStore, label: str, signed: SignOff | None) -> list[str]:
    """Return what limits how far the rate can be trusted, as sentences for the user."""
    run = store.provenance
    found = []
    if not store.maps.complete:
        found.append("UNFINISHED: the run was stopped; run it again to go on")
    wants_refined = run.get("config", {}).get("stage") == "refined" and label != layout.PATCH
    if wants_refined and not store.maps.probability_map("refined").coverage.any():
        found.append("nothing is refined yet: these are the classes of whole tiles")
    if run.get(layout.SPREAD) and label != layout.PATCH:
        found.append("strokes were spread into the model's labels: they are not its own alone")
    if not run.get("model", {}).get("real_tissue", True):
        found.append("the model never saw real tissue: on a real slide its classes mean nothing")
    elif unseen := unseen_classes(run.get("model", {})):
        found.append(f"the model never saw real {', '.join(unseen)}")
    if label in store.corrections.layers and (begun := beginning(store.log)):
        found.append(begun)
    if signed is not None and not signed.intact:
        found.append(f"{CHANGED_SINCE} ({signed.title})")
    return found
