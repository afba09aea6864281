"""Slides stored as OME-Zarr 0.4 or 0.5, in a folder or at a URL, read through zarr."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import FddmError, SlideError
from napari_fddm.core.geometry import Mpp
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import visible
from napari_fddm.core.outside.urls import public_url
from napari_fddm.core.outside.zarr_files import child_array
from napari_fddm.slides.array import ArraySlide
from napari_fddm.slides.channels import Channel, is_numbered, rgb_order
from napari_fddm.slides.choosing import SlideImage, choose_image
from napari_fddm.slides.mpp import resolve_mpp
from napari_fddm.slides.ngff.images import Entry, list_images
from napari_fddm.slides.ngff.metadata import (
    Multiscale,
    read_channels,
    read_multiscale,
    version_refusal,
)
from napari_fddm.slides.ngff.ome_xml import channels_of, claim_of, read_ome_xml
from napari_fddm.slides.ngff.remote import is_network_fault, url_errors, url_name, url_store
from napari_fddm.slides.ngff.stored import MOST_CHUNKS, StoredChunks, count_chunks, stored_chunks
from napari_fddm.slides.planes import refuse_other_than_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import zarr
    from zarr.abc.store import Store

    from napari_fddm.slides.ometiff.metadata import OmeImage

MOST_CHUNK = 256 << 20
"""Bytes of a decoded chunk: 16 384 px squared of one channel."""
_MARKERS = ("zarr.json", ".zattrs", ".zgroup")


def is_zarr(folder: Path) -> bool:
    """Return whether a folder looks like a zarr group."""
    return any((folder / marker).is_file() for marker in _MARKERS)


def open_omezarr(
    place: Path | str, *, mpp: float | None = None, series: int | None = None
) -> ArraySlide:
    """Open one image of an OME-Zarr.

    Parameters
    ----------
    place : Path or str
        Folder or URL of a zarr group with ``multiscales``, of one written by
        bioformats2raw, of a plate, or of a folder of images.
    mpp : float, optional
        Micrometers per level-0 pixel; overrides the file.
    series : int, optional
        Which image, counted from 0; by default `choose_image` chooses.

    Returns
    -------
    ArraySlide
        With backend "omezarr".

    Raises
    ------
    SlideError
        If it cannot be reached, there is no multiscale image, or it is no 8-bit gray,
        RGB or RGBA image.
    MppError
        If `mpp` is not believable.
    """
    if isinstance(place, str):
        with url_errors(place):
            return _open_url(place, mpp, series)
    from napari_fddm.core.outside.zarr_local import RegularFiles

    place = place.absolute()
    name = visible(place.name)
    hint = "Check the permissions and whether the drive is connected."
    with reading("OME-Zarr", name, error=SlideError, hint=hint):
        return _open(RegularFiles(place), name, str(place), mpp, series)


def _open_url(url: str, mpp: float | None, series: int | None) -> ArraySlide:
    name, uri = url_name(url), public_url(url)
    try:
        slide = _open(url_store(url), name, uri, mpp, series)
    except FddmError as error:
        # The class is botocore's, which only s3fs brings; public data needs no credentials.
        if type(error.__cause__).__name__ != "NoCredentialsError":
            raise
        slide = _open(url_store(url, anonymous=True), name, uri, mpp, series)
    slide.address = url
    return slide


@dataclass(slots=True)
class _Image:
    """One image of the file: what it says, and how it is read."""

    series: int
    entry: Entry
    said: Multiscale | None = None
    xml: OmeImage | None = None
    shape: tuple[int, int] = (0, 0)
    channels: tuple[Channel, ...] = ()
    order: tuple[int, int, int] | None = None
    refusal: SlideError | None = None
    damage: FddmError | None = None
    notes: list[str] = field(default_factory=list)


def _open(store: Store, name: str, uri: str, mpp: float | None, series: int | None) -> ArraySlide:
    entries = list_images(store, name)
    listed_xml = read_ome_xml(store, name) if entries[0].path else ()
    images = [_look(number, entry, name, listed_xml) for number, entry in enumerate(entries)]
    listed, note = _chosen(images, name, series)
    image = images[listed.series]
    said = image.said
    if said is None:
        raise SlideError(f"{name} holds no pixels in series {listed.series}.")
    arrays = [_array(image.entry, path, name) for path in said.paths]
    refuse_other_than_image(arrays, said.axes, name)
    claim, no_size = said.pixel_size()
    other, no_other = claim_of(image.xml) if image.xml is not None else (None, "")
    resolved, notes = resolve_mpp((claim, other), name=name, user=mpp)
    no_size = " ".join(text for text in (no_size, no_other) if text)
    if no_size and resolved.value is None:
        resolved = Mpp(None, resolved.source, no_size)

    def lost() -> tuple[tuple[StoredChunks, ...], list[str]]:
        return _lost(arrays, said.axes, name)

    slide = ArraySlide(
        arrays,
        mpp=resolved,
        name=name,
        uri=uri,
        backend="omezarr",
        axes=said.axes,
        order=image.order,
        lost=lost,
        images=tuple(_described(one, name) for one in images) if len(images) > 1 else (),
        series=listed.series,
    )
    shapes = [level.shape for level in slide.levels]
    for text in (note, no_size, *notes, said.contradiction(shapes), *image.notes):
        if text:
            slide.add_warning(text)
    if store.supports_listing:
        slide.look_for_lost()
    return slide


def _look(series: int, entry: Entry, name: str, xml: Sequence[OmeImage]) -> _Image:
    """Read what one image says of itself; no pixels are read.

    OME-XML lists the images in the order of their series; it counts for this one if it says
    the same size.
    """
    image = _Image(series, entry)
    if entry.group is None:
        image.damage = SlideError(
            f"series {series} of {name} is lost: there is no zarr group {entry.path!r}.",
            hint="Copy it again, or choose another with --series.",
        )
        return image
    if entry.multiscale is None:
        image.refusal = SlideError(f"{name} has no pixels.")
        return image
    try:
        raw = entry.multiscale if isinstance(entry.multiscale, dict) else {}
        refusal = version_refusal(entry.ome, raw)
        if refusal:
            image.refusal = SlideError(
                f"{name} {refusal}.", hint="Convert it, for instance with bioformats2raw."
            )
            return image
        image.said = read_multiscale(entry.multiscale, name)
        _refuse_incomplete(entry.group, image.said.paths, name)
        finest = _array(entry, image.said.paths[0], name)
        image.channels, is_gray = read_channels(entry.ome.get("omero"), name)
    except FddmError as error:
        cause = error.__cause__
        if cause is not None and is_network_fault(cause):
            raise
        image.damage = error
        return image
    sizes = dict(zip(image.said.axes, finest.shape, strict=False))
    image.shape = (int(sizes.get("y", 0)), int(sizes.get("x", 0)))
    if series < len(xml) and xml[series].shape == image.shape:
        image.xml = xml[series]
        if all(is_numbered(channel.name) for channel in image.channels):
            image.channels = channels_of(image.xml) or image.channels
    elif xml:
        image.notes.append(
            f"the OME-XML of {name} says another size of series {series}; it is not used."
        )
    try:
        refuse_other_than_image([finest], image.said.axes, name)
        _judge_channels(image, int(sizes.get("c", 1)), name, is_gray=is_gray)
    except SlideError as error:
        image.refusal = error
    return image


def _judge_channels(image: _Image, count: int, name: str, *, is_gray: bool) -> None:
    """Decide which channel is red, or refuse."""
    channels = image.channels
    if channels and len(channels) != count:
        raise SlideError(
            f"{name} is not one brightfield image: it has {count} channels, but its omero "
            f"metadata names {len(channels)}.",
            hint="Export it as RGB.",
        )
    if count == 1:
        if channels and not is_numbered(channels[0].name):
            image.notes.append(f"its only channel, {channels[0]}, is taken as gray.")
        return
    image.order = rgb_order(channels or [Channel("")] * count, name)
    if image.order is not None:
        return
    if is_gray:
        raise SlideError(
            f"{name} is no brightfield slide: its display model is grayscale.",
            hint="Export it as RGB, or name its channels Red, Green and Blue if they are.",
        )
    image.notes.append(
        "nothing in the file says which of its three channels is red; they are taken as red, "
        "green and blue."
    )


def _chosen(images: Sequence[_Image], name: str, series: int | None) -> tuple[SlideImage, str]:
    """Choose by `choose_image`; an only image is refused in its own words."""
    if len(images) == 1 and series in (None, 0):
        (only,) = images
        fault = only.damage or only.refusal
        if fault is not None:
            raise fault
    broken = next((image for image in images if image.damage is not None), None)
    if broken is not None and series in (None, broken.series):
        # It may be the slide, and another image would be taken for it.
        damage = broken.damage or SlideError("")
        raise SlideError(
            f"series {broken.series} of {name} cannot be read: {damage.message}",
            hint="Copy it again; --series takes another image all the same.",
        ) from damage
    return choose_image([_described(image, name) for image in images], name, series)


def _described(image: _Image, name: str) -> SlideImage:
    fault = image.refusal or image.damage
    refusal = "" if fault is None else fault.message.removeprefix(f"{name} ").rstrip(".")
    return SlideImage(image.series, image.shape, _label(image), refusal)


def _label(image: _Image) -> str:
    """Return what the file calls an image; the group is named where the image is not."""
    own = image.said.name if image.said is not None else ""
    if image.xml is not None and image.xml.name.strip():
        return image.xml.name
    return own if own != image.entry.path else ""


def _refuse_incomplete(group: zarr.Group, paths: Sequence[str], name: str) -> None:
    with reading("OME-Zarr", name, error=SlideError):
        missing = [path for path in paths if path not in group]
    if missing:
        listed = visible(", ".join(missing))
        raise SlideError(
            f"{name} is incomplete: its levels {listed} are missing.", hint="Copy it again."
        )


def _array(entry: Entry, path: str, name: str) -> zarr.Array[Any]:
    """Open a level, and refuse it if its chunks cannot be those of a slide."""
    shown = f"{name}/{entry.path}".rstrip("/")
    array = child_array(entry.group, path, error=SlideError, shown=shown)
    chunk = math.prod(array.chunks) * max(1, array.dtype.itemsize)
    if chunk > MOST_CHUNK or count_chunks(array) > MOST_CHUNKS:
        raise SlideError(
            f"{shown}/{visible(path)} has {count_chunks(array):,} chunks of "
            f"{chunk / (1 << 20):,.1f} MiB; such a slide cannot be read.",
            hint="Write it again in chunks of about 1 MiB.",
        )
    return array


def _lost(
    arrays: Sequence[zarr.Array[Any]], axes: tuple[str, ...], name: str
) -> tuple[tuple[StoredChunks, ...], list[str]]:
    """Return the levels of which chunks are missing, and a sentence about each.

    Raises
    ------
    SlideError
        If the chunks cannot be counted.
    """
    found, notes = [], []
    for number, array in enumerate(arrays):
        with reading("the chunks of OME-Zarr", name, error=SlideError):
            level = stored_chunks(array, axes)
        if level.missing:
            found.append(level)
            notes.append(
                f"{level.missing} of {level.grid.size} chunks of level {number} were never "
                "stored; the tissue there is not analyzed."
            )
    return tuple(found), notes
