"""Read the label maps to evaluate: from our stores, OME-Zarr, pictures, synthetic slides."""

from __future__ import annotations

import hashlib
import math
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.classes import OSTEOSARCOMA, ClassTable
from napari_fddm.core.errors import ConfigError, StoreError
from napari_fddm.core.geometry import MapGeometry
from napari_fddm.core.outside.files import real_path
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import quoted, visible
from napari_fddm.evaluation.grids import Grid
from napari_fddm.interop import ozx
from napari_fddm.interop.class_images import (
    ClassImage,
    Options,
    Reading,
    classes_of_values,
    read_class_image,
)
from napari_fddm.interop.label_images import label_names, read_label_image
from napari_fddm.interop.pictures import SUFFIXES
from napari_fddm.pipeline.store import layout

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.maps import ProbabilityMap
    from napari_fddm.interop.stated_sizes import StatedSize

SYNTHETIC = "synthetic:"
SYNTHETIC_CELL_UM = 4.0
"""The truth of a synthetic slide is known everywhere; this is the usual label grid."""
MOST_SYNTHETIC = 1 << 28
"""Cells of it: 16 384 squared, a slide of 65 mm."""
LABELS = "labels"
MAX_SIZE_ERROR = 0.1
"""Relative difference of two statements of one pixel size that is worth a note."""
OPTIONS = Options(
    reading="--truth-as or --pred-as (in a manifest: both)",
    leave_out="--unknown leave-out leaves such cells out of everything.",
)
OUTLINES = (".geojson", ".geojson.gz", ".json", ".json.gz")
PREFERRED = (layout.CORRECTED, layout.REFINED, layout.PATCH)


@dataclass(frozen=True, slots=True)
class ReadingSettings:
    """How the label maps of one side are read.

    Attributes
    ----------
    label : str or None
        Name of the label map in a store or OME-Zarr; None: corrected, or else
        refined, patch, the only one.
    reading : str
        How pixels are read, see `interop.class_images`.
    leave_out : bool
        Leave cells out that belong to no class, instead of refusing the picture.
    mpp : float or None
        µm per pixel of pictures, and of OME-Zarr without a unit.
    """

    label: str | None = None
    reading: Reading = "auto"
    leave_out: bool = False
    mpp: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LabelInput:
    """A label map and everything that identifies it.

    Attributes
    ----------
    name : str
        File name and label, for messages and the report.
    labels : array of uint8, shape (H, W)
        Class values, 0 not analyzed.
    grid : Grid
        Where its cells lie.
    table : ClassTable
        Its classes.
    about : dict
        JSON values for the report: kind, label, fingerprints.
    notes : tuple of str
        Notes for the reader of the scores.
    store : Path or None
        Our store, which also has probabilities.
    source : str
        The place it was read from, resolved, and the label: equal for the same map.
    level0 : bool
        Whether its place is known in level-0 px of the slide, so that outlines can be laid on it.
    """

    name: str
    labels: npt.NDArray[np.uint8]
    grid: Grid
    table: ClassTable = OSTEOSARCOMA
    about: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    store: Path | None = None
    source: str = ""
    level0: bool = False

    @property
    def fingerprint(self) -> str | None:
        """The slide's fingerprint, where the file states it."""
        return self.about.get("slide_fingerprint")

    @property
    def label(self) -> str:
        """Name of the label map inside a store."""
        return str(self.about.get("label", ""))

    def to_json(self) -> dict[str, Any]:
        """Return what identifies it, as plain JSON values."""
        return {
            "name": self.name,
            **self.about,
            "shape": list(self.labels.shape),
            "cell_um": self.grid.cell_um,
            "labels_sha256": labels_sha256(self.labels),
        }


def labels_sha256(labels: npt.NDArray[np.uint8]) -> str:
    """Return the identity of a label map's content: its shape and its values."""
    digest = hashlib.sha256(repr(labels.shape).encode())
    digest.update(labels.tobytes())
    return digest.hexdigest()


def is_label_source(path: Path) -> bool:
    """Whether a path is one label map or holds some, rather than a folder of them."""
    if path.is_file():
        # Any other program's settings may be called .json.
        return path.name.lower().endswith((*SUFFIXES, ozx.SUFFIX, ".geojson", ".geojson.gz"))
    return (path / "zarr.json").exists() or (path / ".zgroup").exists()


def is_outlines(source: str) -> bool:
    """Whether a source holds outlines, not cells: GeoJSON."""
    return not source.startswith(SYNTHETIC) and source.lower().endswith(OUTLINES)


def read_label_input(source: str, settings: ReadingSettings) -> LabelInput:
    """Read a label map.

    Parameters
    ----------
    source : str
        A store, an OME-Zarr (folder or ``.ozx``), one of its labels
        (``slide.ome.zarr/labels/NAME``), a PNG or TIFF, or the name of a synthetic
        slide, whose truth is meant. Outlines (GeoJSON) are read by `outlines`.
    settings : ReadingSettings
        How.

    Raises
    ------
    FddmError
        If it cannot be read as a map of our classes.
    """
    if source.startswith(SYNTHETIC):
        return replace(_read_synthetic(source), source=source)
    path = Path(source)
    with reading("a label map", path, error=ConfigError, hint="Check the path."):
        if not path.exists():
            raise ConfigError(f"{visible(source)} does not exist.", hint="Check the path.")
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        return replace(_read_picture(path, settings), source=str(real_path(path)))
    label = settings.label
    if path.parent.name == LABELS and is_label_source(path.parent.parent):
        path, label = path.parent.parent, path.name
    if not is_label_source(path):
        raise ConfigError(
            f"{visible(source)} is no label map.",
            hint="Give an analysis store, an OME-Zarr, GeoJSON, a PNG or a TIFF.",
        )
    ours = path.is_dir() and layout.is_our_store(path)
    found = _read_store(path, label) if ours else _read_ome_zarr(path, label, settings)
    return replace(found, source=f"{real_path(path)}/{LABELS}/{found.label}")


def read_probabilities(given: LabelInput) -> tuple[ProbabilityMap, str]:
    """Return the probabilities behind a store's label map, and their name.

    Raises
    ------
    ConfigError
        If there are none, saying why.
    """
    from napari_fddm.pipeline.store import AnalysisStore

    if given.store is None:
        raise ConfigError("the prediction has no probabilities: it is not an analysis store")
    with AnalysisStore.open(given.store) as store:
        if given.label == layout.PATCH:
            return store.maps.probability_map("patch"), "patch"
        if given.label not in (layout.REFINED, layout.CORRECTED):
            raise ConfigError(f"{given.label} is a reader's map, without probabilities")
        refined = store.maps.probability_map("refined")
        if refined.coverage.any():
            return refined, "refined"
        return store.maps.probability_map("cell"), "cell"


def _read_synthetic(source: str) -> LabelInput:
    from napari_fddm.slides.synthetic import open_synthetic

    with closing(open_synthetic(source)) as slide:
        mpp = slide.mpp.value or 1.0
        shape = slide.levels[0].shape
        geometry = MapGeometry.covering(shape, SYNTHETIC_CELL_UM / mpp, mpp)
        if math.prod(geometry.shape) > MOST_SYNTHETIC:
            rows, columns = geometry.shape
            raise ConfigError(
                f"the truth of {quoted(source)} would have {rows} × {columns} cells, which is too "
                "many.",
                hint="Name a smaller synthetic slide.",
            )
        about = {
            "kind": "truth of a synthetic slide",
            "slide_fingerprint": slide.fingerprint,
        }
        extent = (shape[0] * mpp, shape[1] * mpp)
        return LabelInput(
            source,
            slide.truth_map(geometry),
            Grid(geometry.shape, geometry, extent),
            about=about,
            level0=True,
        )


def _read_picture(path: Path, settings: ReadingSettings) -> LabelInput:
    read = read_class_image(
        path, reading=settings.reading, leave_out=settings.leave_out, options=OPTIONS
    )
    with reading("a label map", path), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    shape = (read.labels.shape[0], read.labels.shape[1])
    um, notes = _picture_size(read.size, settings.mpp, path.name)
    slide = None if um is None else (shape[0] * um[0], shape[1] * um[1])
    notes += left_out_notes(read, path.name)
    missing, every = read.not_stored
    if missing:
        notes.append(
            f"{missing} of {every} tiles or strips of {path.name} are not stored: they count as "
            "not labeled"
        )
    about: dict[str, Any] = {
        "kind": "picture",
        "read_as": read.reading,
        "file_sha256": digest,
        "left_out": read.left_out,
    }
    return LabelInput(
        path.name, read.labels, Grid(shape, None, slide), about=about, notes=tuple(notes)
    )


def _picture_size(
    stated: StatedSize, mpp: float | None, name: str
) -> tuple[tuple[float, float] | None, list[str]]:
    """Return µm per pixel (y, x) of a picture, and notes on what is not used."""
    given = None if mpp is None else (checked_mpp(mpp), mpp)
    if stated.problem and given is None:
        return None, [f"{name}: {stated.problem}; --mpp gives their size in µm"]
    if given is None or stated.um is None:
        return given or stated.um, []
    off = max(abs(math.log(a / mpp)) for a in stated.um) if mpp else 0.0
    note = f"{name} states pixels of {stated.um[1]:.4g} µm ({stated.source}), --mpp says {mpp:.4g}"
    return given, [note] if off > MAX_SIZE_ERROR else []


def checked_mpp(mpp: float) -> float:
    """Return a size of pixels that the user gave.

    Raises
    ------
    ConfigError
        If it is not above 0.
    """
    if not 0 < mpp < float("inf"):
        raise ConfigError(f"--mpp cannot be {mpp}: it must be above 0.", hint="Give µm per pixel.")
    return mpp


def left_out_notes(read: ClassImage, name: str) -> list[str]:
    """Return a note on what was left out because it is no class."""
    if not read.left_out:
        return []
    cells = sum(read.left_out.values())
    return [
        f"{name}: {cells} px of {len(read.left_out)} values or colors that belong to no "
        "class were left out"
    ]


def _read_store(path: Path, label: str | None) -> LabelInput:
    from napari_fddm.pipeline.store import AnalysisStore

    label = label or layout.CORRECTED
    with AnalysisStore.open(path) as store:
        known = (layout.PATCH, layout.REFINED, *store.corrections.layers)
        if label not in known:
            raise StoreError(
                f"{path} has no label map {label!r}.", hint=f"It has {', '.join(known)}."
            )
        labels = store.labels(label)
        geometry = store.geometries.tile if label == layout.PATCH else store.geometries.label
        slide, run, table = store.slide_info, store.provenance, store.table
        notes = [] if store.maps.complete else [f"{path.name}: the run was stopped before its end"]
        edited = 0
        if label in store.corrections.layers:
            edited = int(np.count_nonzero(labels != store.maps.labels()))
    about = {
        "kind": "analysis",
        "label": label,
        "edited_cells": edited,
        "slide_fingerprint": slide.get("fingerprint"),
        "model": run.get("model", {}).get("id"),
        "weights_sha256": run.get("model", {}).get("files"),
        "config": run.get("config"),
        "versions": run.get("versions"),
    }
    shape, mpp = run.get("slide", slide).get("shape"), geometry.mpp
    extent = (shape[0] * mpp, shape[1] * mpp) if shape else None
    grid = Grid(geometry.shape, geometry, extent)
    name = f"{path.name}, {label}"
    return LabelInput(name, labels, grid, table, about, tuple(notes), store=path, level0=True)


def _read_ome_zarr(path: Path, label: str | None, settings: ReadingSettings) -> LabelInput:
    label = label or _preferred(path)
    data = read_label_image(path, label)
    if data.table is None and settings.reading != "values":
        raise StoreError(
            f"{visible(path)}: the names of {visible(label)} are not those of our classes.",
            hint="Where its values are ours nevertheless, give --truth-as or --pred-as values.",
        )
    name = f"{path.name}, {label}"
    table = data.table or OSTEOSARCOMA
    read = classes_of_values(
        data.values, name, table, leave_out=settings.leave_out, options=OPTIONS
    )
    notes = [*left_out_notes(read, name), *data.notes(name, "not labeled")]
    shape = (read.labels.shape[0], read.labels.shape[1])
    if data.geometry is not None:
        grid = Grid(shape, data.geometry, placed=data.placed)
    elif settings.mpp is not None:
        mpp = checked_mpp(settings.mpp)
        grid = Grid(shape, None, (shape[0] * mpp, shape[1] * mpp))
        notes.append(f"{name}: {data.unit_problem}; --mpp gives {mpp:g} µm")
    else:
        raise StoreError(
            f"{visible(path)}, {visible(label)} has no unit: {data.unit_problem}.",
            hint="Give µm per pixel with --mpp, or write a unit, such as micrometer, into the "
            "axes of its multiscales.",
        )
    about = {"kind": "OME-Zarr", "label": label, "left_out": read.left_out}
    return LabelInput(name, read.labels, grid, table, about, tuple(notes), level0=data.exact)


def _preferred(path: Path) -> str:
    names = label_names(path)
    for name in PREFERRED:
        if name in names:
            return name
    if len(names) == 1:
        return names[0]
    raise StoreError(
        f"{visible(path)} has the labels {', '.join(map(visible, names)) or '(none)'}: none is "
        "chosen.",
        hint="Name one with --truth-label or --pred-label.",
    )
