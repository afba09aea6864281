"""Read outlines with a class from GeoJSON, as QuPath writes it (x before y, level-0 px)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import DataError
from napari_fddm.core.outside.json_files import read_json_value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    Ring = npt.NDArray[np.float64]

SUFFIXES = (".geojson", ".json", ".geojson.gz", ".json.gz")
UNNAMED = ""
"""Name of an outline without a class."""


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """One polygon with its holes.

    Attributes
    ----------
    name : str
        Name of its class in the file.
    rings : tuple of array of float, shape (corners, 2)
        (y, x) in level-0 px: the outer ring first, then the holes.
    """

    name: str
    rings: tuple[Ring, ...]


@dataclass(frozen=True, slots=True, eq=False)
class OutlineFile:
    """Outlines of a GeoJSON file.

    Attributes
    ----------
    outlines : tuple of Outline
        In the file's order; where two overlap, the later one counts.
    skipped : int
        Features without a class or without an area (points, lines).
    unnamed : tuple of Outline
        Those without a class.
    """

    outlines: tuple[Outline, ...]
    skipped: int
    unnamed: tuple[Outline, ...] = ()


def is_geojson(path: Path) -> bool:
    """Return whether a file is taken for GeoJSON, by its name."""
    return path.name.lower().endswith(SUFFIXES)


def read_outlines(path: Path) -> OutlineFile:
    """Read the polygons of a GeoJSON file.

    Raises
    ------
    DataError
        If it is no GeoJSON, or a polygon is broken.
    """
    hint = "Export it again: in QuPath, File ▸ Export objects as GeoJSON."
    content = read_json_value(path, what="GeoJSON", error=DataError, hint=hint)
    outlines: list[Outline] = []
    unnamed: list[Outline] = []
    skipped = 0
    for number, feature in enumerate(_features(content, path), start=1):
        where = f"feature {number} of {path.name}"
        name = _class_name(feature)
        polygons = list(_polygons(feature.get("geometry"), where))
        if name is None or not polygons:
            skipped += 1
            unnamed += [Outline(UNNAMED, rings) for rings in polygons]
            continue
        outlines += [Outline(name, rings) for rings in polygons]
    return OutlineFile(tuple(outlines), skipped, tuple(unnamed))


def _features(content: Any, path: Path) -> list[dict[str, Any]]:
    """Return the features of a collection, a list, or of one feature."""
    if isinstance(content, dict) and content.get("type") == "FeatureCollection":
        content = content.get("features")
    elif isinstance(content, dict) and content.get("type") == "Feature":
        content = [content]
    if not isinstance(content, list) or not all(isinstance(f, dict) for f in content):
        raise DataError(
            f"{path} holds no features.",
            hint="In QuPath: File ▸ Export objects as GeoJSON, as a FeatureCollection.",
        )
    return content


def _class_name(feature: dict[str, Any]) -> str | None:
    properties = feature.get("properties") or {}
    given = properties.get("classification")
    name = given.get("name") if isinstance(given, dict) else given
    return name if isinstance(name, str) and name.strip() else None


def _polygons(geometry: Any, where: str) -> Iterator[tuple[Ring, ...]]:
    if not isinstance(geometry, dict):
        return
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "GeometryCollection":
        for part in geometry.get("geometries") or []:
            yield from _polygons(part, where)
    elif kind == "Polygon":
        yield _rings(coordinates, where)
    elif kind == "MultiPolygon":
        for polygon in coordinates or []:
            yield _rings(polygon, where)


def _rings(polygon: Any, where: str) -> tuple[Ring, ...]:
    try:
        rings_xy = [np.asarray(ring, np.float64)[:, :2] for ring in polygon]
    except (ValueError, TypeError, IndexError) as error:
        raise DataError(f"{where} has a polygon without corners.") from error
    if not rings_xy or any(len(r) < 3 or not np.isfinite(r).all() for r in rings_xy):
        raise DataError(f"{where} has a polygon with fewer than three corners.")
    return tuple(ring[:, ::-1] for ring in rings_xy)
