"""Metadata and images of a TIFF slide besides its pyramid: tags, Aperio's fields, macro, label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import SlideError
from napari_fddm.core.outside.text import visible, visible_line
from napari_fddm.core.outside.tiff_files import open_tiff
from napari_fddm.slides.base import COPY_AGAIN
from napari_fddm.slides.choosing import is_no_slide
from napari_fddm.slides.mpp import aperio_fields

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_fddm.core.protocols import RgbImage
    from napari_fddm.slides.tiff_images import TiffImage

_TAGS = ("Make", "Model", "Software", "DateTime", "HostComputer", "Artist", "Copyright")
_MIN_IS_WHITE = 0
_MOST_PIXELS = 1 << 26
"""A larger image beside the pyramid is no macro or label, and slow to read."""


def tiff_properties(file: Any, page: Any) -> dict[str, str]:
    """Return the metadata of a slide, with the names that OpenSlide would use.

    Parameters
    ----------
    file : tifffile.TiffFile
        Open file.
    page : tifffile.TiffPage
        The finest level.
    """
    found = {f"tiff.{name}": page.tags[name].value for name in _TAGS if name in page.tags}
    if file.is_svs:
        description = page.description or ""
        found |= {f"aperio.{k}": v for k, v in aperio_fields(description).items()}
        found["openslide.comment"] = description
    return {key: str(value).strip() for key, value in found.items() if str(value).strip()}


def associated_pages(images: Sequence[TiffImage], slide: int, *, named: bool) -> dict[str, int]:
    """Return the page of each image that is no level of the slide, by its name.

    Scanners say what they are. Elsewhere they are numbered: what they show, perhaps
    the label of the glass, is not known.

    Parameters
    ----------
    images : sequence of TiffImage
        Of the file.
    slide : int
        The series that is the slide.
    named : bool
        Whether a scanner wrote the file.
    """
    found: dict[str, int] = {}
    for number, image in enumerate(images):
        if image.series == slide or len(image.levels[:1]) < 1 or len(image.levels[0]) != 1:
            continue
        page = image.levels[0][0].page.keyframe
        is_image = page.dtype == np.uint8 and page.imagelength * page.imagewidth <= _MOST_PIXELS
        if not is_image or page.samplesperpixel not in (1, 3) or not isinstance(page.index, int):
            continue
        name = image.name.lower() if named or is_no_slide(image.name) else ""
        found[name if name and name not in found else f"image {number + 1}"] = page.index
    return found


def read_image(path: Path, number: int, name: str) -> RgbImage:
    """Read one small image of a TIFF as RGB.

    Parameters
    ----------
    path : Path
        The file.
    number : int
        Its page.
    name : str
        For messages.

    Raises
    ------
    SlideError
        If it cannot be decoded.
    """
    what = f"a TIFF with the image {visible_line(name)!r}"
    with open_tiff(path, what, error=SlideError, hint=COPY_AGAIN) as file:
        page = file.pages[number]
        image = np.asarray(page.asarray())
        inverted = int(page.photometric) == _MIN_IS_WHITE
    if image.ndim == 2:
        image = np.repeat((255 - image if inverted else image)[..., None], 3, axis=2)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise SlideError(
            f"the {visible_line(name)} image of {visible(path.name)} is no 8-bit picture.",
            hint="The slide itself can be used without it.",
        )
    return np.ascontiguousarray(image)
