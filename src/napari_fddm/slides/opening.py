"""`open_slide`: opens a slide of any format, choosing the reader by the file's content."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import SlideError
from napari_fddm.core.outside.files import open_file
from napari_fddm.core.outside.text import visible
from napari_fddm.slides.spec import SYNTHETIC, SlideSpec, parse_spec
from napari_fddm.slides.tiff_stored import TIFF_MAGIC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_fddm.core.protocols import Slide
    from napari_fddm.slides.base import PyramidSlide

    Reader = Callable[[Path, float | None, int | None], PyramidSlide]

_TIFF_VENDORS = frozenset({"aperio", "generic-tiff", None})
_FORMATS = "Supported are SVS, NDPI, MRXS, SCN, BIF, DICOM, pyramidal TIFF, OME-TIFF and OME-Zarr."

_KINDS = {
    b"\x89PNG": "a PNG image without levels and scale",
    b"\xff\xd8\xff": "a JPEG image without levels and scale",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a compressed archive",
    b"%PDF": "a PDF document",
    b"\x89HDF": "an HDF5 file",
    b"\x08\x00\x00\x00": "a single image in an old form of DICOM",
    b"\x08\x00\x05\x00": "a single image in an old form of DICOM",
}
"""Kinds of other files by their first bytes; old DICOM has group 0008 and no preamble."""

DARK_GROUND = 60
"""A slide whose typical pixel is darker than this in all colors is no brightfield scan."""


def open_slide(
    path: str | Path,
    *,
    mpp: float | None = None,
    series: int | None = None,
    look: bool = True,
) -> Slide:
    """Open a slide of any supported format.

    Parameters
    ----------
    path : str or Path
        A file, an OME-Zarr folder, a folder with a DICOM series, the URL of an OME-Zarr
        (``https://…``, ``s3://…``, whatever fsspec has), the text of `slide_spec`, or
        ``synthetic:<height>x<width>[?seed=<n>&mpp=<µm>]``.
    mpp : float, optional
        Micrometers per level-0 pixel; overrides what the file says.
    series : int, optional
        Number of the image in a file that holds several, from 0; by default the largest
        that is a slide, see `choose_image`.
    look : bool
        Whether to check some pixels with `dark_ground`; the window does that later, in
        a thread.

    Returns
    -------
    Slide
        To be closed by the caller. Files come as `napari_fddm.slides.base.PyramidSlide`,
        which is its own context manager and reads without an mpp, too.

    Raises
    ------
    SlideError
        If there is no such file or it cannot be read as a slide.
    MppError
        If `mpp` is not believable.
    """
    if isinstance(path, str) and path.startswith(SYNTHETIC):
        from napari_fddm.slides.synthetic import open_synthetic

        return open_synthetic(path, mpp=mpp)
    spec = parse_spec(path)
    given = SlideSpec(
        spec.place,
        spec.mpp if mpp is None else mpp,
        spec.series if series is None else series,
    )
    slide = _open_place(given)
    note = dark_ground(slide) if look else ""
    if note:
        slide.add_warning(note)
    return slide


def slide_spec(slide: Slide) -> str:
    """Return the text with which another process opens the same slide.

    It is the absolute path (or ``synthetic:`` text), with ``?mpp=<µm>`` behind it where the
    user gave the pixel size by hand, and ``series=<n>`` where it is another image than the
    file's own slide. For a URL it holds what its server asks for, which no file, report or
    title may: those take `uri`.

    Raises
    ------
    SlideError
        If the slide lives in memory only.
    """
    uri: str = getattr(slide, "address", "") or getattr(slide, "uri", "")
    if not uri:
        raise SlideError(
            f"{slide.name} is an array in memory, which another process cannot open.",
            hint="Save it as a TIFF or hand the array over.",
        )
    mpp = slide.mpp.value if slide.mpp.source == "user" else None
    return str(SlideSpec(uri, mpp, getattr(slide, "other_series", None)))


def dark_ground(slide: PyramidSlide) -> str:
    """Return a warning if a slide does not look like brightfield, else "".

    Reads at most 16 patches of the coarsest level, so that no format has to decode
    more than a few megapixels.
    """
    level = slide.levels[-1]
    try:
        values = [
            np.median(slide.read_level(level.index, *w).max(axis=2)) for w in _probe(level.shape)
        ]
    except SlideError as error:
        return f"the slide's ground could not be looked at: {error.message}"
    if float(np.median(values)) >= DARK_GROUND:
        return ""
    return (
        "the slide is dark where brightfield scans are bright; fluorescence and "
        "dark-field images give meaningless results."
    )


def _probe(shape: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Yield up to 4 × 4 windows (y, x, h, w) of at most 128 px, spread over a level."""
    (height, width), most = shape, 128
    for y in {int(p) for p in np.linspace(0, max(0, height - most), 4)}:
        for x in {int(p) for p in np.linspace(0, max(0, width - most), 4)}:
            yield y, x, min(most, height), min(most, width)


def _open_place(spec: SlideSpec) -> PyramidSlide:
    place = spec.place
    if isinstance(place, str):
        from napari_fddm.slides.ngff.omezarr import open_omezarr

        return open_omezarr(place, mpp=spec.mpp, series=spec.series)
    _refuse_missing(place)
    opened = _open_folder if place.is_dir() else _open_file
    return opened(place, spec.mpp, spec.series)


def _refuse_missing(path: Path) -> None:
    if not path.exists():
        raise SlideError(
            f"there is no file {visible(path)}.", hint="Check the path; is the drive connected?"
        )
    if (path / "fddm").is_dir() and (path / "zarr.json").is_file():
        raise SlideError(
            f"{visible(path.name)} is an analysis, not a slide.",
            hint="Open the slide it was made from, or use napari-fddm rate and export.",
        )
    if path.is_file() and path.stat().st_size == 0:
        raise SlideError(f"{visible(path.name)} is empty.", hint="Copy it again from the scanner.")


def _open_file(path: Path, mpp: float | None, series: int | None) -> PyramidSlide:
    from napari_fddm.slides.tiff_level import NotBrightfieldError

    readers = _readers(path)
    refusals: list[SlideError] = []
    for label, read in readers:
        try:
            slide = read(path, mpp, series)
        except NotBrightfieldError:
            raise
        except SlideError as error:
            refusals.append(error)
            continue
        if refusals:
            slide.add_warning(f"read with {label}, because: {refusals[0].message}")
        return slide
    raise refusals[0]


def _readers(path: Path) -> list[tuple[str, Reader]]:
    """Return the readers that may open this file, the best first.

    Raises
    ------
    SlideError
        If the content is of no known kind.
    """
    name = visible(path.name)
    tiff, openslide = ("tifffile", _open_tiff), ("OpenSlide", _open_openslide)
    head = _head(path)
    is_tiff = head[:4] in TIFF_MAGIC
    vendor = _vendor(path, needed=not is_tiff)
    if is_tiff and vendor in _TIFF_VENDORS:
        return [tiff, openslide] if vendor else [tiff]
    if is_tiff:
        return [openslide, tiff]
    if vendor or head[128:132] == b"DICM":
        return [openslide]
    if path.suffix.lower() == ".mrxs" and not path.with_suffix("").is_dir():
        raise SlideError(
            f"{name} lies here without its folder of image data.",
            hint=f"Copy the folder {visible(path.stem)!r} next to it.",
        )
    raise SlideError(f"{name} is {_kind(head)}.", hint=_FORMATS)


def _vendor(path: Path, *, needed: bool) -> str | None:
    from napari_fddm.slides.openslide import detect_vendor

    try:
        return detect_vendor(path)
    except SlideError:
        if needed:
            raise
        return None


def _open_tiff(path: Path, mpp: float | None, series: int | None) -> PyramidSlide:
    from napari_fddm.slides.tiff import TiffSlide

    return TiffSlide(path, mpp=mpp, series=series)


def _open_openslide(path: Path, mpp: float | None, series: int | None) -> PyramidSlide:
    from napari_fddm.slides.openslide import OpenSlideSlide

    return OpenSlideSlide(path, mpp=mpp, series=series)


def _open_folder(path: Path, mpp: float | None, series: int | None) -> PyramidSlide:
    """Open the OME-Zarr or the DICOM slide of a folder."""
    from napari_fddm.slides.ngff.omezarr import is_zarr, open_omezarr

    if is_zarr(path):
        return open_omezarr(path, mpp=mpp, series=series)
    from napari_fddm.slides.dicom.folder import open_dicom_folder

    return open_dicom_folder(path, mpp=mpp, series=series)


def _head(path: Path) -> bytes:
    with open_file(path, "a slide", error=SlideError) as file:
        return file.read(512)


def _kind(head: bytes) -> str:
    """Describe the content of a file that is not a slide."""
    for magic, kind in _KINDS.items():
        if head.startswith(magic):
            return f"{kind}, not a slide"
    if b"\x00" not in head and all(b >= 32 or b in b"\t\r\n\f" for b in head):
        return "a text file, not a slide"
    return "of no known slide format"
