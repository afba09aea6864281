"""Metadata and images of a TIFF slide besides its pyramid: tags, Aperio's fields, macro, label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import SlideError
from napari_fddm.slides.base import COPY_AGAIN
from napari_fddm.slides.mpp import aperio_fields

if TYPE_CHECKING:
    from pathlib import Path

    from napari_fddm.core.protocols import RgbImage

_TAGS = ("Make", "Model", "Software", "DateTime", "HostComputer", "Artist", "Copyright")
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


def associated_series(file: Any, slide: int) -> dict[str, int]:
    """Return the number of each image that is no level of the slide, by its name.

    Only Aperio says what they are. Elsewhere they are numbered: what they show, perhaps
    the label of the glass, is not known.

    Parameters
    ----------
    file : tifffile.TiffFile
        Open file.
    slide : int
        The series that is the slide.
    """
    found: dict[str, int] = {}
    for number, series in enumerate(file.series):
        page = series.keyframe
        is_image = page.dtype == np.uint8 and page.imagelength * page.imagewidth <= _MOST_PIXELS
        if number == slide or not is_image or page.samplesperpixel not in (1, 3):
            continue
        name = str(series.name).lower() if file.is_svs else ""
        found[name if name and name not in found else f"image {number + 1}"] = number
    return found


def read_image(path: Path, number: int, name: str) -> RgbImage:
    """Read one small image of a TIFF as RGB.

    Parameters
    ----------
    path : Path
        The file.
    number : int
        Its series.
    name : str
        For messages.

    Raises
    ------
    SlideError
        If it cannot be decoded.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page = file.series[number].keyframe
            image = np.asarray(page.asarray())
            inverted = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
    except Exception as error:  # each codec has errors of its own
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise SlideError(
            f"the {name} image of {path.name} cannot be decoded: {reason}.",
            hint=COPY_AGAIN,
        ) from error
    if image.ndim == 2:
        image = np.repeat((255 - image if inverted else image)[..., None], 3, axis=2)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise SlideError(
            f"the {name} image of {path.name} is no 8-bit picture.",
            hint="The slide itself can be used without it.",
        )
    return np.ascontiguousarray(image)
