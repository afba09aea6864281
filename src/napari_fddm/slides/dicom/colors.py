"""Whether the JPEG frames of a DICOM slide hold the colors that its header says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import SlideError
from napari_fddm.slides.codestreams.jpeg import RGB, YCBCR, read_jpeg

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from napari_fddm.core.protocols import RgbImage
    from napari_fddm.slides.dicom.instances import Instance

_JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
"""Transfer syntaxes of JPEG with loss (PS3.6, A): baseline and extended."""
_TO_RGB = np.array([[1.0, 0.0, 1.402], [1.0, -0.344136, -0.714136], [1.0, 1.772, 0.0]], np.float32)
"""JFIF 1.02: red, green and blue of (Y, Cb − 128, Cr − 128)."""


def levels_in_ycbcr(
    instances: Iterable[Instance], shapes: Sequence[tuple[int, int]], name: str
) -> tuple[frozenset[int], str]:
    """Find the levels that hold YCbCr although their header says RGB.

    OpenSlide believes the header. A JPEG image's own markers outrank it (JFIF, Adobe's,
    the ids of its components, colors at a lower resolution); where it has none, the header
    counts.

    Parameters
    ----------
    instances : iterable of Instance
        Files of the slide.
    shapes : sequence of (int, int)
        Height and width of each level, px.
    name : str
        The slide's name, for messages.

    Returns
    -------
    levels : frozenset of int
        To be converted by `rgb_of_ycbcr`.
    warning : str
        A sentence about them; empty if there are none.

    Raises
    ------
    SlideError
        If frames hold RGB although the header says YCbCr: OpenSlide's colors of them cannot
        be undone.
    """
    found: set[int] = set()
    declared = ""
    for instance in instances:
        if instance.syntax not in _JPEG or not instance.is_level or instance.samples != 3:
            continue
        jpeg = read_jpeg(instance.frame)
        said = instance.photometric
        if jpeg is None:
            continue
        if jpeg.colors == RGB and said.startswith("YBR"):
            raise SlideError(
                f"the colors of {name} cannot be read: its header says {said} "
                "(PhotometricInterpretation), but its JPEG frames hold RGB.",
                hint="Have the header corrected, or convert the slide again.",
            )
        if jpeg.colors == YCBCR and said == RGB:
            found |= {level for level, shape in enumerate(shapes) if shape == instance.shape}
            declared = said
    if not found:
        return frozenset(), ""
    return frozenset(found), (
        f"the header says {declared} (PhotometricInterpretation), but the JPEG frames hold "
        f"YCbCr colors in {len(found)} of {len(shapes)} levels; they are read as YCbCr."
    )


def rgb_of_ycbcr(image: npt.NDArray[np.uint8]) -> RgbImage:
    """Convert YCbCr of JFIF (full range), shape (h, w, 3), to RGB."""
    centered = image.astype(np.float32) - np.array([0, 128, 128], np.float32)
    rgb: RgbImage = np.clip(np.rint(centered @ _TO_RGB.T), 0, 255).astype(np.uint8)
    return rgb
