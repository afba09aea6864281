"""Slides as napari layers: makes a slide's layer, finds a layer's slide, finds what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_fddm.core.geometry import Region
from napari_fddm.core.protocols import Slide
from napari_fddm.plugin.layers.common import METADATA
from napari_fddm.plugin.layers.viewport import shown_region
from napari_fddm.plugin.plumbing.napari_text import unmarked
from napari_fddm.plugin.state.placement import Placement
from napari_fddm.plugin.state.window_state import ShownSlide
from napari_fddm.slides.spec import local_place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_fddm.core.geometry import YX

LayerData = tuple[Any, dict[str, Any], str]


def slide_info(slide: Slide, uri: str) -> ShownSlide:
    """Return what the plugin needs to know of an open slide."""
    path = local_place(uri) if uri else None
    return ShownSlide(
        name=slide.name,
        uri=uri,
        path=str(path.resolve()) if path else None,
        fingerprint=slide.fingerprint,
        shape=slide.levels[0].shape,
        mpp=slide.mpp.value,
        mpp_source=slide.mpp.source,
        warnings=tuple(slide.warnings),
        images=getattr(slide, "images", ()),
        series=getattr(slide, "series", 0),
        other_series=getattr(slide, "other_series", None),
    )


def slide_layer_data(slide: Slide, uri: str) -> LayerData:
    """Return a napari layer tuple: the lazy pyramid in µm, with our dict in its metadata."""
    info = slide_info(slide, uri)
    options: dict[str, Any] = {
        "name": unmarked(slide.name),
        "rgb": True,
        "multiscale": True,
        "axis_labels": ("y", "x"),
        "metadata": {METADATA: {"role": "slide", "info": info, "slide": slide}},
    }
    if info.mpp is not None:
        options |= {"scale": (info.mpp, info.mpp), "units": ("um", "um")}
    return slide.as_dask(), options, "image"


def info_of_layer(layer: Layer | None) -> ShownSlide | None:
    """Return the slide behind a layer, or None."""
    block = layer.metadata.get(METADATA, {}) if layer is not None else {}
    info = block.get("info")
    return info if isinstance(info, ShownSlide) else None


def slide_of_layer(layer: Layer | None) -> Slide | None:
    """Return the open slide behind a layer; None if it is no slide or another reader made it."""
    slide = layer.metadata.get(METADATA, {}).get("slide") if layer is not None else None
    return slide if isinstance(slide, Slide) else None


def layer_of(layers: Iterable[Layer], slide: ShownSlide) -> Image | None:
    """Return the layer that shows a slide, or None."""
    return next((layer for layer in layers if info_of_layer(layer) == slide), None)


def viewport_of(viewer: ViewerModel, slide: ShownSlide) -> Region | None:
    """Return the part of a slide that the canvas shows, level-0 px; None without a layer.

    It is computed from the camera, because napari's ``corner_pixels`` are those of the whole
    image if it has a single level.
    """
    layer = layer_of(viewer.layers, slide)
    if layer is None:
        return None
    return shown_region(viewer, layer).intersection(Region(0, 0, *slide.shape))


def focus_of(viewer: ViewerModel, slide: ShownSlide) -> YX | None:
    """Return the center of what the canvas shows of a slide, level-0 px; None if nothing."""
    shown = viewport_of(viewer, slide)
    if shown is None or shown.is_empty:
        return None
    return (shown.y + shown.height / 2, shown.x + shown.width / 2)


def placement_of(layers: Iterable[Layer], fingerprint: str) -> Placement | None:
    """Return where the slide with a fingerprint lies; None if it has no layer."""
    for layer in layers:
        info = info_of_layer(layer)
        if info is not None and info.fingerprint == fingerprint:
            return info.placement or Placement.of_slide(info.mpp)
    return None
