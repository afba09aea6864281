"""OME-Zarr 0.5 metadata as plain dictionaries: build it from our values, and read it.

NGFF stores micrometers and centers of pixels; a `MapGeometry` needs the level-0
pixel as well. Our own block beside the ``ome`` key carries it, so that a map
comes back exactly as it was; in files of other programs the map's own cell
counts as the level-0 pixel.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from napari_fddm.core.classes import OSTEOSARCOMA, ClassTable, Role, TissueClass
from napari_fddm.core.errors import ConfigError, StoreError
from napari_fddm.core.geometry import MapGeometry
from napari_fddm.core.units import um_per_unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

VERSION = "0.5"
BLOCK = "napari_fddm"
"""Key of our own attributes, beside ``ome``."""
_RGB_CHANNELS = (("red", "FF0000"), ("green", "00FF00"), ("blue", "0000FF"))


def pyramid_geometries(
    geometry: MapGeometry, *, count: int | None = None, smallest: int = 256
) -> list[MapGeometry]:
    """Return the levels of a pyramid, each half as fine as the one before.

    Parameters
    ----------
    geometry : MapGeometry
        The finest level.
    count : int, optional
        Number of levels. A label map MUST have as many as its image (NGFF 0.5,
        "labels"); a level of one cell is then followed by one of one larger cell.
    smallest : int
        Without ``count``: cells per side at which halving stops.
    """
    levels = [geometry]
    while len(levels) < count if count else max(levels[-1].shape) > smallest:
        levels.append(levels[-1].downsampled(2))
    return levels


def multiscale(
    name: str, levels: Sequence[MapGeometry], *, method: str, channels: bool
) -> dict[str, Any]:
    """Build one entry of ``multiscales``.

    Parameters
    ----------
    name : str
        Shown by viewers.
    levels : sequence of MapGeometry
        Finest first; their arrays are named "0", "1" …
    method : str
        How a level follows from the finer one: "mean" or "mode".
    channels : bool
        Whether the arrays are (c, y, x) instead of (y, x).
    """
    places = [(level.scale, level.translate) for level in levels]
    return {
        "name": name,
        "axes": axes("micrometer", channels=channels),
        "datasets": datasets(places, channels=channels),
        "type": method,
        "metadata": {"description": f"each level halves the finer one ({method} of 2 by 2)"},
    }


def axes(unit: str | None, *, channels: bool) -> list[dict[str, str]]:
    """Build the ``axes`` (y, x), or (c, y, x), in a unit; None for pixels of no known size."""
    unit_entry = {"unit": unit} if unit else {}
    space = [{"name": name, "type": "space", **unit_entry} for name in ("y", "x")]
    return [{"name": "c", "type": "channel"}, *space] if channels else space


def datasets(
    places: Iterable[tuple[Sequence[float], Sequence[float]]], *, channels: bool
) -> list[dict[str, Any]]:
    """Build the ``datasets`` of a pyramid; its arrays are named "0", "1" and so on.

    Parameters
    ----------
    places : iterable of (scale, translation)
        Each (y, x), for each level, finest first.
    channels : bool
        Whether the arrays are (c, y, x) instead of (y, x).
    """
    one, zero = ([1.0], [0.0]) if channels else ([], [])
    return [
        {
            "path": str(index),
            "coordinateTransformations": [
                {"type": "scale", "scale": [*one, *scale]},
                {"type": "translation", "translation": [*zero, *translation]},
            ],
        }
        for index, (scale, translation) in enumerate(places)
    ]


def rgb_rendering() -> dict[str, Any]:
    """Build the ``omero`` block that makes viewers show the channels as one color image."""
    window = {"start": 0, "end": 255, "min": 0, "max": 255}
    channels = [
        {"label": label, "color": color, "active": True, "window": window}
        for label, color in _RGB_CHANNELS
    ]
    return {"channels": channels, "rdefs": {"model": "color"}}


def image_label(table: ClassTable) -> dict[str, Any]:
    """Build the ``image-label`` block: colors and names by value, and the source image.

    Value 0 is listed as "not analyzed" and transparent, so that no viewer
    invents a color for it.
    """
    colors = [{"label-value": 0, "rgba": [0, 0, 0, 0]}]
    names = [{"label-value": 0, "name": "not analyzed", "short": "-"}]
    for tissue in table:
        colors.append({"label-value": tissue.value, "rgba": [*tissue.display_rgb, 255]})
        names.append({"label-value": tissue.value, "name": tissue.name, "short": tissue.short})
    return {
        "version": VERSION,
        "colors": colors,
        "properties": names,
        "source": {"image": "../../"},
    }


def geometry_block(geometry: MapGeometry) -> dict[str, Any]:
    """Describe a geometry in level-0 pixels, exactly."""
    return {
        "shape": list(geometry.shape),
        "cell_level0_px": geometry.cell,
        "mpp": geometry.mpp,
        "origin_yx_level0_px": list(geometry.origin),
    }


def table_block(table: ClassTable) -> list[dict[str, Any]]:
    """Describe a class table completely, roles and both palettes included."""
    return [
        {
            "value": c.value,
            "short": c.short,
            "name": c.name,
            "role": c.role.value,
            "paper_rgb": list(c.paper_rgb),
            "display_rgb": list(c.display_rgb),
        }
        for c in table
    ]


def geometry_of_block(block: Mapping[str, Any]) -> MapGeometry:
    """Read what `geometry_block` wrote.

    Raises
    ------
    StoreError
        If something is missing or impossible.
    """
    try:
        rows, cols = (int(n) for n in block["shape"])
        y, x = (float(n) for n in block["origin_yx_level0_px"])
        cell, mpp = float(block["cell_level0_px"]), float(block["mpp"])
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"the description of a map's place is damaged: {error!r}.") from error
    finite = all(math.isfinite(n) for n in (y, x, cell, mpp))
    if not finite or min(rows, cols) < 1 or cell <= 0 or mpp <= 0:
        raise StoreError(f"the description of a map's place is impossible: {dict(block)}.")
    return MapGeometry((rows, cols), cell, mpp, (y, x))


def table_of_block(block: Sequence[Mapping[str, Any]]) -> ClassTable:
    """Read what `table_block` wrote.

    Raises
    ------
    StoreError
        If something is missing or impossible.
    """
    try:
        return ClassTable(
            tuple(
                TissueClass(
                    int(c["value"]),
                    str(c["short"]),
                    str(c["name"]),
                    Role(c["role"]),
                    _rgb(c["paper_rgb"]),
                    _rgb(c["display_rgb"]),
                )
                for c in block
            )
        )
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise StoreError(f"the stored class table is damaged: {error}.") from error


def table_of_names(properties: Sequence[Mapping[str, Any]]) -> ClassTable | None:
    """Return the osteosarcoma table if these label names are its own, else None.

    Files of other programs give names and colors but not the role of a class in the
    necrosis rate, which is not guessed.
    """
    try:
        named = {int(p["label-value"]): str(p["name"]) for p in properties}
    except (KeyError, TypeError, ValueError):
        return None
    named.pop(0, None)
    return OSTEOSARCOMA if named == {c.value: c.name for c in OSTEOSARCOMA} else None


def geometry_of_multiscale(
    entry: Mapping[str, Any], shape: tuple[int, int], mpp: float | None = None
) -> MapGeometry:
    """Derive the place of a multiscale's finest level from NGFF metadata alone.

    Parameters
    ----------
    entry : mapping
        One entry of ``multiscales``.
    shape : tuple of int
        (rows, columns) of its finest array.
    mpp : float or None
        Micrometers per level-0 pixel, where the caller knows it; otherwise the
        map's own cell counts as the level-0 pixel.

    Raises
    ------
    StoreError
        If scales are missing, not positive, or differ between y and x.
    """
    scale, translation = placed(entry)
    if not math.isclose(scale[0], scale[1], rel_tol=1e-6):
        raise StoreError(
            f"the map's pixels are not square: {scale[0]:g} by {scale[1]:g} µm.",
            hint="Resample it to square pixels first.",
        )
    mpp = scale[0] if mpp is None else mpp
    cell = scale[0] / mpp
    y, x = (t / mpp + 0.5 - cell / 2 for t in translation)
    return MapGeometry(shape, cell, mpp, (y, x))


def placed(entry: Mapping[str, Any]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return scale and translation (y, x) of a multiscale's finest level, µm.

    Raises
    ------
    StoreError
        If the metadata lacks them, or their unit.
    """
    scale, translation = transformed(entry)
    try:
        named = {axis["name"]: axis for axis in entry["axes"]}
        y, x = (_um(named[name]) for name in ("y", "x"))
    except (KeyError, TypeError) as error:
        raise StoreError(f"the multiscales metadata does not place the map: {error!r}.") from error
    return (scale[0] * y, scale[1] * x), (translation[0] * y, translation[1] * x)


def transformed(entry: Mapping[str, Any]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return scale and translation (y, x) of a multiscale's finest level, in its own units.

    Raises
    ------
    StoreError
        If the metadata lacks them or they are impossible.
    """
    try:
        names = [axis["name"] for axis in entry["axes"]]
        where = names.index("y"), names.index("x")
        steps = [*entry["datasets"][0]["coordinateTransformations"]]
        steps += entry.get("coordinateTransformations") or []
        scale, translation = [1.0, 1.0], [0.0, 0.0]
        for step in steps:
            if step["type"] == "scale":
                factors = [float(step["scale"][k]) for k in where]
                scale = [a * b for a, b in zip(scale, factors, strict=True)]
                translation = [a * b for a, b in zip(translation, factors, strict=True)]
            elif step["type"] == "translation":
                shifts = [float(step["translation"][k]) for k in where]
                translation = [a + b for a, b in zip(translation, shifts, strict=True)]
            elif step["type"] != "identity":
                raise StoreError(
                    f"the multiscales metadata has a transformation {step['type']!r}, which is "
                    "not read.",
                    hint="Place the map by scale and translation alone.",
                )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise StoreError(f"the multiscales metadata does not place the map: {error!r}.") from error
    (sy, sx), (ty, tx) = scale, translation
    if not all(math.isfinite(n) for n in (sy, sx, ty, tx)) or sy <= 0 or sx <= 0:
        raise StoreError(f"the multiscales metadata gives an impossible scale: {scale}.")
    return (sy, sx), (ty, tx)


def has_units(entry: Mapping[str, Any]) -> bool:
    """Whether the axes y and x of a multiscale have a unit, known or not."""
    return any(axis.get("unit") for axis in entry["axes"] if axis["name"] in ("y", "x"))


def has_translation(entry: Mapping[str, Any]) -> bool:
    """Whether a multiscale says where its finest level begins."""
    steps = [*entry["datasets"][0]["coordinateTransformations"]]
    steps += entry.get("coordinateTransformations") or []
    return any(step["type"] == "translation" for step in steps)


def _um(axis: Mapping[str, Any]) -> float:
    """Return the micrometers in the unit of an axis; there is no unit by default (NGFF, "axes")."""
    unit = axis.get("unit")
    if unit is None:
        raise StoreError(
            f"the axis {axis['name']!r} has no unit, so no length or area is known.",
            hint="Write its unit, such as micrometer, into the axes of its multiscales.",
        )
    um = um_per_unit(str(unit))
    if um is None:
        raise StoreError(
            f"the axis {axis['name']!r} has the unit {str(unit)!r}, which is no known length.",
            hint="Write it in micrometer, millimeter or another unit of length of OME-NGFF.",
        )
    return um


def _rgb(values: Sequence[Any]) -> tuple[int, int, int]:
    red, green, blue = (int(v) for v in values)
    return (red, green, blue)
