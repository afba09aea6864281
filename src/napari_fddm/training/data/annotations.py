"""Annotations of slides behind one protocol: the label values in a region of the slide."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_fddm.core.class_names import REGION, Meaning
from napari_fddm.core.errors import DataError
from napari_fddm.core.geometry import MapGeometry, Region
from napari_fddm.core.outlines import area_px, clipped, outline_mask
from napari_fddm.core.outside.text import quoted, visible
from napari_fddm.interop.class_images import read_class_image
from napari_fddm.interop.geojson import OutlineFile, is_geojson, read_outlines
from napari_fddm.interop.stated_sizes import spans
from napari_fddm.pipeline.store import AnalysisStore
from napari_fddm.pipeline.store.layout import CORRECTED, is_our_store
from napari_fddm.slides.mpp import require_mpp
from napari_fddm.slides.synthetic import SyntheticSlide
from napari_fddm.training.data.manifest import TRUTH
from napari_fddm.training.data.splits import image_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from napari_fddm.core.class_names import ClassNames
    from napari_fddm.core.protocols import Slide
    from napari_fddm.interop.geojson import Outline

    Labels = npt.NDArray[np.uint8]

MAX_ASPECT_ERROR = 0.01
"""If the pixels of a mask are further from square than this, it belongs to another slide."""
ROUNDING_PX = 1.0
"""Level-0 px²: an outline that lies off the slide by less is drawn along its edge."""


class Annotation(Protocol):
    """The classes in a slide, drawn by a person or known from a simulation."""

    @property
    def identity(self) -> str:
        """A digest that changes when the annotation does."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What of it is left out or read otherwise than it is written, a phrase for each."""
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
    if is_geojson(path):
        return _of_outlines(read_outlines(path), path, names, slide)
    return _of_picture(path, slide, names)


def _of_picture(path: Path, slide: Slide, names: ClassNames) -> GridAnnotation:
    """Read a picture of class values or colors, which covers the whole slide."""
    read = read_class_image(path, names.table)
    labels, notes = read.labels, []
    height, width = slide.levels[0].shape
    cell = (height / labels.shape[0], width / labels.shape[1])
    if abs(cell[0] / cell[1] - 1) > MAX_ASPECT_ERROR:
        raise DataError(
            f"the mask {path.name} of {labels.shape[1]} × {labels.shape[0]} px does not have the "
            f"shape of {slide.name}, {width} × {height} px.",
            hint="A mask image covers the whole slide.",
        )
    mpp = slide.mpp.value
    if read.size.um is not None and mpp is not None:
        shape = (labels.shape[0], labels.shape[1])
        if not spans(read.size.um, shape, (height * mpp, width * mpp)):
            raise DataError(
                f"the mask {path.name} of {shape[1]} × {shape[0]} px states pixels of "
                f"{read.size.um[1]:.3g} µm ({read.size.source}), which does not fit {slide.name} "
                f"with {width} × {height} px of {mpp:.3g} µm.",
                hint="A mask image covers the whole slide; correct its pixel size if it does.",
            )
    missing, every = read.not_stored
    if missing:
        notes.append(f"{missing} of {every} tiles or strips that are not stored left out")
    return GridAnnotation(labels, cell, image_key(str(path)), tuple(notes))


@dataclass(frozen=True, eq=False)
class GridAnnotation:
    """Label values on a grid that begins at the slide's corner.

    Attributes
    ----------
    grid : array of uint8, shape (h, w)
        Label values.
    cell : tuple of float
        (height, width) of a cell, level-0 px.
    identity, notes
        See `Annotation`.
    """

    grid: Labels
    cell: tuple[float, float]
    identity: str
    notes: tuple[str, ...] = ()

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
        Label value of each outline; 0 for one that is left out, which removes all that it
        covers, whether drawn before it or after.
    rings : tuple of tuple of array of float, shape (corners, 2)
        Of each outline: the outer ring, then the holes; (y, x) in level-0 px.
    identity, notes
        See `Annotation`.
    """

    values: tuple[int, ...]
    rings: tuple[tuple[npt.NDArray[np.float64], ...], ...]
    identity: str
    notes: tuple[str, ...] = ()

    def labels(self, region: Region, side: int) -> Labels:
        """See `Annotation`."""
        geometry = MapGeometry((side, side), region.height / side, 1.0, (region.y, region.x))
        out = np.zeros((side, side), np.uint8)
        drawn = sorted(zip(self.values, self.rings, strict=True), key=lambda pair: pair[0] == 0)
        for value, (outer, *holes) in drawn:
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
    identity, notes
        See `Annotation`.
    """

    slide: SyntheticSlide
    identity: str
    notes: tuple[str, ...] = ()

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


def _of_outlines(
    file: OutlineFile, path: Path, names: ClassNames, slide: Slide
) -> OutlineAnnotation:
    meanings = _meanings(file, path, names)
    notes = _without_class(file)
    notes += [meaning.note for meaning in meanings.values() if meaning.note]
    used = [o for o in file.outlines if o.name != REGION or meanings[o.name].value is not None]
    hiding = Counter(o.name for o in used if meanings[o.name].value is None)
    notes += [
        f"{_left_out(n, 'outline', quoted(name))}, with all under it" for name, n in hiding.items()
    ]
    if len(used) < len(file.outlines):
        notes.append(_left_out(len(file.outlines) - len(used), "outline", quoted(REGION)))
    if len(used) == sum(hiding.values()):
        raise DataError(
            f"{visible(path.name)} holds no outline with a class"
            f"{': ' if notes else ''}{'; '.join(notes)}.",
            hint="Give the outlines a class in the program that drew them, or map their names "
            "with --label NAME=CLASS.",
        )
    notes += _off_slide(used, meanings, path, slide)
    values = [meanings[o.name].value or 0 for o in used]
    digest = hashlib.sha256(repr(values).encode())
    for outline in used:
        for ring in outline.rings:
            digest.update(repr(ring.shape).encode() + ring.tobytes())
    rings = tuple(outline.rings for outline in used)
    return OutlineAnnotation(tuple(values), rings, digest.hexdigest(), tuple(notes))


def _meanings(file: OutlineFile, path: Path, names: ClassNames) -> dict[str, Meaning]:
    """Return what each name in a file means.

    Raises
    ------
    DataError
        With all names that mean no class, and how many outlines have them.
    """
    found: dict[str, Meaning] = {}
    unknown: dict[str, DataError] = {}
    counts = Counter(outline.name for outline in file.outlines)
    for name in counts:
        try:
            found[name] = names.meaning(name, where=visible(path.name), outline=True)
        except DataError as error:
            unknown[name] = error
    if len(unknown) == 1:
        raise next(iter(unknown.values()))
    if unknown:
        listed = ", ".join(f"{quoted(name)} ({counts[name]})" for name in unknown)
        raise DataError(
            f"{visible(path.name)}: the labels {listed} are no classes.",
            hint=next(iter(unknown.values())).hint,
        )
    return found


def _without_class(file: OutlineFile) -> list[str]:
    notes = []
    if file.unnamed_features:
        notes.append(_left_out(file.unnamed_features, "annotation", "without a class"))
    for kind, n in file.without_area.items():
        notes.append(_left_out(n, "annotation", f"without an area ({kind})"))
    return notes


def _off_slide(
    outlines: list[Outline], meanings: Mapping[str, Meaning], path: Path, slide: Slide
) -> list[str]:
    """Return notes on what lies off the slide.

    Raises
    ------
    DataError
        If every outline with a class does.
    """
    height, width = slide.levels[0].shape
    off, beyond_px, on_it = Counter[str](), 0.0, False
    for outline in outlines:
        beyond = _beyond_px(outline, (height, width))
        if beyond is None:
            off[outline.name] += 1
        else:
            on_it |= meanings[outline.name].value is not None
            beyond_px += beyond
    if not on_it:
        low, high = (
            np.array([getattr(o.rings[0], end)(axis=0) for o in outlines]) for end in ("min", "max")
        )
        (y0, x0), (y1, x1) = low.min(axis=0), high.max(axis=0)
        raise DataError(
            f"all outlines of {visible(path.name)} lie outside the slide {visible(slide.name)} of "
            f"{width} × {height} px: they reach from x {x0:g}, y {y0:g} to x {x1:g}, y {y1:g}.",
            hint="Are they another slide's, or in micrometers? They must be in pixels of the "
            "slide's full resolution.",
        )
    notes = [
        _left_out(n, "outline", f"{quoted(name)} outside the slide") for name, n in off.items()
    ]
    if beyond_px >= ROUNDING_PX:
        um2 = beyond_px * require_mpp(slide) ** 2
        area = f"{um2 / 1e6:.3f} mm²" if um2 >= 1000 else f"{um2:.3g} µm²"
        notes.append(f"{area} of outlines beyond the edge of the slide left out")
    return notes


def _beyond_px(outline: Outline, shape: tuple[int, int]) -> float | None:
    """Return the area of an outline beyond the slide, level-0 px²; None if all of it is."""
    outer = outline.rings[0]
    if (outer >= 0).all() and (outer <= shape).all():
        return 0.0
    kept = [clipped(ring, shape) for ring in outline.rings]
    whole_px, kept_px = (
        area_px(rings[0]) - sum(area_px(hole) for hole in rings[1:])
        for rings in (outline.rings, kept)
    )
    if not len(kept[0]) or kept_px < ROUNDING_PX <= whole_px:
        return None
    return max(0.0, whole_px - kept_px)


def _left_out(count: int, what: str, which: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'} {which} left out"
