"""Read the picture of a user's tissue mask: where its pixels are not zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import ConfigError, StoreError
from napari_fddm.core.outside.pictures import open_picture
from napari_fddm.core.outside.text import visible
from napari_fddm.core.tissue import MASK_UM
from napari_fddm.interop.label_images import LABELS, LabelImage, label_names, read_label_image
from napari_fddm.interop.tiff_pictures import SUFFIXES, read_tiff

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from napari_fddm.interop.stated_sizes import StatedSize

    Mask = npt.NDArray[np.bool_]

WHAT = "a tissue mask"
CELL = "napari-fddm cell"
"""Key of the PNG text that holds level-0 px per pixel, in masks written by napari-fddm: their
last pixels may reach beyond the slide."""
MAX_PIXELS = 2**28
"""Most pixels of a mask. 16 µm per pixel needs a thousandth of this; more would fill memory."""
ALLOWED = "PNG, TIFF, GeoJSON or an OME-Zarr label, e.g. mask.png or slide.ome.zarr/labels/tissue"
_NUMPYS_OWN = "tifffile"
"""It marks yes-or-no arrays as "0 is white" without being told, so its 1 is numpy's True."""


@dataclass(frozen=True, slots=True, eq=False)
class MaskPicture:
    """A mask as its file holds it.

    Attributes
    ----------
    name : str
        For messages and reports.
    image : array of bool, shape (h, w)
        True on tissue.
    cell : float or None
        Level-0 px per pixel, where the file holds it.
    label : LabelImage or None
        The label map, where it is one.
    size : StatedSize or None
        Size of a pixel, as a TIFF states it.
    notes : tuple of str
        What is to be said about the file.
    """

    name: str
    image: Mask
    cell: float | None = None
    label: LabelImage | None = None
    size: StatedSize | None = None
    notes: tuple[str, ...] = ()


def read_mask_picture(path: Path) -> MaskPicture:
    """Read a mask from a picture or an OME-Zarr.

    Raises
    ------
    ConfigError
        If it cannot be read, is too large, was compressed with loss, or is no mask.
    """
    if path.is_dir() or path.suffix == ".ozx":
        return _read_ome_zarr(path)
    if path.suffix.lower() in SUFFIXES:
        return _read_tiff(path)
    return _read_picture(path)


def _read_picture(path: Path) -> MaskPicture:
    """Read an image, and level-0 px per pixel if it is a mask that napari-fddm wrote."""
    with open_picture(path, WHAT, error=ConfigError, hint=f"Give {ALLOWED}.") as picture:
        if picture.height * picture.width > MAX_PIXELS:
            raise unreadable(
                path,
                f"{picture.width} × {picture.height} px are too many; {MASK_UM:g} µm per pixel "
                "are enough",
            )
        if picture.format == "JPEG":
            raise unreadable(path, "JPEG turns the zeros of a mask into small values")
        text = picture.info.get(CELL)
        cell = float(text) if isinstance(text, str) else None
        if cell is not None and not 0 < cell < float("inf"):
            raise unreadable(path, f"it says that its pixels are {cell:g} px of the slide large")
        pixels = np.asarray(picture.convert("RGBA") if picture.mode in ("P", "PA") else picture)
    return MaskPicture(path.name, _non_zero(pixels, path), cell)


def _read_tiff(path: Path) -> MaskPicture:
    """Read the finest level of a TIFF that is not too large for a mask."""
    hint = f"Give {ALLOWED}."
    read = read_tiff(path, WHAT, most=MAX_PIXELS, error=ConfigError, hint=hint)
    if read.lossy:
        raise unreadable(path, "it is compressed with loss, which turns zeros into small values")
    pixels, notes = read.pixels, []
    if read.palette is not None and pixels.ndim == 2:
        pixels = read.palette[np.minimum(pixels, len(read.palette) - 1)]
    if read.zero_is_white:
        if pixels.dtype != np.bool_ or not read.software.startswith(_NUMPYS_OWN):
            raise unreadable(
                path, "in it 0 is white and more is darker, so which of them is tissue is not clear"
            )
        notes.append(f"in {path.name} 0 is white: its pixels of value 1 count as tissue")
    missing, every = read.not_stored
    if missing:
        notes.append(
            f"{missing} of {every} tiles or strips of {path.name} are not stored: they count as "
            "no tissue"
        )
    if read.size.problem:
        notes.append(f"{path.name}: {read.size.problem}; it is taken as a mask of the whole slide")
    image = _non_zero(pixels, path)
    return MaskPicture(path.name, image, size=read.size, notes=tuple(notes))


def _read_ome_zarr(path: Path) -> MaskPicture:
    image, name = path, ""
    if path.parent.name == LABELS:
        image, name = path.parent.parent, path.name
    try:
        name = name or _only_label(image)
        label = read_label_image(image, name, most=MAX_PIXELS)
    except StoreError as error:
        raise unreadable(path, error.message, error.hint) from error
    shown = f"{image.name}/{LABELS}/{name}"
    notes = label.notes(shown, "no tissue")
    return MaskPicture(shown, label.values != 0, label=label, notes=notes)


def _only_label(image: Path) -> str:
    names = label_names(image)
    if len(names) != 1:
        raise StoreError(
            f"it has the labels {', '.join(map(visible, names)) or '(none)'}: name one of them, "
            f"as {image.name}/{LABELS}/NAME."
        )
    return names[0]


def _non_zero(image: npt.NDArray[Any], path: Path) -> Mask:
    """Return where any color is not 0 and not transparent."""
    if image.dtype.kind not in "buif":
        raise unreadable(path, f"its values are {image.dtype}, not whole numbers")
    if image.dtype.kind == "f" and not (np.isfinite(image) & (np.floor(image) == image)).all():
        raise unreadable(path, "some of its values are no whole numbers, but a mask says yes or no")
    if image.ndim == 2 and image.size:
        return np.asarray(image != 0)
    if image.ndim == 3 and image.size and image.shape[2] <= 4:
        channels = image.shape[2]
        opaque = image[..., -1] != 0 if channels in (2, 4) else True
        colors = image[..., : channels - 1] if channels in (2, 4) else image
        return np.asarray((colors != 0).any(axis=2) & opaque)
    raise unreadable(path, f"its shape {image.shape} is not that of one image")


def unreadable(path: Path, reason: str, hint: str = "") -> ConfigError:
    """Return the error of a file that is no tissue mask, with the reason."""
    text = " ".join(reason.split()).rstrip(".")
    return ConfigError(
        f"{visible(path)} cannot be read as {WHAT}: {text}.", hint=hint or f"Give {ALLOWED}."
    )
