"""Annotations of slides behind one protocol: the label values in a region of the slide."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_fddm.core.errors import DataError
from napari_fddm.core.geometry import MapGeometry, Region
from napari_fddm.core.outlines import outline_mask
from napari_fddm.interop.class_images import read_class_image
from napari_fddm.interop.geojson import OutlineFile, read_outlines
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.store.layout import CORRECTED, is_our_store
from napari_fddm.slides.synthetic import SyntheticSlide
from napari_fddm.training.data.manifest import TRUTH
from napari_fddm.training.data.splits import image_key

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.class_names import ClassNames
    from napari_fddm.core.protocols import Slide

    Labels = npt.NDArray[np.uint8]

MAX_ASPECT_ERROR = 0.01
"""If the pixels of a mask are further from square than this, it belongs to another slide."""
GEOJSON_SUFFIXES = (".geojson", ".json")


class Annotation(Protocol):
    """The classes in a slide, drawn by a person or known from a simulation."""

    @property
    def identity(self) -> str:
        """A digest that changes when the annotation does."""
        ...

    def labels(self, region: Region, side: int) -> Labels:
        """Return label values at the centers of a grid over a square region.

        Parameters
        ----------
        region : Region
            A square part of the slide.
        side : int
            Rows and columns of the grid.

        Returns
        -------
        array of uint8, shape (side, side)
            0 where the class is unknown.
        """
        ...


def open_annotation(mask: str, slide: Slide, names: ClassNames) -> Annotation:
    """Open the mask that a manifest names for a slide.

    Raises
    ------
    DataError
        If it is no annotation, or that of another slide.
    """
    if mask == TRUTH:
        if not isinstance(slide, SyntheticSlide):
            raise DataError(
                f"the mask {TRUTH!r} belongs to synthetic slides; {slide.name} is none."
            )
        return TruthAnnotation(slide, f"truth of {slide.fingerprint}")
    path = Path(mask)
    if path.is_dir() and is_our_store(path):
        return _of_store(path, slide)
    if path.is_dir():
        raise DataError(
            f"{path} is no analysis of napari-fddm.",
            hint="A mask is an analysis of ours, GeoJSON, PNG or TIFF.",
        )
    if path.suffix.lower() in GEOJSON_SUFFIXES:
        return _of_outlines(read_outlines(path), path, names)
    labels = read_class_image(path, names.table).labels
    height, width = slide.levels[0].shape
    cell = (height / labels.shape[0], width / labels.shape[1])
    if abs(cell[0] / cell[1] - 1) > MAX_ASPECT_ERROR:
        raise DataError(
            f"the mask {path.name} of {labels.shape[1]} × {labels.shape[0]} px does not have the "
            f"shape of {slide.name}, {width} × {height} px.",
            hint="A mask image covers the whole slide.",
        )
    return GridAnnotation(labels, cell, image_key(mask))


@dataclass(frozen=True, eq=False)
class GridAnnotation:
    """Label values on a grid that begins at the slide's corner.

    Attributes
    ----------
    grid : array of uint8, shape (h, w)
        Label values.
    cell : tuple of float
        (height, width) of a cell, level-0 px.
    identity : str
        See `Annotation`.
    """

    grid: Labels
    cell: tuple[float, float]
    identity: str

    def labels(self, region: Region, side: int) -> Labels:
        """See `Annotation`; takes the cell that a center lies in, and 0 outside the grid."""
        centers = (np.arange(side) + 0.5) / side
        rows = np.floor((region.y + centers * region.height) / self.cell[0]).astype(np.int64)
        cols = np.floor((region.x + centers * region.width) / self.cell[1]).astype(np.int64)
        height, width = self.grid.shape
        inside = ((rows >= 0) & (rows < height))[:, None] & ((cols >= 0) & (cols < width))
        found = self.grid[np.clip(rows, 0, height - 1)][:, np.clip(cols, 0, width - 1)]
        return np.where(inside, found, 0).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class OutlineAnnotation:
    """Outlines with a class; where two overlap, the later one is taken.

    Attributes
    ----------
    values : tuple of int
        Label value of each outline.
    rings : tuple of tuple of array of float, shape (corners, 2)
        Of each outline: the outer ring, then the holes; (y, x) in level-0 px.
    identity : str
        See `Annotation`.
    skipped : int
        Features of the file that have no class or no area.
    """

    values: tuple[int, ...]
    rings: tuple[tuple[npt.NDArray[np.float64], ...], ...]
    identity: str
    skipped: int = 0

    def labels(self, region: Region, side: int) -> Labels:
        """See `Annotation`."""
        geometry = MapGeometry((side, side), region.height / side, 1.0, (region.y, region.x))
        out = np.zeros((side, side), np.uint8)
        for value, (outer, *holes) in zip(self.values, self.rings, strict=True):
            low, high = outer.min(axis=0), outer.max(axis=0)
            if (low > (region.y_end, region.x_end)).any() or (high < (region.y, region.x)).any():
                continue
            mask = outline_mask([outer], geometry)
            if holes:
                mask &= ~outline_mask(holes, geometry)
            out[mask] = value
        return out


@dataclass(frozen=True, eq=False)
class TruthAnnotation:
    """The exact truth of a synthetic slide.

    Attributes
    ----------
    slide : SyntheticSlide
        The slide.
    identity : str
        See `Annotation`.
    """

    slide: SyntheticSlide
    identity: str

    def labels(self, region: Region, side: int) -> Labels:
        """See `Annotation`."""
        cell = region.height / side
        geometry = MapGeometry((side, side), cell, 1.0, (region.y, region.x))
        return self.slide.truth_map(geometry)


def _of_store(path: Path, slide: Slide) -> GridAnnotation:
    with AnalysisStore.open(path) as store:
        fingerprint = store.slide_info.get("fingerprint")
        if fingerprint != slide.fingerprint:
            raise DataError(f"the analysis {path.name} is of another slide than {slide.name}.")
        if not store.holds_corrections:
            raise DataError(
                f"the analysis {path.name} holds no corrections: a model would learn from a model.",
                hint="Correct it in napari first, or take it out of the manifest.",
            )
        labels = store.labels(CORRECTED)
        geometry = store.geometries.label
    identity = hashlib.sha256(repr(geometry).encode() + labels.tobytes()).hexdigest()
    return GridAnnotation(labels, (geometry.cell, geometry.cell), identity)


def _of_outlines(file: OutlineFile, path: Path, names: ClassNames) -> OutlineAnnotation:
    values, rings = [], []
    for outline in file.outlines:
        value = names.value_of(outline.name, where=path.name)
        if value is not None:
            values.append(value)
            rings.append(outline.rings)
    if not values:
        raise DataError(
            f"{path.name} holds no outline with a class ({file.skipped} features have none)."
        )
    digest = hashlib.sha256(repr(values).encode())
    for polygon in rings:
        for ring in polygon:
            digest.update(repr(ring.shape).encode() + ring.tobytes())
    return OutlineAnnotation(tuple(values), tuple(rings), digest.hexdigest(), file.skipped)
