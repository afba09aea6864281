"""NGFF metadata of one image: its axes, levels, pixel size and channels, checked."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import SlideError
from napari_fddm.core.outside.json_files import as_object, kind_of
from napari_fddm.core.outside.text import visible_line
from napari_fddm.core.units import um_per_unit
from napari_fddm.slides.channels import Channel
from napari_fddm.slides.mpp import MppClaim

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSIONS = ("0.4", "0.5")
MOST_LEVELS = 64
_HEX = re.compile(r"#?([0-9A-Fa-f]{6})(?:[0-9A-Fa-f]{2})?")
_RATIO = 1.1
"""A level's scale that differs from its size by more contradicts it."""


@dataclass(frozen=True, slots=True)
class Multiscale:
    """What the metadata of one image says.

    Attributes
    ----------
    name : str
        Empty if it has none.
    axes : tuple of str
        Names of the axes; the one of type "channel" is "c".
    units : tuple of str or None
        The unit of each axis as it is written.
    paths : tuple of str
        Arrays of the levels, finest first.
    scales : tuple of (float, float), or of None
        Size of a pixel of each level along y and x, in the axes' units; None where the
        level has no scale.
    """

    name: str
    axes: tuple[str, ...]
    units: tuple[str | None, ...]
    paths: tuple[str, ...]
    scales: tuple[tuple[float, float] | None, ...]

    def pixel_size(self) -> tuple[MppClaim | None, str]:
        """Return the pixel size of level 0, µm, and a sentence if there is none."""
        sizes = []
        scale = self.scales[0]
        for position, axis in enumerate("yx"):
            unit = self.units[self.axes.index(axis)]
            if scale is None:
                return None, "the file gives no scale of its finest level."
            if unit is None:
                return None, (
                    f"the axes of the file have a scale of {scale[position]:g} without a unit, "
                    "so its pixel size is not known."
                )
            um = um_per_unit(unit)
            if um is None:
                return None, f"the unit {visible_line(unit)!r} of the file's axes is not known."
            sizes.append(um * scale[position])
        return MppClaim(sizes[0], sizes[1], "ome"), ""

    def contradiction(self, shapes: list[tuple[int, int]]) -> str:
        """Return a sentence if scales and sizes of the levels contradict each other, else "".

        A writer that gives all levels the scale of the first is not meant: that is known.
        """
        given = [scale for scale in self.scales if scale is not None]
        if len(given) < len(self.scales) or len(set(given)) == 1:
            return ""
        for number, (shape, scale) in enumerate(zip(shapes[1:], given[1:], strict=True), 1):
            for side, first, size, finest in zip(shape, shapes[0], scale, given[0], strict=True):
                said, is_so = size / finest, first / side
                # A side of few pixels is rounded; half a pixel of it is no contradiction.
                if max(said / is_so, is_so / said) > _RATIO + 1 / side:
                    return (
                        f"the scales of levels 0 and {number} ({finest:g} and {size:g}) do not fit "
                        f"their sizes ({first} and {side} px); check the pixel size."
                    )
        return ""


def read_multiscale(value: Any, name: str) -> Multiscale:
    """Check the metadata of one image.

    Raises
    ------
    SlideError
        If something is missing or of another type.
    """
    found = _object(value, "multiscales", name)
    axes = [_object(axis, "axes", name) for axis in _list(found, "axes", name)]
    names = tuple(_axis(axis, name) for axis in axes)
    if len(set(names)) < len(names) or not {"y", "x"} <= set(names):
        listed = ", ".join(visible_line(axis) for axis in names)
        raise SlideError(f"{name} has no y and x axis: its axes are {listed}.")
    datasets = [_object(item, "datasets", name) for item in _list(found, "datasets", name)]
    if not 0 < len(datasets) <= MOST_LEVELS:
        raise _damaged(f"it lists {len(datasets)} levels", name)
    common = _scale(found, len(names), name)
    scales: list[tuple[float, float] | None] = []
    for dataset in datasets:
        own = _scale(dataset, len(names), name)
        factors = _product(own, common, len(names))
        said = own is not None or common is not None
        scales.append((factors[names.index("y")], factors[names.index("x")]) if said else None)
    return Multiscale(
        _text(found.get("name", ""), "name", name),
        names,
        tuple(_unit(axis, name) for axis in axes),
        tuple(_text(dataset.get("path"), "path", name) for dataset in datasets),
        tuple(scales),
    )


def version_refusal(ome: Mapping[str, Any], multiscale: Mapping[str, Any]) -> str:
    """Return why metadata of this version cannot be read, as the end of a sentence, or ""."""
    version = str(ome.get("version") or multiscale.get("version") or VERSIONS[-1])
    if version.startswith(VERSIONS):
        return ""
    return f"is OME-Zarr {visible_line(version[:20])}; {' and '.join(VERSIONS)} can be read"


def read_channels(omero: Any, name: str) -> tuple[tuple[Channel, ...], bool]:
    """Return what the omero metadata says of channels, and whether they are shown in gray.

    Raises
    ------
    SlideError
        If it is of another type.
    """
    if omero is None:
        return (), False
    found = _object(omero, "omero", name)
    if "channels" not in found:
        return (), False
    channels = [_object(item, "channels", name) for item in _list(found, "channels", name)]
    display = found.get("rdefs")
    model = display.get("model") if isinstance(display, dict) else None
    is_gray = model in ("greyscale", "grayscale")
    return tuple(
        Channel(
            _text(channel.get("label", ""), "label", name),
            None if is_gray else _color(channel.get("color")),
        )
        for channel in channels
    ), is_gray


def _axis(axis: Mapping[str, Any], name: str) -> str:
    return "c" if axis.get("type") == "channel" else _text(axis.get("name"), "name", name)


def _unit(axis: Mapping[str, Any], name: str) -> str | None:
    unit = axis.get("unit")
    return None if unit in (None, "") else _text(unit, "unit", name)


def _scale(value: Mapping[str, Any], axes: int, name: str) -> tuple[float, ...] | None:
    """Return the product of the scales of a list of transformations; None if there is none."""
    product: tuple[float, ...] | None = None
    if value.get("coordinateTransformations") is None:
        return None
    for transform in _list(value, "coordinateTransformations", name):
        if _object(transform, "coordinateTransformations", name).get("type") != "scale":
            continue
        factors = _list(transform, "scale", name)
        numbers = tuple(
            float(n) for n in factors if isinstance(n, int | float) and not isinstance(n, bool)
        )
        if len(factors) != axes or len(numbers) != axes:
            raise _damaged(f"a scale is no list of {axes} numbers", name)
        if not all(math.isfinite(n) and n > 0 for n in numbers):
            raise _damaged(f"a scale is {visible_line(str(list(numbers)))}", name)
        product = _product(product, numbers, axes)
    return product


def _product(
    one: tuple[float, ...] | None, other: tuple[float, ...] | None, axes: int
) -> tuple[float, ...]:
    pairs = zip(one or (1.0,) * axes, other or (1.0,) * axes, strict=True)
    return tuple(a * b for a, b in pairs)


def _color(value: Any) -> tuple[int, int, int] | None:
    found = _HEX.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    red, green, blue = bytes.fromhex(found[1])
    return red, green, blue


def _object(value: Any, what: str, name: str) -> dict[str, Any]:
    return as_object(value, f"{what!r} of {name}", error=SlideError)


def _list(values: Mapping[str, Any], key: str, name: str) -> list[Any]:
    value = values.get(key)
    if not isinstance(value, list):
        found = f"is {kind_of(value)}" if key in values else "is missing"
        raise _damaged(f"{key!r} {found}", name)
    return value


def _text(value: Any, what: str, name: str) -> str:
    if not isinstance(value, str):
        raise _damaged(f"{what!r} is {kind_of(value)}, not a text", name)
    return value


def _damaged(reason: str, name: str) -> SlideError:
    return SlideError(
        f"{name} cannot be read as OME-Zarr: {reason}.", hint="Check it with an OME-NGFF validator."
    )
