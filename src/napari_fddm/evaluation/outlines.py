"""Outlines (GeoJSON) as a label map, laid on the grid of the map that they are compared with."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.class_names import REGION, ClassNames
from napari_fddm.core.errors import ConfigError, DataError
from napari_fddm.core.geometry import Region
from napari_fddm.core.outlines import ring_cells
from napari_fddm.core.outside.files import real_path
from napari_fddm.core.outside.text import quoted, visible
from napari_fddm.evaluation.grids import Grid
from napari_fddm.evaluation.reading import OPTIONS, LabelInput, ReadingSettings
from napari_fddm.interop.geojson import Outline, read_outlines
from napari_fddm.interop.outline_marks import marked_notes, without_area_notes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_fddm.core.classes import ClassTable
    from napari_fddm.core.geometry import MapGeometry


def read_outline_input(source: str, settings: ReadingSettings, onto: LabelInput) -> LabelInput:
    """Read outlines with a class as a label map; where two overlap, the later one counts.

    Parameters
    ----------
    source : str
        A GeoJSON file, in level-0 px of the slide.
    settings : ReadingSettings
        Whether outlines of no class of ours are left out.
    onto : LabelInput
        The map whose grid they get.

    Raises
    ------
    FddmError
        If it is no GeoJSON, has outlines of unknown classes or none on the slide, or the
        other map does not say where it lies in level-0 px.
    """
    path = Path(source)
    geometry = onto.grid.geometry
    if geometry is None or not onto.level0:
        raise ConfigError(
            f"the outlines of {visible(path.name)} are in pixels of the slide's full resolution, "
            f"but {visible(onto.name)} does not say where it lies in those.",
            hint="Compare outlines with an analysis, or give the truth as a PNG or TIFF.",
        )
    file = read_outlines(path)
    values, left_out, notes = _values(file.outlines, onto.table, path.name, settings)
    used = [o for o in file.outlines if o.name in values]
    notes += marked_notes(
        (o for o in used if not values[o.name]), (o for o in file.outlines if o.name == REGION)
    )
    if file.unnamed_features:
        some = "annotation" if file.unnamed_features == 1 else "annotations"
        notes.append(f"{file.unnamed_features} {some} without a class left out")
    notes += without_area_notes(file)
    notes += [
        f"{n} outline{'' if n == 1 else 's'} {quoted(name)} left out"
        for name, n in left_out.items()
    ]
    if not any(values.values()):
        raise DataError(
            f"{visible(path.name)} holds no outline with a class{': ' if notes else ''}"
            f"{'; '.join(notes)}.",
            hint="Give the outlines a class in the program that drew them.",
        )
    notes += _off_slide(used, onto.grid, geometry, path.name)
    about: dict[str, Any] = {
        "kind": "outlines",
        "outlines": len(used),
        "left_out": left_out,
        "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    labels = _drawn(used, values, geometry)
    grid = Grid(geometry.shape, geometry, onto.grid.slide_um)
    return LabelInput(
        path.name,
        labels,
        grid,
        onto.table,
        about,
        tuple(f"{path.name}: {note}" for note in notes),
        source=str(real_path(path)),
        level0=True,
    )


def _values(
    outlines: Sequence[Outline], table: ClassTable, name: str, settings: ReadingSettings
) -> tuple[dict[str, int], dict[str, int], list[str]]:
    """Return the label value of each class (0: it hides), the outlines of each unknown, and notes.

    Raises
    ------
    DataError
        If there are unknown ones which are not to be left out.
    """
    names, counts = ClassNames(table), Counter(o.name for o in outlines if o.name != REGION)
    values: dict[str, int] = {}
    unknown: dict[str, int] = {}
    notes: list[str] = []
    for given, count in counts.items():
        try:
            meaning = names.meaning(given, where=visible(name), outline=True)
        except DataError:
            unknown[given] = count
            continue
        values[given] = meaning.value or 0
        notes += [meaning.note] if meaning.note else []
    if unknown and not settings.leave_out:
        listed = ", ".join(f"{quoted(given)} ({n})" for given, n in unknown.items())
        raise DataError(
            f"{visible(name)} has outlines of classes that are none of ours: {listed}.",
            hint=f"Classes are {', '.join(table.shorts)}. {OPTIONS.leave_out}",
        )
    return values, unknown, notes


def _off_slide(
    outlines: Sequence[Outline], grid: Grid, geometry: MapGeometry, name: str
) -> list[str]:
    """Return a note on outlines that lie off the slide.

    Raises
    ------
    DataError
        If all do.
    """
    slide = geometry.region
    if grid.slide_um is not None:
        slide = Region(0.0, 0.0, *(n / geometry.mpp for n in grid.slide_um))
    off = 0
    for outline in outlines:
        low, high = outline.rings[0].min(axis=0), outline.rings[0].max(axis=0)
        around = Region(low[0], low[1], high[0] - low[0], high[1] - low[1])
        off += around.intersection(slide).is_empty
    if off == len(outlines):
        raise DataError(
            f"all outlines of {visible(name)} lie outside the slide of "
            f"{slide.width:.0f} × {slide.height:.0f} px.",
            hint="Are they another slide's, or in micrometers? They must be in pixels of the "
            "slide's full resolution.",
        )
    return [f"{off} of {len(outlines)} outlines lie outside the slide"] if off else []


def _drawn(
    outlines: Sequence[Outline], values: dict[str, int], geometry: MapGeometry
) -> npt.NDArray[np.uint8]:
    """Draw outlines in their order; those of classes left out remove all that they cover."""
    labels = np.zeros(geometry.shape, np.uint8)
    for outline in sorted(outlines, key=lambda o: not values[o.name]):
        window, inside = ring_cells(outline.rings, geometry)
        if not window.is_empty:
            labels[window.slices][inside] = values[outline.name]
    return labels
