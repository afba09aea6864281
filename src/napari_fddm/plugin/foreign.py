"""Image layers of other readers as slides: by their file where we can open it, else as they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import FddmError, SlideError
from napari_fddm.plugin.layers.slides import slide_info
from napari_fddm.plugin.state.placement import SOURCE, Placement
from napari_fddm.slides.mpp import MAX_USER_DEVIATION, resolve_mpp
from napari_fddm.slides.opening import open_slide

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_fddm.plugin.state.window_state import SlideInfo
    from napari_fddm.slides.base import PyramidSlide

PROBE = 64
"""Edge of the patch in which a layer is compared with its file, px."""
SAME_PICTURE = 24.0
"""Mean difference, gray levels, up to which they show the same: color management and JPEG
decoders differ by less, an image that was filtered or replaced by more."""


@dataclass(frozen=True, slots=True)
class LayerImage:
    """What is read off an image layer on the main thread, to be examined in another.

    Attributes
    ----------
    name : str
        The layer's.
    path : str or None
        What a reader opened to make it.
    levels : tuple of arrays
        Finest first.
    rgb : bool
        Whether the last axis is colors.
    """

    name: str
    path: str | None
    levels: tuple[Any, ...]
    rgb: bool

    @classmethod
    def of_layer(cls, layer: Image) -> LayerImage:
        """Take what an examination needs; no pixel is read."""
        levels = tuple(layer.data) if layer.multiscale else (layer.data,)
        return cls(layer.name, layer.source.path, levels, bool(layer.rgb))

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the finest level."""
        sizes = self.levels[0].shape
        y, x = sizes[-3:-1] if self.rgb else sizes[-2:]
        return int(y), int(x)


@dataclass(frozen=True, slots=True)
class Found:
    """A layer that can be analyzed.

    Attributes
    ----------
    info : SlideInfo
        As far as it does not depend on where the layer lies.
    slide : PyramidSlide or None
        Over the layer's own arrays; None where the engine opens the file.
    """

    info: SlideInfo
    slide: PyramidSlide | None = None


def examine(image: LayerImage) -> Found:
    """Find out how a layer can be analyzed; reads some pixels, so not for the main thread.

    Raises
    ------
    SlideError
        If it is no RGB image, and no part of a file that is.
    """
    from napari_fddm.slides.array import ArraySlide  # here: a window opens faster
    from napari_fddm.slides.served import BACKEND

    by_path = _by_path(image)
    if by_path is not None:
        return Found(by_path)
    sizes = tuple(image.levels[0].shape)
    if not image.rgb:
        raise SlideError(
            f"The layer {image.name} is grayscale, the model reads stained slides in color.",
            hint="Open the slide with napari-fddm, or add the three channels as one RGB layer.",
        )
    if len(sizes) != 3:
        raise SlideError(
            f"The layer {image.name} is a stack of shape {sizes}.",
            hint="Add the plane to analyze as an RGB layer of its own.",
        )
    slide = ArraySlide(image.levels, name=image.name, backend=BACKEND, axes=("y", "x", "c"))
    return Found(replace(slide_info(slide, ""), warnings=()), slide)


def placed(info: SlideInfo, placement: Placement) -> SlideInfo:
    """Return what is known of a slide whose layer lies there.

    A file that says its pixel size is believed before the layer; where the two differ,
    a warning says so.
    """
    claim = placement.claim
    info = replace(info, placement=placement)
    if info.mpp is None:
        mpp, notes = resolve_mpp((claim,), name=info.name)
        text = tuple(note for note in notes if claim is not None)
        warnings = (*info.warnings, *text)
        return replace(info, mpp=mpp.value, mpp_source=mpp.source, warnings=warnings)
    if claim is not None:
        low, high = sorted((info.mpp, claim.y))
        if high > low * MAX_USER_DEVIATION:
            note = f"the layer has {claim.y:.3g} µm per pixel, the file {info.mpp:.3g}."
            return replace(info, warnings=(*info.warnings, note))
    return info


def engine_mpp(info: SlideInfo) -> float | None:
    """Return the pixel size that only the layer knows and the engine must be told."""
    return info.mpp if info.mpp_source == SOURCE else None


def _by_path(image: LayerImage) -> SlideInfo | None:
    """Return what a layer's file says, if that can be opened and is the same picture."""
    from napari_fddm.slides.base import PyramidSlide

    if not image.path or not Path(image.path).exists():
        return None
    try:
        slide = open_slide(image.path)
    except FddmError:
        return None  # a file that only its own reader understands
    with slide:
        if not isinstance(slide, PyramidSlide):
            return None
        if slide.levels[0].shape != image.shape or not _same_picture(slide, image):
            return None
        return slide_info(slide, image.path)


def _same_picture(slide: PyramidSlide, image: LayerImage) -> bool:
    """Compare a patch of the middle; of a single channel only that the file has colors."""
    y, x = (max(0, n // 2 - PROBE // 2) for n in image.shape)
    height, width = (min(PROBE, n) for n in image.shape)
    try:
        theirs = slide.read_level(0, y, x, height, width).astype(np.int16)
    except SlideError:
        return False
    if not image.rgb:
        level = slide.levels[-1]
        whole = slide.read_level(level.index, 0, 0, *level.shape)
        return bool((whole != whole[..., :1]).any())
    ours = np.asarray(image.levels[0][..., y : y + height, x : x + width, :3])
    return ours.dtype == np.uint8 and bool(np.abs(theirs - ours).mean() <= SAME_PICTURE)
