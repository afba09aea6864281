"""Units of length: one table of what people and formats write, in micrometers."""

from __future__ import annotations

import html

UM_PER_UNIT = {
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
    "inch": 25_400.0,
}
"""Micrometers in each unit, by its name in OME-NGFF 0.5 (inch: UDUNITS-2)."""

UM_PER_TIFF_UNIT = {
    2: UM_PER_UNIT["inch"],
    3: UM_PER_UNIT["centimeter"],
    4: UM_PER_UNIT["millimeter"],
    5: UM_PER_UNIT["micrometer"],
}
"""Micrometers in each ``ResolutionUnit`` of TIFF; 4 and 5 are not in TIFF 6.0 but in use."""

_SPELLINGS = {
    "angstrom": ("angstrom", "angstroms", "ångström", "ångstrom", "å"),
    "nanometer": ("nm", "nanometer", "nanometers", "nanometre", "nanometres"),
    "micrometer": (
        "um", "µm", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres",
        "mcm",
    ),
    "millimeter": ("mm", "millimeter", "millimeters", "millimetre", "millimetres"),
    "centimeter": ("cm", "centimeter", "centimeters", "centimetre", "centimetres"),
    "meter": ("m", "meter", "meters", "metre", "metres"),
    "inch": ("in", "inch", "inches", '"'),
}  # fmt: skip
MEGAMETER = "Mm"
"""The one symbol of OME-XML that only its case tells from another."""
_NAMES = {text: name for name, texts in _SPELLINGS.items() for text in texts}
_LOOK_ALIKE = str.maketrans({"μ": "µ", "\u212b": "å", "\u00c5": "å"})
"""The Greek letter mu for the micro sign, the sign for ångström for the letter."""


def um_per_unit(text: str) -> float | None:
    r"""Return the micrometers in a unit of length as somebody wrote it; None if it is unknown.

    Case, blanks, both code points of µ, ``\u00B5m`` (as ImageJ escapes it), HTML's
    ``&#181;m``, and "micron" and its plural are understood.
    """
    name = None if text.strip() == MEGAMETER else _NAMES.get(_plain(text))
    return None if name is None else UM_PER_UNIT[name]


def _plain(text: str) -> str:
    unescaped = html.unescape(text).replace("\\u00B5", "µ").replace("\\u00b5", "µ")
    return unescaped.translate(_LOOK_ALIKE).strip().lower().translate(_LOOK_ALIKE)
