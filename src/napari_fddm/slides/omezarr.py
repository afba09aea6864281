"""Slides stored as OME-Zarr 0.4 or 0.5, in a folder or at a URL, read through zarr."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import FddmError, SlideError
from napari_fddm.core.units import um_per_unit
from napari_fddm.slides.array import ArraySlide
from napari_fddm.slides.mpp import MppClaim, resolve_mpp
from napari_fddm.slides.remote import url_errors, url_name, url_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zarr.abc.store import Store

VERSIONS = ("0.4", "0.5")
_NETWORK = ("aiohttp", "botocore", "s3fs", "gcsfs", "adlfs")
"""Packages whose errors concern the connection, not the content of the file."""
_MARKERS = ("zarr.json", ".zattrs", ".zgroup")


def is_zarr(folder: Path) -> bool:
    """Return whether a folder looks like a zarr group."""
    return any((folder / marker).is_file() for marker in _MARKERS)


def open_omezarr(place: Path | str, *, mpp: float | None = None) -> ArraySlide:
    """Open the image of an OME-Zarr.

    Parameters
    ----------
    place : Path or str
        Folder or URL of the zarr group with ``multiscales``, or of one written by
        bioformats2raw.
    mpp : float, optional
        Micrometers per level-0 pixel; overrides the file.

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
            return _open_url(place, mpp)
    place = place.absolute()
    try:
        return _open(place, place.name, str(place), mpp)
    except OSError as error:
        raise SlideError(
            f"{place.name} cannot be read: {error.strerror or ' '.join(str(error).split())}.",
            hint="Check the permissions and whether the drive is connected.",
        ) from error


def _open_url(url: str, mpp: float | None) -> ArraySlide:
    name = url_name(url)
    try:
        return _open(url_store(url), name, url, mpp)
    except Exception as error:
        # The class is botocore's, which only s3fs brings; public data needs no credentials.
        if type(error).__name__ != "NoCredentialsError":
            raise
    return _open(url_store(url, anonymous=True), name, url, mpp)


def _open(place: Path | Store, name: str, uri: str, mpp: float | None) -> ArraySlide:
    try:
        multiscale, arrays = _levels(place, name)
        axes = tuple(str(axis["name"]) for axis in multiscale["axes"])
        resolved, notes = resolve_mpp((_claim(multiscale),), name=name, user=mpp)
        slide = ArraySlide(arrays, mpp=resolved, name=name, uri=uri, backend="omezarr", axes=axes)
    except (FddmError, OSError):
        raise
    except Exception as error:  # unknown writers' metadata can fail anywhere
        if type(error).__module__.startswith(_NETWORK):
            raise
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise SlideError(
            f"{name} cannot be read as OME-Zarr: {reason}.",
            hint="Check it with an OME-NGFF validator.",
        ) from error
    for note in notes:
        slide.add_warning(note)
    return slide


def _levels(place: Path | Store, name: str) -> tuple[Mapping[str, Any], list[Any]]:
    group = _group(place, "", name)
    multiscale = _multiscale(group, name)
    if multiscale is None and "0" in group:
        group = _group(place, "0", name)
        multiscale = _multiscale(group, name)
    if multiscale is None:
        raise SlideError(
            f"{name} is a zarr group without a multiscale image.",
            hint="Choose the OME-Zarr folder of the image itself.",
        )
    paths = [str(dataset["path"]) for dataset in multiscale["datasets"]]
    missing = [path for path in paths if path not in group]
    if missing:
        raise SlideError(
            f"{name} is incomplete: its levels {', '.join(missing)} are missing.",
            hint="Copy it again.",
        )
    return multiscale, [group[path] for path in paths]


def _group(place: Path | Store, inside: str, name: str) -> Any:
    from zarr.errors import ContainsArrayError, NodeTypeValidationError

    try:
        return _zarr_group(place, inside)
    except (ContainsArrayError, NodeTypeValidationError) as error:
        raise SlideError(
            f"{name} is a single zarr array, not an OME-Zarr image.",
            hint="Choose the folder around it, which has the multiscales metadata.",
        ) from error
    except FileNotFoundError as error:
        if not isinstance(place, Path):
            raise
        raise SlideError(
            f"{name} holds no zarr group.", hint="Choose the OME-Zarr folder of the image."
        ) from error


def _zarr_group(place: Path | Store, inside: str) -> Any:
    """Open a group of zarr 3 or 2.

    The newer is tried first and alone: zarr, told of neither, asks for both at once, and
    where the first answer is an error it abandons the other requests, of which s3fs warns.
    """
    import zarr

    try:
        return zarr.open_group(place, path=inside or None, mode="r", zarr_format=3)
    except FileNotFoundError:
        return zarr.open_group(place, path=inside or None, mode="r", zarr_format=2)


def _multiscale(group: Any, name: str) -> Mapping[str, Any] | None:
    attributes = dict(group.attrs)
    ome = attributes.get("ome", attributes)
    listed = ome.get("multiscales")
    if not listed:
        return None
    version = str(ome.get("version") or listed[0].get("version") or VERSIONS[-1])
    if not version.startswith(VERSIONS):
        raise SlideError(
            f"{name} is OME-Zarr {version}; {' and '.join(VERSIONS)} can be read.",
            hint="Convert it, for instance with bioformats2raw.",
        )
    return listed[0]  # type: ignore[no-any-return]


def _claim(multiscale: Mapping[str, Any]) -> MppClaim | None:
    """Return the pixel size of level 0; scales of the dataset and of the whole multiply."""
    sizes = {}
    transforms = [
        *multiscale["datasets"][0].get("coordinateTransformations", ()),
        *multiscale.get("coordinateTransformations", ()),
    ]
    for number, axis in enumerate(multiscale["axes"]):
        um = um_per_unit(str(axis.get("unit", "")))
        if axis["name"] not in ("y", "x"):
            continue
        if um is None:
            return None
        factors = [t["scale"][number] for t in transforms if t.get("type") == "scale"]
        sizes[axis["name"]] = um * float(np.prod(factors)) if factors else 0.0
    return MppClaim(sizes["y"], sizes["x"], "ome") if min(sizes.values()) > 0 else None
