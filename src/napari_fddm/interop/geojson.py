"""Read outlines with a class from GeoJSON, as QuPath writes it (x before y, level-0 px)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import DataError
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.json_files import kind_of, read_json_value
from napari_fddm.core.outside.text import quoted, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy.typing as npt

    Ring = npt.NDArray[np.float64]

SUFFIXES = (".geojson", ".json", ".geojson.gz", ".json.gz")
UNNAMED = ""
"""Name of an outline without a class."""
DERIVED = ": "
"""Between the names of a class that is derived from another: ``Tumor: Positive``."""
_GEOMETRIES = {
    "Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon",
    "GeometryCollection",
}  # fmt: skip
_MOST_PX = 1e9
"""Coordinates beyond it are cut to it: no slide is that large, and no sum overflows."""
_HINT = "Export it again: in QuPath, File ▸ Export objects as GeoJSON."


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """One polygon with its holes.

    Attributes
    ----------
    name : str
        Name of its class in the file; `UNNAMED` if it has none.
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
        Those with a class, in the file's order; where two overlap, the later one counts.
    unnamed : tuple of Outline
        Those without a class.
    unnamed_features : int
        Features that have an area but no class.
    without_area : mapping of str to int
        Features without an area, by their kind of geometry.
    """

    outlines: tuple[Outline, ...]
    unnamed: tuple[Outline, ...] = ()
    unnamed_features: int = 0
    without_area: Mapping[str, int] = field(default_factory=dict)

    @property
    def skipped(self) -> int:
        """Features without a class or without an area."""
        return self.unnamed_features + sum(self.without_area.values())


def is_geojson(path: Path) -> bool:
    """Return whether a file is taken for GeoJSON, by its name."""
    return path.name.lower().endswith(SUFFIXES)


def read_outlines(path: Path) -> OutlineFile:
    """Read the polygons of a GeoJSON file, which may be compressed by gzip.

    It may hold a collection of features, a list of them, a feature, or a bare geometry.

    Raises
    ------
    DataError
        If it is no GeoJSON or holds no feature, or a polygon is broken.
    """
    # QuPath writes NaN where a measurement is missing; of coordinates it is refused below.
    content = read_json_value(path, what="GeoJSON", error=DataError, hint=_HINT, constants=True)
    with reading("GeoJSON", path, hint=_HINT):  # lists in lists in lists
        return _outlines(content, path)


def _outlines(content: Any, path: Path) -> OutlineFile:
    named: list[Outline] = []
    unnamed: list[Outline] = []
    unnamed_features, without_area = 0, Counter[str]()
    for number, feature in enumerate(_features(content, path), start=1):
        where = f"feature {number} of {visible(path.name)}"
        name = _class_name(feature, where)
        geometry = feature.get("geometry")
        polygons = list(_polygons(geometry, where))
        if not polygons:
            without_area[_kind(geometry)] += 1
        elif name is None:
            unnamed_features += 1
            unnamed += [Outline(UNNAMED, rings) for rings in polygons]
        else:
            named += [Outline(name, rings) for rings in polygons]
    return OutlineFile(tuple(named), tuple(unnamed), unnamed_features, dict(without_area))


def _features(content: Any, path: Path) -> list[dict[str, Any]]:
    """Return the features of a collection, a list, or of one feature or geometry."""
    kind = content.get("type") if isinstance(content, dict) else None
    if kind == "FeatureCollection":
        content = content.get("features")
    elif kind == "Feature":
        content = [content]
    elif isinstance(kind, str) and kind in _GEOMETRIES:
        content = [{"geometry": content}]
    if not isinstance(content, list) or not content or not all(_is_feature(f) for f in content):
        raise DataError(
            f"{visible(path)} holds no features.",
            hint="In QuPath: File ▸ Export objects as GeoJSON, as a FeatureCollection.",
        )
    return content


def _is_feature(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type", "Feature") == "Feature"


def _class_name(feature: dict[str, Any], where: str) -> str | None:
    """Return the class as one name: that of a class derived from another has both names.

    QuPath up to 0.4 writes ``name``, later versions write ``names``.
    """
    properties = feature.get("properties")
    given = properties.get("classification") if isinstance(properties, dict) else None
    if not isinstance(given, dict):
        return _text(given, where)
    name, names = _text(given.get("name"), where), given.get("names")
    if names is None:
        return name
    if not isinstance(names, list):
        raise DataError(f"{where}: names of its class are {kind_of(names)}.", hint=_HINT)
    parts = [part for part in (_text(n, where) for n in names) if part is not None]
    joined = DERIVED.join(parts) or None
    if name is not None and joined is not None and name != joined:
        raise DataError(
            f"{where} has two classes, {quoted(name)} and {quoted(joined)}.", hint=_HINT
        )
    return joined or name


def _text(value: Any, where: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise DataError(f"{where}: its class is {kind_of(value)}, not a name.", hint=_HINT)
    return value.strip() or None


def _kind(geometry: Any) -> str:
    """Return what a geometry without an area is, for the count of what is left out."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    return kind if isinstance(kind, str) and kind in _GEOMETRIES else "no geometry"


def _polygons(geometry: Any, where: str) -> Iterator[tuple[Ring, ...]]:
    if not isinstance(geometry, dict):
        return
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "GeometryCollection":
        for part in _list(geometry.get("geometries"), where):
            yield from _polygons(part, where)
    elif kind == "Polygon":
        yield _rings(coordinates, where)
    elif kind == "MultiPolygon":
        for polygon in _list(coordinates, where):
            yield _rings(polygon, where)


def _list(value: Any, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise DataError(f"{where}: its coordinates are {kind_of(value)}.", hint=_HINT)
    return value


def _rings(polygon: Any, where: str) -> tuple[Ring, ...]:
    try:
        rings_xy = [_corners(ring) for ring in _list(polygon, where)]
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise DataError(f"{where} has a polygon without corners.", hint=_HINT) from error
    if not rings_xy or any(len(np.unique(r, axis=0)) < 3 for r in rings_xy):
        raise DataError(f"{where} has a polygon with fewer than three corners.", hint=_HINT)
    return tuple(ring[:, ::-1] for ring in rings_xy)


def _corners(ring: Any) -> Ring:
    """Return the corners of a ring, (n, 2), x before y; a height behind them is not used."""
    corners_xy = [(x, y) for x, y, *_ in ring]
    if not all(type(n) in (int, float) for corner in corners_xy for n in corner):
        raise ValueError("a coordinate is no number")
    found = np.array(corners_xy, np.float64).reshape(-1, 2)
    if not np.isfinite(found).all():
        raise ValueError("a coordinate is not finite")
    return np.clip(found, -_MOST_PX, _MOST_PX)
