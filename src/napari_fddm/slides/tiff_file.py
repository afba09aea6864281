"""Structure of a TIFF slide: which image is the slide, its levels, its pixel size."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import FddmError, SlideError
from napari_fddm.slides.mpp import (
    MppClaim,
    aperio_fields,
    claim_from_aperio,
    claim_from_objective,
    claim_from_ome,
    claim_from_resolution,
)
from napari_fddm.slides.tiff_extras import associated_series, tiff_properties
from napari_fddm.slides.tiff_level import NotBrightfieldError, TiffLevel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MAX_UNTILED_BYTES = 1 << 30
"""An image without tiles is kept in memory if its decoded size is at most this."""

_STACK_AXES = {"Z": "focus planes", "T": "time points", "C": "channels"}
_COPY_AGAIN = "The file is damaged or no TIFF; copy it again from the scanner."

# tifffile logs the faults that our errors report already; unless the application has a
# handler of its own, they should not reach the terminal a second time.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class TiffStructure:
    """A TIFF slide's levels, finest first, and its metadata.

    `is_scanner` is true for files that a scanner wrote, not an image library; `properties`
    are its metadata, `associated` the series of other images by name.
    """

    levels: tuple[TiffLevel, ...]
    claims: tuple[MppClaim | None, ...]
    warnings: tuple[str, ...]
    is_scanner: bool
    properties: Mapping[str, str]
    associated: Mapping[str, int]


def read_structure(path: Path) -> TiffStructure:
    """Read the directories of a TIFF file, no pixels.

    Parameters
    ----------
    path : Path
        An existing file.

    Returns
    -------
    TiffStructure

    Raises
    ------
    SlideError
        If the file is no TIFF, is cut off before its directories, or holds no 8-bit
        gray, RGB or RGBA image.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            return _structure(file, path)
    except FddmError:
        raise
    except Exception as error:  # a garbled directory can make the parser raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SlideError(
            f"{path.name} cannot be read as TIFF: {reason}.",
            hint=_COPY_AGAIN,
        ) from error


def _structure(file: Any, path: Path) -> TiffStructure:
    series, number = _largest_series(file, path.name)
    levels, warnings = _levels(series, path.name)
    if number > 0:
        warnings.append(f"image {number + 1} of {len(file.series)} was opened: it is the largest.")
    notes = (_truncation(levels, path.stat().st_size), _sparseness(levels))
    warnings += [note for note in notes if note]
    claims = _claims(file, levels[0].page, number)
    is_scanner = bool(file.is_svs or file.is_ndpi or file.is_scn or file.is_bif)
    return TiffStructure(
        tuple(levels),
        claims,
        tuple(warnings),
        is_scanner,
        tiff_properties(file, levels[0].page),
        associated_series(file, number),
    )


def _largest_series(file: Any, name: str) -> tuple[Any, int]:
    """Return the series with the most pixels and its number; labels and macros are smaller."""
    sizes = [s.keyframe.imagelength * s.keyframe.imagewidth for s in file.series]
    if not sizes:
        raise SlideError(
            f"{name} is cut off: its image directory is missing.",
            hint="Copy it again from the scanner.",
        )
    number = sizes.index(max(sizes))
    return file.series[number], number


def _levels(series: Any, name: str) -> tuple[list[TiffLevel], list[str]]:
    _refuse_stack(series, name)
    levels: list[TiffLevel] = []
    warnings: list[str] = []
    for number, source in enumerate(series.levels):
        pages = [page for page in source.pages if page is not None]
        level = TiffLevel(pages, source.keyframe, name)
        if levels and not _fits(levels[0].shape, levels[-1].shape, level.shape):
            warnings.append(
                f"level {number} ({level.shape[1]}×{level.shape[0]} px) does not fit the "
                "pyramid and is not used."
            )
            continue
        levels.append(level)
        if number == 0 and len(pages) == 3:
            warnings.append("three separate planes are taken as red, green and blue.")
    _refuse_large_untiled(levels[0], name)
    return levels, warnings


def _refuse_stack(series: Any, name: str) -> None:
    found = [
        f"{count} {_STACK_AXES.get(axis, 'images')}"
        for axis, count in zip(series.axes, series.shape, strict=True)
        if axis not in "YXS" and count > 1 and (axis, count) != ("C", 3)
    ]
    if found:
        raise NotBrightfieldError(
            f"{name} is a stack of {' and '.join(found)}, not one brightfield image.",
            hint="Export one RGB plane as a pyramidal TIFF.",
        )


def _refuse_large_untiled(level: TiffLevel, name: str) -> None:
    if level.is_tiled or level.nbytes <= MAX_UNTILED_BYTES:
        return
    raise SlideError(
        f"{name} has no tiles and would need {level.nbytes / 2**30:.1f} GiB of memory.",
        hint="Convert it to a tiled pyramidal TIFF, for instance with "
        "`vips tiffsave in.tif out.tif --tile --pyramid`.",
    )


def _fits(full: tuple[int, int], finer: tuple[int, int], shape: tuple[int, int]) -> bool:
    """Return whether a level is smaller than the one before and keeps the proportions."""
    if not all(k <= n for n, k in zip(finer, shape, strict=True)) or shape == finer:
        return False
    expected = full[0] * shape[1] / full[1]
    return abs(expected - shape[0]) <= max(2.0, 0.01 * expected, 2.0 * full[0] / full[1])


def _truncation(levels: Sequence[TiffLevel], size: int) -> str:
    segments = [segment for level in levels for segment in level.segments]
    missing = sum(segment.offset + segment.count > size for segment in segments)
    if not missing:
        return ""
    return (
        f"the file is truncated: {missing} of {len(segments)} tiles are missing; "
        "reading them will fail."
    )


def _sparseness(levels: Sequence[TiffLevel]) -> str:
    segments = [segment for level in levels for segment in level.segments]
    sparse = sum(segment.is_sparse for segment in segments)
    if not sparse:
        return ""
    return f"{sparse} of {len(segments)} tiles were never stored by the scanner; they are white."


def _claims(file: Any, page: Any, number: int) -> tuple[MppClaim | None, ...]:
    description = page.description or ""
    aperio = aperio_fields(description) if file.is_svs else {}
    ome = file.ome_metadata if file.is_ome else None
    magnification = re.search(r"NominalMagnification=\"([^\"]+)\"", ome or "")
    power = aperio.get("AppMag") or (magnification.group(1) if magnification else None)
    return (
        claim_from_aperio(aperio),
        claim_from_ome(ome, number),
        _resolution_claim(file, page),
        claim_from_objective(power),
    )


def _resolution_claim(file: Any, page: Any) -> MppClaim | None:
    x, y = page.resolution
    imagej = file.imagej_metadata or {} if file.is_imagej else {}
    if imagej.get("unit") in ("micron", "um", "µm", "\\u00B5m") and x > 0 and y > 0:
        return MppClaim(1 / y, 1 / x, "tiff-resolution")
    return claim_from_resolution(y, x, int(page.resolutionunit))
