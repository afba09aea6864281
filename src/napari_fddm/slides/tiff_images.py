"""The images of a TIFF file, as pages: what each is called, its levels, the planes of a level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_fddm.core.outside.text import visible
from napari_fddm.slides.channels import Channel, rgb_order
from napari_fddm.slides.tiff_level import NotBrightfieldError, Plane

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_fddm.core.errors import SlideError
    from napari_fddm.slides.mpp import MppClaim

AS_RGB = "three separate planes are taken as red, green and blue: nothing says what they are."
STACK_HINT = "Export one RGB plane as a pyramidal TIFF."
_STACK_AXES = {"Z": "focus planes", "T": "time points", "C": "channels"}
_LONGEST_NAME = 40
_PAGE_NAME_TAG, _REDUCED = 285, 1


@dataclass(frozen=True, slots=True)
class TiffImage:
    """One image of a file: a slide, a label, a thumbnail.

    Attributes
    ----------
    series : int
        Its number.
    name : str
        What the file calls it; may be empty.
    levels : tuple of tuples of Plane
        Finest first; one plane, or three that are the colors.
    order : tuple of int
        Which channels are red, green and blue.
    error : SlideError or None
        Why it cannot be used.
    claims : tuple of MppClaim or None
        Pixel sizes that metadata state for this image, best first.
    notes : tuple of str
        What the user should know if it is opened.
    unclear : tuple of str
        Sentences on a pixel size that its metadata state and that cannot be used; then TIFF
        tags do not count, either.
    """

    series: int
    name: str
    levels: tuple[tuple[Plane, ...], ...]
    order: tuple[int, int, int] = (0, 1, 2)
    error: SlideError | None = None
    claims: tuple[MppClaim | None, ...] = ()
    notes: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the finest level, px; zeros without one."""
        if not self.levels:
            return (0, 0)
        page = self.levels[0][0].page.keyframe
        return int(page.imagelength), int(page.imagewidth)


def images_of_series(file: Any, path: Path) -> tuple[TiffImage, ...]:
    """Return the images of a file without OME-XML, as tifffile groups its pages.

    Parameters
    ----------
    file : tifffile.TiffFile
        Open file.
    path : Path
        The file.
    """
    vendor = bool(file.is_svs or file.is_ndpi or file.is_scn or file.is_bif)
    channels = _imagej_channels(file)
    images = []
    for number, series in enumerate(file.series):
        levels = tuple(
            tuple(Plane(page, path) for page in level.pages if page is not None)
            for level in series.levels
        )
        name = str(series.name) if vendor else page_name(series.keyframe)
        error: SlideError | None = stack_error(series.axes, series.shape, visible(path.name))
        order = (0, 1, 2)
        notes: tuple[str, ...] = ()
        if error is None and len(levels[0]) == 3:
            try:
                order, notes = color_order(channels, visible(path.name))
            except NotBrightfieldError as refusal:
                error = refusal
        images.append(TiffImage(number, name, levels, order, error, (), notes))
    return tuple(images)


def color_order(
    channels: Sequence[Channel], name: str
) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    """Return which of three separate planes are red, green and blue, and a note if that is assumed.

    Raises
    ------
    NotBrightfieldError
        If they are other channels.
    """
    order = rgb_order(channels, name) if channels else None
    return ((0, 1, 2), (AS_RGB,)) if order is None else (order, ())


def stack_error(axes: str, sizes: Sequence[int], name: str) -> NotBrightfieldError | None:
    """Return the error that names what an image is a stack of; None if it is one plane.

    Three channels may be red, green and blue.
    """
    found = [
        f"{count} {_STACK_AXES.get(axis, 'images')}"
        for axis, count in zip(axes, sizes, strict=True)
        if axis not in "YXS" and count > 1 and (axis, count) != ("C", 3)
    ]
    if not found:
        return None
    return NotBrightfieldError(
        f"{name} is a stack of {' and '.join(found)}, not one brightfield image.", hint=STACK_HINT
    )


def page_name(page: Any) -> str:
    """Return the name in a page's tags, if it looks like one; "thumbnail" of a reduced page."""
    name = page.tags.valueof(_PAGE_NAME_TAG) or page.description or ""
    text = str(name).strip()
    if 0 < len(text) <= _LONGEST_NAME and "\n" not in text and text[0] not in "{<":
        return text
    return "thumbnail" if int(page.subfiletype) & _REDUCED else ""


def _imagej_channels(file: Any) -> tuple[Channel, ...]:
    """Return the names and colors that ImageJ gives three channels; empty if it gives none."""
    said = (file.imagej_metadata or {}) if file.is_imagej else {}
    names = [str(name) for name in said.get("Labels", [])]
    colors = [tuple(int(band[-1]) for band in table) for table in said.get("LUTs", [])]
    if len(names) != 3 and len(colors) != 3:
        return ()
    names = names if len(names) == 3 else [""] * 3
    shown = colors if len(colors) == 3 and all(len(c) == 3 for c in colors) else [None] * 3
    return tuple(
        Channel(name, None if color is None else (color[0], color[1], color[2]))
        for name, color in zip(names, shown, strict=True)
    )
