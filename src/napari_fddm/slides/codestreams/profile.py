"""Color profiles (ICC): follow one that says other colors than sRGB."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import SlideError
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import visible_line

if TYPE_CHECKING:
    from napari_fddm.core.protocols import RgbImage

ICC_TAG = 34675
MOST_LIKE = 3.0
"""Mean difference to sRGB, gray values, up to which a profile needs nothing."""
_LONGEST_NAME = 60
_STEPS = np.linspace(0, 255, 6).astype(np.uint8)


class ColorProfile:
    """A profile of RGB samples that differs from sRGB.

    Parameters
    ----------
    name : str
        Its description.
    transform : PIL.ImageCms.ImageCmsTransform
        To sRGB.
    """

    def __init__(self, name: str, transform: Any) -> None:
        self.name = name
        self._transform = transform

    def apply(self, image: RgbImage) -> RgbImage:
        """Return an image in sRGB, shape (h, w, 3)."""
        from PIL import Image, ImageCms

        found = ImageCms.applyTransform(Image.fromarray(image), self._transform)
        return np.asarray(found, np.uint8)


def read_profile(data: bytes | None, slide: str) -> tuple[ColorProfile | None, str]:
    """Return the profile of RGB samples if it must be followed.

    Parameters
    ----------
    data : bytes or None
        ICC profile; None if there is none.
    slide : str
        The slide's name, for messages.

    Returns
    -------
    profile : ColorProfile or None
        None if there is none, it is like sRGB, or cannot be read.
    note : str
        A sentence if it cannot be read; else empty.
    """
    if not data:
        return None, ""
    from PIL import ImageCms

    try:
        with reading("a color profile", slide, error=SlideError):
            profile = ImageCms.ImageCmsProfile(io.BytesIO(bytes(data)))
            if profile.profile.xcolor_space.strip() != "RGB":
                raise ValueError(f"it is for {profile.profile.xcolor_space.strip()}")
            transform = ImageCms.buildTransform(
                profile,
                ImageCms.createProfile("sRGB"),
                "RGB",
                "RGB",
                ImageCms.Intent.RELATIVE_COLORIMETRIC,
            )
            name = ImageCms.getProfileDescription(profile)
            found = ColorProfile(visible_line(name)[:_LONGEST_NAME], transform)
            cube = np.stack(np.meshgrid(_STEPS, _STEPS, _STEPS), axis=-1).reshape(6, 36, 3)
            difference = np.abs(found.apply(cube).astype(int) - cube).mean()
    except SlideError as error:
        return None, f"its colors are taken as sRGB: {error.message}"
    return (None, "") if difference <= MOST_LIKE else (found, "")
