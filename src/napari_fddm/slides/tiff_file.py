"""Structure of a TIFF slide: which image is the slide, its levels, its pixel size."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import SlideError
from napari_fddm.core.outside.text import visible
from napari_fddm.core.outside.tiff_files import broken_links, open_tiff
from napari_fddm.slides.choosing import SlideImage, choose_image, is_no_slide
from napari_fddm.slides.codestreams.profile import ICC_TAG, ColorProfile, read_profile
from napari_fddm.slides.mpp import (
    MppClaim,
    aperio_fields,
    claim_from_aperio,
    claim_from_imagej,
    claim_from_objective,
    claim_from_resolution,
)
from napari_fddm.slides.ometiff.planes import images_of_ome
from napari_fddm.slides.tiff_extras import associated_pages, tiff_properties
from napari_fddm.slides.tiff_images import TiffImage, images_of_series
from napari_fddm.slides.tiff_level import NotBrightfieldError, TiffLevel
from napari_fddm.slides.tiff_stored import incomplete_note, lacks, refuse_empty, sparse_note

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_fddm.slides.tiff_level import Segment

MAX_UNTILED_BYTES = 1 << 30
"""An image without tiles is kept in memory if its decoded size is at most this."""

_COPY_AGAIN = "The file is damaged or no TIFF; copy it again from the scanner."
_UNCOMPRESSED, _HEADER, _SMALLEST_TAG = 1, 8, 12
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296


@dataclass(frozen=True, slots=True)
class TiffStructure:
    """A TIFF slide's levels, finest first, and its metadata.

    `is_scanner` is true for files that a scanner wrote, not an image library; `properties`
    are its metadata, `associated` the pages of other images by name, `images` all of them
    (empty if there is one only), `series` which is open, `profile` the one to follow,
    `unclear` sentences on pixel sizes that cannot be used.
    """

    levels: tuple[TiffLevel, ...]
    claims: tuple[MppClaim | None, ...]
    warnings: tuple[str, ...]
    is_scanner: bool
    properties: Mapping[str, str]
    associated: Mapping[str, int]
    images: tuple[SlideImage, ...] = ()
    series: int = 0
    profile: ColorProfile | None = None
    unclear: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An image with its levels, or the error that it cannot be opened with."""

    image: TiffImage
    levels: tuple[TiffLevel, ...]
    warnings: tuple[str, ...]
    error: SlideError | None

    def listed(self, name: str, largest: _Candidate | None) -> SlideImage:
        """Return it as `choose_image` takes it."""
        refusal = "" if self.error is None else _as_refusal(self.error, name)
        called = self.image.name
        if not called and largest is not None and _is_copy(self.image.shape, largest.image.shape):
            called = "thumbnail"
        return SlideImage(self.image.series, self.image.shape, called, refusal)


def read_structure(path: Path, series: int | None = None) -> TiffStructure:
    """Read the directories of a TIFF file, no pixels.

    Parameters
    ----------
    path : Path
        An existing file.
    series : int, optional
        Number of the image to open; by default the largest that is a slide.

    Returns
    -------
    TiffStructure

    Raises
    ------
    SlideError
        If the file is no TIFF, is cut off before its directories, or holds no 8-bit
        gray, RGB or RGBA image.
    """
    # What is refused here, before anything is allocated, no other reader should try.
    broken = broken_links(path, error=NotBrightfieldError, hint=_COPY_AGAIN, shown=path.name)
    with ExitStack() as files:

        def open_file(place: Path) -> Any:
            return files.enter_context(
                open_tiff(place, error=SlideError, hint=_COPY_AGAIN, shown=place.name)
            )

        file = open_file(path)
        if file.is_ome:
            images, notes = images_of_ome(file, path, open_file)
        else:
            images, notes = images_of_series(file, path), ()
        return _structure(file, path, images, (*broken, *notes), series)


def _structure(
    file: Any,
    path: Path,
    images: tuple[TiffImage, ...],
    notes: tuple[str, ...],
    series: int | None,
) -> TiffStructure:
    name = visible(path.name)
    candidates = [_candidate(image, name) for image in images]
    if not candidates:
        raise SlideError(
            f"{name} is cut off: its image directory is missing.",
            hint="Copy it again from the scanner.",
        )
    is_scanner = bool(file.is_svs or file.is_ndpi or file.is_scn or file.is_bif)
    chosen, listed, note = _choose(candidates, name, series, is_scanner=is_scanner)
    claims, unclear = _claims(file, chosen)
    profile, said = _profile(chosen.levels[0].page, name, is_scanner=is_scanner)
    return TiffStructure(
        chosen.levels,
        claims,
        (*notes, *note, *chosen.image.notes, *chosen.warnings, *said),
        is_scanner,
        tiff_properties(file, chosen.levels[0].page),
        associated_pages(images, chosen.image.series, named=is_scanner),
        listed if len(listed) > 1 else (),
        chosen.image.series,
        profile,
        unclear,
    )


def _profile(
    page: Any, name: str, *, is_scanner: bool
) -> tuple[ColorProfile | None, tuple[str, ...]]:
    """Return the color profile to follow, and a sentence on what is done with it.

    Scanners' colors stay as they are stored: other programs and models take them so.
    """
    if int(page.samplesperpixel) < 3:
        return None, ()
    profile, note = read_profile(page.tags.valueof(ICC_TAG), name)
    if profile is None:
        return None, ((note,) if note else ())
    if is_scanner:
        return None, (f"its color profile {profile.name!r} is not applied, as with all scanners.",)
    return profile, (f"its colors are converted to sRGB by its profile {profile.name!r}.",)


def _choose(
    candidates: Sequence[_Candidate], name: str, series: int | None, *, is_scanner: bool
) -> tuple[_Candidate, tuple[SlideImage, ...], tuple[str, ...]]:
    """Return the image to open, all of them, and a note on the others."""
    largest = max(candidates, key=lambda c: c.image.shape[0] * c.image.shape[1])
    refused = largest if largest.error is not None else None
    listed = tuple(candidate.listed(name, refused) for candidate in candidates)
    errors = [candidate.error for candidate in candidates if candidate.error is not None]
    try:
        picked, note = choose_image(listed, name, series)
    except SlideError as error:
        if len(candidates) == 1 and errors and series in (None, listed[0].series):
            raise errors[0] from error
        if all(isinstance(e, NotBrightfieldError) for e in errors):
            raise NotBrightfieldError(error.message, hint=error.hint) from error
        raise
    others = [image for image in listed if image is not picked]
    if is_scanner and series is None and all(is_no_slide(image.name) for image in others):
        note = ""  # each file of a scanner has a label, a macro and a thumbnail
    return candidates[listed.index(picked)], listed, (note,) if note else ()


def _candidate(image: TiffImage, name: str) -> _Candidate:
    if image.error is not None:
        return _Candidate(image, (), (), image.error)
    try:
        levels, warnings = _levels(image, name)
    except SlideError as error:
        return _Candidate(image, (), (), error)
    return _Candidate(image, levels, warnings, None)


def _as_refusal(error: SlideError, name: str) -> str:
    """Return an error as the end of a sentence about the image."""
    message = error.message.rstrip(".")
    start = f"{name} "
    return message.removeprefix(start) if message.startswith(start) else f"is not read: {message}"


def _is_copy(shape: tuple[int, int], larger: tuple[int, int]) -> bool:
    """Return whether an image is smaller than another and of its proportions."""
    if min(shape) < 1 or shape[0] >= larger[0]:
        return False
    return abs(shape[0] * larger[1] / (shape[1] * larger[0]) - 1) < 0.02


def _levels(image: TiffImage, name: str) -> tuple[tuple[TiffLevel, ...], tuple[str, ...]]:
    levels: list[TiffLevel] = []
    warnings: list[str] = []
    for number, planes in enumerate(image.levels):
        level = TiffLevel(planes, name, image.order)
        if levels and not _fits(levels[0].shape, levels[-1].shape, level.shape):
            warnings.append(
                f"level {number} ({level.shape[1]}×{level.shape[0]} px) does not fit the "
                "pyramid and is not used."
            )
            continue
        if levels and lacks(level, levels[0]):
            warnings.append(incomplete_note(number, level.shape))
            continue
        levels.append(level)
    _refuse_large_untiled(levels[0], name)
    refuse_empty(levels[0].stored, name)
    return tuple(levels), (*warnings, *_missing(levels))


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


def _missing(levels: Sequence[TiffLevel]) -> tuple[str, ...]:
    """Return sentences on tiles that were never stored, or lie beyond the end of their file."""
    notes = []
    sizes = {path: path.stat().st_size for level in levels for path in level.files}
    cut = total = 0
    for level in levels:
        total += len(level.segments)
        cut += sum(_is_cut(segment, sizes[level.files[segment.file]]) for segment in level.segments)
    if cut:
        notes.append(
            f"the file is truncated: {cut} of {total} tiles are missing; reading them will fail."
        )
    if any(_overlap(level, sizes[level.files[0]]) for level in levels):
        notes.append(
            "the file is damaged: its stored tiles overlap each other or a directory, so pixels "
            "may be wrong."
        )
    sparse = sparse_note(levels[0].stored)
    if sparse:
        notes.append(sparse)
    return tuple(notes)


def _overlap(level: TiffLevel, size: int) -> bool:
    """Return whether tiles without compression, where no decoder would notice, overlap.

    Tiles with the same place and length are the same on purpose.
    """
    if int(level.page.compression) != _UNCOMPRESSED:
        return False
    places = {
        (s.offset, s.offset + s.count)
        for s in level.segments
        if s.is_stored and not s.file and not _is_cut(s, size)
    }
    head = (level.page.offset, level.page.offset + _SMALLEST_TAG * len(level.page.tags))
    values = ((tag.valueoffset, tag.valueoffset + tag.valuebytecount) for tag in level.page.tags)
    places |= {head, *(place for place in values if not head[0] <= place[0] < head[1])}
    starts, ends = np.array(sorted(places), np.int64).T
    return bool((starts[1:] < np.maximum.accumulate(ends)[:-1]).any() or starts[0] < _HEADER)


def _is_cut(segment: Segment, size: int) -> bool:
    """Return whether a tile lies beyond the end of its file, or its place cannot be."""
    return min(segment.offset, segment.count) < 0 or segment.offset + segment.count > size


def _claims(file: Any, chosen: _Candidate) -> tuple[tuple[MppClaim | None, ...], tuple[str, ...]]:
    """Return the pixel sizes that are stated, best first, and sentences on unclear ones."""
    if chosen.image.unclear:
        return chosen.image.claims, chosen.image.unclear
    page = chosen.levels[0].page
    aperio = aperio_fields(page.description or "") if file.is_svs else {}
    tags, note = _resolution_claim(file, page)
    claims = (
        claim_from_aperio(aperio),
        *chosen.image.claims[:1],
        tags,
        claim_from_objective(aperio.get("AppMag")),
        *chosen.image.claims[1:],
    )
    return claims, ((note,) if note else ())


def _resolution_claim(file: Any, page: Any) -> tuple[MppClaim | None, str]:
    if _X_RESOLUTION not in page.tags or _Y_RESOLUTION not in page.tags:
        return None, ""
    x, y = page.resolution
    imagej = (file.imagej_metadata or {}) if file.is_imagej else {}
    if "unit" in imagej:
        unit = str(imagej["unit"])
        return claim_from_imagej(y, x, (str(imagej.get("yunit", unit)), unit))
    unit = page.tags.valueof(_RESOLUTION_UNIT)
    return claim_from_resolution(y, x, None if unit is None else int(unit))
