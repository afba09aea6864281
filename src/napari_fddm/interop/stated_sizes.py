"""The size of a pixel that a TIFF of a mask or label map states, where it states one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_fddm.core.geometry import Mpp
from napari_fddm.core.outside.text import visible_line
from napari_fddm.core.units import UM_PER_UNIT, um_per_unit

if TYPE_CHECKING:
    from tifffile import TiffFile

_RESOLUTION_UNITS = {2: "inch", 3: "centimeter"}
"""TIFF 6.0, section 8; inch where the tag is missing."""
_UNCALIBRATED = ("", "pixel", "pixels")
"""What ImageJ writes for a picture of unknown scale."""
_MAX_ERROR = 0.1
"""Relative error of a stated size that is not taken for another size."""
_OME_DEFAULT = "µm"
"""OME-XML's unit of a physical size without one (OME schema 2016-06, Pixels)."""


@dataclass(frozen=True, slots=True)
class StatedSize:
    """What a picture says about the size of its pixels.

    Attributes
    ----------
    um : tuple of float or None
        (y, x), µm; None where nothing usable is stated.
    source : str
        Where it is stated; empty if nowhere.
    problem : str
        Why what is stated cannot be used, with the unit as it is written; empty if it can.
    """

    um: tuple[float, float] | None = None
    source: str = ""
    problem: str = ""


UNSTATED = StatedSize()


def stated_size(file: TiffFile, page: Any, shape: tuple[int, int]) -> StatedSize:
    """Return the pixel size of the finest level of a TIFF: by OME-XML, ImageJ or resolution tags.

    Parameters
    ----------
    file : TiffFile
        The open file.
    page : TiffPage
        Its first page.
    shape : tuple of int
        (height, width) of the picture; OME-XML of another size is of another picture.
    """
    if file.is_ome:
        return _of_ome(str(file.ome_metadata or ""), shape)
    tags = [_ratio(page.tags.get(name)) for name in ("YResolution", "XResolution")]
    y, x = tags
    if y is None or x is None:
        return UNSTATED
    if file.is_imagej:
        unit = (file.imagej_metadata or {}).get("unit")
        if unit is None or str(unit).strip().lower() in _UNCALIBRATED:
            return UNSTATED
        return _in_units((1 / y, 1 / x), str(unit), "ImageJ")
    tag = page.tags.get("ResolutionUnit")
    unit = _RESOLUTION_UNITS.get(int(tag.value) if tag is not None else 2)
    if unit is None:
        return UNSTATED
    um = (UM_PER_UNIT[unit] / y, UM_PER_UNIT[unit] / x)
    # Resolution tags of writers that know no unit are those of screens and printers.
    plausible = all(Mpp.PLAUSIBLE[0] <= n <= Mpp.PLAUSIBLE[1] for n in um)
    return StatedSize(um, "TIFF resolution") if plausible else UNSTATED


def spans(um: tuple[float, float], shape: tuple[int, int], extent_um: tuple[float, float]) -> bool:
    """Whether pixels of a stated size make up a slide of a known one, but for 10 % and rounding.

    Parameters
    ----------
    um : tuple of float
        (y, x) of a pixel, µm.
    shape : tuple of int
        (height, width) of the picture.
    extent_um : tuple of float
        (height, width) of the slide, µm.
    """
    allowed = _MAX_ERROR + sum(1 / n for n in shape)
    sides = zip(shape, um, extent_um, strict=True)
    return all(abs(math.log(n * size / extent)) <= allowed for n, size, extent in sides)


def _of_ome(xml: str, shape: tuple[int, int]) -> StatedSize:
    """Return the size in the one ``Pixels`` element that has the size of the picture."""
    import tifffile

    images = tifffile.xml2dict(xml)["OME"]["Image"]
    every = [image["Pixels"] for image in (images if isinstance(images, list) else [images])]
    found = [p for p in every if (int(p["SizeY"]), int(p["SizeX"])) == shape]
    if len(found) != 1 or not {"PhysicalSizeY", "PhysicalSizeX"} <= set(found[0]):
        return UNSTATED
    y, x = (float(found[0][f"PhysicalSize{axis}"]) for axis in "YX")
    units = {str(found[0].get(f"PhysicalSize{axis}Unit", _OME_DEFAULT)) for axis in "YX"}
    if len(units) != 1:
        return StatedSize(None, "OME-XML", "its two sides have different units")
    return _in_units((y, x), units.pop(), "OME-XML")


def _in_units(sizes: tuple[float, float], unit: str, source: str) -> StatedSize:
    um = um_per_unit(unit)
    if um is None:
        problem = f"the unit of its pixels, {visible_line(unit)!r}, is no known length"
        return StatedSize(None, source, problem)
    y, x = (n * um for n in sizes)
    if not all(math.isfinite(n) and n > 0 for n in (y, x)):
        return StatedSize(None, source, f"its pixels cannot be {y:g} × {x:g} µm large")
    return StatedSize((y, x), source)


def _ratio(tag: Any) -> float | None:
    """Return the value of a resolution tag, a fraction; None if it is missing or no number."""
    if tag is None:
        return None
    numerator, denominator = tag.value
    value = numerator / denominator if denominator else 0.0
    return value if math.isfinite(value) and value > 0 else None
