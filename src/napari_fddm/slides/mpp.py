"""Pixel size (mpp, micrometers per pixel) of a slide: chosen among what its file states.

A file may state it in a vendor's field (the MPP of an Aperio SVS), in OME metadata, in
TIFF resolution tags, or as the power of the objective; the first plausible one in this
order is taken, and a value given by the user overrides them all. Implausible values
(outside `Mpp.PLAUSIBLE`, or pixels far from square) are refused with a reason: a wrong
pixel size shifts the magnification that the model sees, and scales every area.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_fddm.core.errors import MppError
from napari_fddm.core.geometry import Mpp
from napari_fddm.core.outside.text import visible_line
from napari_fddm.core.units import UM_PER_TIFF_UNIT, um_per_unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_fddm.core.protocols import Slide

MAX_ANISOTROPY = 1.05
"""Pixels whose sides differ by more than this ratio are not taken as square."""

MAX_USER_DEVIATION = 1.10
"""A user's value that differs from the file's by more than this ratio gives a warning."""

OBJECTIVE_MPP = 10.0
"""µm per pixel times objective power: 0.5 µm at 20x and 0.25 µm at 40x."""

COARSEST = 5.0
"""µm per pixel. Nuclei of 5 to 10 µm must be seen in a slide that is analyzed."""

UNKNOWN = Mpp(None, "unknown")
_OVERVIEWS = (
    "If the file is wrong, give the micrometers per pixel with --mpp; overviews and thumbnails "
    "cannot be analyzed."
)

MAX_OBJECTIVE_DEVIATION = 1.5
"""The same of an estimate from the objective's power: cameras differ."""

_NO_UNIT, _INCH, _CENTIMETER = 1, 2, 3
_PRINT_RESOLUTIONS = frozenset({1.0, 72.0, 96.0, 150.0, 300.0, 600.0})


@dataclass(frozen=True, slots=True)
class MppClaim:
    """Pixel size that one place in a file states.

    Attributes
    ----------
    y, x : float
        Micrometers per level-0 pixel along each axis.
    source : str
        "vendor", "ome", "tiff-resolution" or "objective-power"; with words behind it where
        a specification fixes what the file does not say.
    """

    y: float
    x: float
    source: str


def resolve_mpp(
    claims: Iterable[MppClaim | None],
    *,
    name: str,
    user: float | None = None,
    unclear: Sequence[str] = (),
) -> tuple[Mpp, tuple[str, ...]]:
    """Choose the pixel size among those that the file states and the user gives.

    Parameters
    ----------
    claims : iterable of MppClaim or None
        Best source first; None where a source states none.
    name : str
        The slide's name, for the messages.
    user : float, optional
        Micrometers per pixel given by hand; overrides the file.
    unclear : sequence of str
        Sentences on sizes that the file states in a way that cannot be used.

    Returns
    -------
    mpp : Mpp
        ``Mpp(None, "unknown")`` where nothing plausible is stated.
    warnings : tuple of str
        Warnings about the choice.

    Raises
    ------
    MppError
        If the user's value is not within `Mpp.PLAUSIBLE`.
    """
    stated = [claim for claim in claims if claim is not None]
    found, warnings = _first_believable(stated)
    warnings += _disagreements(stated, found)
    if user is not None:
        return _user_mpp(user, found, name)
    warnings = [*unclear, *warnings]
    if found.value is None:
        found = _unknown(warnings)
        warnings.append("the file does not say a usable pixel size; give mpp by hand.")
    elif found.source == "objective-power":
        warnings.append(
            f"pixel size {found.value:g} µm is only estimated from the objective's power."
        )
    return found, tuple(warnings)


def _disagreements(claims: Sequence[MppClaim], found: Mpp) -> list[str]:
    """Return a sentence on each plausible claim that differs from the one that was taken."""
    notes = []
    for claim in claims:
        size = math.sqrt(claim.y * claim.x)
        if found.value is None or claim.source == found.source or not _plausible(size):
            continue
        estimated = claim.source == "objective-power"
        most = MAX_OBJECTIVE_DEVIATION if estimated else MAX_USER_DEVIATION
        if max(size, found.value) / min(size, found.value) > most:
            notes.append(
                f"the file states two pixel sizes: {found.value:g} µm ({found.source}), which was "
                f"taken, and {size:g} µm ({claim.source}); check which is right."
            )
    return notes


def _plausible(size: float) -> bool:
    return Mpp.PLAUSIBLE[0] <= size <= Mpp.PLAUSIBLE[1]


def _first_believable(claims: Sequence[MppClaim]) -> tuple[Mpp, list[str]]:
    refused: list[str] = []
    for claim in claims:
        low, high = sorted((claim.y, claim.x))
        if not (_plausible(low) and _plausible(high)):
            refused.append(
                f"pixel size {claim.y:g} × {claim.x:g} µm ({claim.source}) is outside "
                f"{Mpp.PLAUSIBLE[0]:g}–{Mpp.PLAUSIBLE[1]:g} µm and was not believed."
            )
            continue
        if high / low > MAX_ANISOTROPY:
            # The next source cannot be better than one that measured both axes.
            refused.append(
                f"pixels are not square: {claim.y:g} µm high and {claim.x:g} µm wide "
                f"({claim.source}); such a slide cannot be read to scale."
            )
            return _unknown(refused), refused
        return Mpp(math.sqrt(low * high) if low != high else low, claim.source), []
    return _unknown(refused), refused


def _unknown(refused: list[str]) -> Mpp:
    return Mpp(None, UNKNOWN.source, " ".join(refused))


def require_mpp(slide: Slide) -> float:
    """Return the pixel size of a slide that is to be analyzed, µm per level-0 pixel.

    Raises
    ------
    MppError
        If it is unknown, or above `COARSEST`; the message gives what the file states and why
        that was refused.
    """
    mpp = slide.mpp
    if mpp.value is not None and mpp.value <= COARSEST:
        return mpp.value
    if mpp.value is not None:
        raise MppError(
            f"{slide.name} has pixels of {mpp.value:.5g} µm ({mpp.source}), too coarse to tell "
            f"classes of tissue: {COARSEST:g} µm at most.",
            hint=_OVERVIEWS,
        )
    if slide.mpp.reason:
        raise MppError(
            f"{slide.name} has no usable pixel size: {slide.mpp.reason}",
            hint=_OVERVIEWS,
        )
    raise MppError(
        f"{slide.name} does not say how large its pixels are.",
        hint="Give the micrometers per pixel of its finest level with --mpp "
        "(40x scans have about 0.25, 20x scans about 0.5).",
    )


def _user_mpp(user: float, found: Mpp, name: str) -> tuple[Mpp, tuple[str, ...]]:
    if not (math.isfinite(user) and Mpp.PLAUSIBLE[0] <= user <= Mpp.PLAUSIBLE[1]):
        raise MppError(
            f"{user:g} µm per pixel cannot be right for {name}.",
            hint=f"Give a value from {Mpp.PLAUSIBLE[0]:g} to {Mpp.PLAUSIBLE[1]:g}; "
            "40x scans have about 0.25, 20x scans about 0.5.",
        )
    mpp = Mpp(float(user), "user")
    if found.value is None:
        return mpp, ()
    ratio = max(user, found.value) / min(user, found.value)
    if ratio <= MAX_USER_DEVIATION:
        return mpp, ()
    return mpp, (
        f"pixel size {user:g} µm was given by hand, but the file says "
        f"{found.value:g} µm ({found.source}).",
    )


def claim_from_text(y: str | None, x: str | None, source: str) -> MppClaim | None:
    """Return a claim from two texts in µm; decimal commas are understood.

    A single text stands for both axes; None or what is no positive number gives None.
    """
    first, second = _number(y if y is not None else x), _number(x if x is not None else y)
    if first is None or second is None:
        return None
    return MppClaim(first, second, source)


def claim_from_aperio(fields: Mapping[str, str]) -> MppClaim | None:
    """Return the claim of an Aperio description's ``MPP`` field."""
    return claim_from_text(fields.get("MPP"), None, "vendor")


def claim_from_objective(power: str | None) -> MppClaim | None:
    """Return the estimate 10 µm / power; None without a power."""
    value = _number(power)
    if value is None:
        return None
    return MppClaim(OBJECTIVE_MPP / value, OBJECTIVE_MPP / value, "objective-power")


def claim_from_ome(pixel: tuple[str, str], units: tuple[str, str]) -> tuple[MppClaim | None, str]:
    """Return the claim of ``PhysicalSizeY`` and ``PhysicalSizeX`` of an OME image.

    Parameters
    ----------
    pixel : tuple of str
        The sizes along y and x, as text; empty where they are not given.
    units : tuple of str
        Their units.

    Returns
    -------
    claim : MppClaim or None
        None where there is none.
    note : str
        A sentence that quotes a unit which is not known; else empty.
    """
    y, x = (_number(text) for text in pixel)
    if y is None or x is None:
        return None, ""
    return _claim(y, x, units, "ome", "its OME-XML")


def claim_from_imagej(y: float, x: float, units: tuple[str, str]) -> tuple[MppClaim | None, str]:
    """Return the claim of ImageJ's units and the pixels per unit in a TIFF's resolution tags.

    Parameters
    ----------
    y, x : float
        Pixels per unit.
    units : tuple of str
        Along y and x, as ImageJ wrote them.

    Returns
    -------
    claim : MppClaim or None
        None where there is none.
    note : str
        A sentence that quotes a unit which is not known; else empty.
    """
    if not (_positive(y) and _positive(x)):
        return None, ""
    return _claim(1 / y, 1 / x, units, "tiff-resolution", "ImageJ's metadata")


def _claim(
    y: float, x: float, units: tuple[str, str], source: str, place: str
) -> tuple[MppClaim | None, str]:
    um = [um_per_unit(unit) for unit in units]
    if um[0] is None or um[1] is None:
        unknown = units[0] if um[0] is None else units[1]
        return None, (
            f"{place} gives the pixel size in {visible_line(unknown)[:40]!r}, which is no known "
            "unit of length."
        )
    return MppClaim(y * um[0], x * um[1], source), ""


def claim_from_resolution(y: float, x: float, unit: int | None) -> tuple[MppClaim | None, str]:
    """Return the claim of the TIFF tags ``YResolution``, ``XResolution``, ``ResolutionUnit``.

    Parameters
    ----------
    y, x : float
        Pixels per unit.
    unit : int or None
        1 none, 2 inch, 3 centimeter (TIFF 6.0, section 8); some writers use 4 for millimeter
        and 5 for micrometer. None without the tag: TIFF 6.0 says that it is inch then.

    Returns
    -------
    claim : MppClaim or None
        None for no unit and for the screen and print resolutions that writers put in
        by default (1, 72, 96, 150, 300 and 600 per inch).
    note : str
        A sentence if the unit is missing, or a number that stands for none; else empty.
    """
    if unit == _NO_UNIT or not (_positive(y) and _positive(x)):
        return None, ""
    um = UM_PER_TIFF_UNIT.get(_INCH if unit is None else unit)
    if um is None:
        return None, f"its tag ResolutionUnit is {unit}, which stands for no unit of length."
    per_inch = round(y * UM_PER_TIFF_UNIT[_INCH] / um, 1)
    if per_inch in _PRINT_RESOLUTIONS or (y == 1.0 and unit in (None, _INCH, _CENTIMETER)):
        return None, ""
    if unit is not None:
        return MppClaim(um / y, um / x, "tiff-resolution"), ""
    source = "tiff-resolution, inch by default of TIFF 6.0"
    return MppClaim(um / y, um / x, source), (
        "its tag ResolutionUnit is missing: its resolution is per inch, as TIFF 6.0 says."
    )


def aperio_fields(description: str) -> dict[str, str]:
    """Return the ``key = value`` fields of an Aperio ``ImageDescription``."""
    parts = (part.split("=", 1) for part in description.split("|")[1:] if "=" in part)
    return {key.strip(): value.strip() for key, value in parts}


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _number(text: str | None) -> float | None:
    try:
        value = float((text or "").strip().replace(",", "."))
    except ValueError:
        return None
    return value if _positive(value) else None
