"""The OME-XML that bioformats2raw writes beside its images: their names, channels and sizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_fddm.core.errors import SlideError
from napari_fddm.core.outside.guard import reading
from napari_fddm.slides.channels import Channel
from napari_fddm.slides.mpp import claim_from_ome
from napari_fddm.slides.ometiff.metadata import read_ome

if TYPE_CHECKING:
    from zarr.abc.store import Store

    from napari_fddm.slides.mpp import MppClaim
    from napari_fddm.slides.ometiff.metadata import OmeImage

KEY = "OME/METADATA.ome.xml"
SOURCE = "ome-xml"
"""Where a pixel size was found, beside that of the NGFF axes."""


def read_ome_xml(store: Store, name: str) -> tuple[OmeImage, ...]:
    """Return the images that the OME-XML lists, in the order of the series; () without one.

    Raises
    ------
    SlideError
        If it cannot be read.
    """
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    place = f"{name}/{KEY}"
    with reading("OME-XML", place, error=SlideError):
        found = sync(store.get(KEY, default_buffer_prototype()))
        return () if found is None else read_ome(found.to_bytes(), Path(place)).images


def channels_of(image: OmeImage) -> tuple[Channel, ...]:
    """Return its channels; one of three samples is red, green and blue by the OME model."""
    if len(image.channels) == 1 and image.channels[0].samples == 3:
        return Channel("Red"), Channel("Green"), Channel("Blue")
    return tuple(Channel(channel.name, channel.color) for channel in image.channels)


def claim_of(image: OmeImage) -> tuple[MppClaim | None, str]:
    """Return the physical size of its pixels, and a sentence that quotes an unknown unit."""
    claim, note = claim_from_ome(image.pixel, image.units)
    return None if claim is None else replace(claim, source=SOURCE), note
