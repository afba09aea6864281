"""Finds out whether an image layer that another reader added can be analyzed as a slide.

Either the layer shows a file that this plugin can open itself, or the pixels of the layer are
analyzed as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import FddmError, SlideError
from napari_fddm.plugin.layers.slides import slide_info
from napari_fddm.plugin.state.placement import SOURCE
from napari_fddm.slides import open_slide
from napari_fddm.slides.mpp import MAX_USER_DEVIATION, resolve_mpp
from napari_fddm.slides.spec import SlideSpec

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_fddm.core.protocols import Slide
    from napari_fddm.plugin.state.placement import Placement
    from napari_fddm.plugin.state.window_state import ShownSlide
    from napari_fddm.slides import PyramidSlide

PROBE_PX = 64
"""Edge of the patch in which a layer is compared with its file."""
SAME_PICTURE = 24.0
"""Largest mean difference, gray levels, at which layer and file count as the same picture.

Color management and JPEG decoders differ by less; a filtered or replaced image by more.
"""


@dataclass(frozen=True, slots=True)
class LayerImage:
    """The data of an image layer, taken on the main thread to be examined in another thread.

    Attributes
    ----------
    name : str
        Name of the layer.
    path : str or None
        The file that the layer was read from.
    levels : tuple of arrays
        The levels, finest first.
    rgb : bool
        Whether the last axis is color.
    """

    name: str
    path: str | None
    levels: tuple[Any, ...]
    rgb: bool

    @classmethod
    def of_layer(cls, layer: Image) -> LayerImage:
        """Take what `examine` needs from a layer; no pixel is read."""
        levels = tuple(layer.data) if layer.multiscale else (layer.data,)
        return cls(layer.name, layer.source.path, levels, bool(layer.rgb))

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the finest level."""
        sizes = self.levels[0].shape
        y, x = sizes[-3:-1] if self.rgb else sizes[-2:]
        return int(y), int(x)


@dataclass(frozen=True, slots=True)
class AnalyzableImage:
    """An image layer that can be analyzed as a slide.

    Attributes
    ----------
    info : ShownSlide
        The slide, without what depends on the layer's placement.
    slide : PyramidSlide or None
        The slide over the layer's own arrays; None if the engine opens the file.
    """

    info: ShownSlide
    slide: PyramidSlide | None = None


def examine(image: LayerImage) -> AnalyzableImage:
    """Find out how a layer can be analyzed.

    Reads pixels, so it must not run on the main thread.

    Raises
    ------
    SlideError
        If the layer is not an RGB image and does not belong to a file with one.
    """
    from napari_fddm.slides import ArraySlide  # late: a window opens faster
    from napari_fddm.slides.served import BACKEND

    slide_of_file = _slide_of_file(image)
    if slide_of_file is not None:
        return AnalyzableImage(slide_of_file)
    sizes = tuple(image.levels[0].shape)
    if not image.rgb:
        raise SlideError(
            f"The layer {image.name} is grayscale; the model needs a stained slide in color.",
            hint="Open the slide with napari-fddm, or add the three channels as one RGB layer.",
        )
    if len(sizes) != 3:
        raise SlideError(
            f"The layer {image.name} is a stack of shape {sizes}.",
            hint="Add the plane to analyze as an RGB layer of its own.",
        )
    slide = ArraySlide(image.levels, name=image.name, backend=BACKEND, axes=("y", "x", "c"))
    return AnalyzableImage(replace(slide_info(slide, ""), warnings=()), slide)


def with_placement(info: ShownSlide, placement: Placement) -> ShownSlide:
    """Return a slide with the placement of its layer, and the pixel size that follows.

    A pixel size in the file takes precedence over the scale of the layer; if they differ,
    a warning is added.
    """
    claim = placement.claim
    info = replace(info, placement=placement)
    if info.mpp is None:
        mpp, notes = resolve_mpp((claim,), name=info.name)
        warnings = (*info.warnings, *(notes if claim is not None else ()))
        return replace(info, mpp=mpp.value, mpp_source=mpp.source, warnings=warnings)
    if claim is not None:
        low, high = sorted((info.mpp, claim.y))
        if high > low * MAX_USER_DEVIATION:
            note = f"the layer has {claim.y:.3g} µm per pixel, the file {info.mpp:.3g}."
            return replace(info, warnings=(*info.warnings, note))
    return info


def engine_mpp(info: ShownSlide) -> float | None:
    """Return the pixel size to pass to the engine: the one that only the layer has, if any."""
    return info.mpp if info.mpp_source == SOURCE else None


def _slide_of_file(image: LayerImage) -> ShownSlide | None:
    """Return the slide of the layer's file; None if it cannot be opened or looks different."""
    from napari_fddm.slides import PyramidSlide

    if not image.path or not Path(image.path).exists():
        return None
    try:
        slide = open_slide(image.path)
        if isinstance(slide, PyramidSlide) and slide.levels[0].shape != image.shape:
            slide = _image_of_shape(slide, image)
    except FddmError:
        return None  # a format that only the other reader supports
    with slide:
        if not isinstance(slide, PyramidSlide):
            return None
        if slide.levels[0].shape != image.shape or not _same_picture(slide, image):
            return None
        return slide_info(slide, str(SlideSpec(image.path, series=slide.other_series)))


def _image_of_shape(slide: PyramidSlide, image: LayerImage) -> Slide:
    """Open the image of the slide's file that has the size of a layer, if there is just one."""
    fitting = [other for other in slide.images if other.shape == image.shape and not other.refusal]
    if len(fitting) != 1 or image.path is None:
        return slide
    slide.close()
    return open_slide(image.path, series=fitting[0].series)


def _same_picture(slide: PyramidSlide, image: LayerImage) -> bool:
    """Compare a patch in the middle; for a single channel check only that the file has color."""
    y, x = (max(0, n // 2 - PROBE_PX // 2) for n in image.shape)
    height, width = (min(PROBE_PX, n) for n in image.shape)
    try:
        of_file = slide.read_level(0, y, x, height, width).astype(np.int16)
    except SlideError:
        return False
    if not image.rgb:
        level = slide.levels[-1]
        coarsest = slide.read_level(level.index, 0, 0, *level.shape)
        return bool((coarsest != coarsest[..., :1]).any())
    of_layer = np.asarray(image.levels[0][..., y : y + height, x : x + width, :3])
    return of_layer.dtype == np.uint8 and bool(np.abs(of_file - of_layer).mean() <= SAME_PICTURE)
