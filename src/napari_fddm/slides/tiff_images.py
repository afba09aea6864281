"""The images of a TIFF file, as pages: what each is called, its levels, the planes of a level."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_fddm.slides.mpp import MppClaim

_STACK_AXES = {"Z": "focus planes", "T": "time points", "C": "channels"}
_LONGEST_NAME = 40
_REDUCED = 1


@dataclass(frozen=True, slots=True)
class Plane:
    """One page of tiles and the file that holds them.

    Attributes
    ----------
    page : tifffile.TiffPage or TiffFrame
        Where its tiles lie.
    path : Path
        The file in which they do.
    """

    page: Any
    path: Path


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
        Finest first; one plane, or three that are red, green and blue.
    refusal : str
        Why it cannot be used, as the end of a sentence; else empty.
    claims : tuple of MppClaim or None
        Pixel sizes that metadata state for this image.
    notes : tuple of str
        What the user should know if it is opened.
    shape : tuple of int
        Height and width as the metadata say where there is no page.
    """

    series: int
    name: str
    levels: tuple[tuple[Plane, ...], ...]
    refusal: str = ""
    claims: tuple[MppClaim | None, ...] = ()
    notes: tuple[str, ...] = ()
    shape: tuple[int, int] = field(default=(0, 0))

    @property
    def page(self) -> Any:
        """The page of its finest level that carries the tags."""
        return self.levels[0][0].page.keyframe


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
    return tuple(
        TiffImage(
            number,
            str(series.name) if vendor else _page_name(series.keyframe),
            tuple(
                tuple(Plane(page, path) for page in level.pages if page is not None)
                for level in series.levels
            ),
            stack_refusal(series.axes, series.shape),
        )
        for number, series in enumerate(file.series)
    )


def stack_refusal(axes: str, sizes: Sequence[int]) -> str:
    """Return what an image is a stack of, as the end of a sentence; "" if it is one plane.

    Three channels may be red, green and blue.
    """
    found = [
        f"{count} {_STACK_AXES.get(axis, 'images')}"
        for axis, count in zip(axes, sizes, strict=True)
        if axis not in "YXS" and count > 1 and (axis, count) != ("C", 3)
    ]
    return f"is a stack of {' and '.join(found)}, not one brightfield image" if found else ""


def _page_name(page: Any) -> str:
    """Return the name in a page's tags, if it looks like one; "thumbnail" of a reduced page."""
    name = page.tags.valueof(285) or page.description or ""
    text = str(name).strip()
    if 0 < len(text) <= _LONGEST_NAME and "\n" not in text and text[0] not in "{<":
        return text
    return "thumbnail" if int(page.subfiletype) & _REDUCED else ""
