"""Decode PNG and TIFF label pictures without changing a pixel value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import DataError
from napari_fddm.core.outside.pictures import MOST_PIXELS, open_picture
from napari_fddm.core.outside.text import visible
from napari_fddm.interop.stated_sizes import UNSTATED, StatedSize
from napari_fddm.interop.tiff_pictures import read_tiff

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

SUFFIXES = (".png", ".tif", ".tiff")
MAX_PIXELS = MOST_PIXELS
_WHAT = "a label map"
_HINT = "Give a PNG or TIFF with class values or with the exact colors of the classes."
_YES_AND_NO = "a mask of yes and no is no map of classes"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture.

    Attributes
    ----------
    pixels : array
        (H, W) of integers, or (H, W, 3) of uint8.
    opaque : array of bool, shape (H, W), or None
        Where it is not transparent; None: everywhere.
    palette : array of uint8, shape (n, 3), or None
        Colors of the values, of an indexed picture.
    size : StatedSize
        Size of a pixel, as a TIFF states it.
    not_stored : tuple of (int, int)
        Tiles or strips of a TIFF that no writer stored, which read as 0, and all of them.
    """

    pixels: npt.NDArray[Any]
    opaque: npt.NDArray[np.bool_] | None = None
    palette: npt.NDArray[np.uint8] | None = None
    size: StatedSize = UNSTATED
    not_stored: tuple[int, int] = (0, 0)


def unreadable(name: str, reason: str) -> DataError:
    """Return the error of a picture that is no label map, with the reason."""
    text = " ".join(reason.split()).rstrip(".")
    return DataError(f"{visible(name)} cannot be read as {_WHAT}: {text}.", hint=_HINT)


def read_picture(path: Path) -> Picture:
    """Decode a picture.

    Raises
    ------
    DataError
        If it is no PNG or TIFF, cannot be read, was compressed with loss, or is too large.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise unreadable(path.name, f"it is no {', '.join(SUFFIXES)} file")
    return _read_png(path) if suffix == ".png" else _read_tiff(path)


def _read_png(path: Path) -> Picture:
    with open_picture(path, _WHAT, hint=_HINT) as file:
        if file.height * file.width > MAX_PIXELS:
            raise unreadable(path.name, f"{file.width} × {file.height} px are too many")
        if file.format != "PNG":
            raise unreadable(path.name, f"it is a {file.format}, not a PNG")
        return _of_pillow(file, path.name)


def _of_pillow(file: Any, name: str) -> Picture:
    if file.mode == "P":
        opaque = None
        if "transparency" in file.info:
            opaque = np.asarray(file.convert("RGBA"))[..., 3] != 0
        palette = np.zeros((256, 3), np.uint8)
        colors = np.array(file.getpalette("RGB"), np.uint8).reshape(-1, 3)
        palette[: len(colors)] = colors
        return Picture(np.asarray(file), opaque, palette)
    if file.mode in ("LA", "RGBA"):
        pixels = np.asarray(file)
        colors = pixels[..., 0] if file.mode == "LA" else pixels[..., :3]
        return Picture(colors, pixels[..., -1] != 0)
    if file.mode == "1":
        raise unreadable(name, _YES_AND_NO)
    return Picture(np.asarray(file))


def _read_tiff(path: Path) -> Picture:
    read = read_tiff(path, _WHAT, most=MAX_PIXELS, coarser=False, hint=_HINT)
    pixels = read.pixels
    if read.lossy:
        raise unreadable(path.name, "it is compressed with loss, as JPEG, which mixes colors")
    if pixels.dtype == np.bool_:
        raise unreadable(path.name, _YES_AND_NO)
    if read.zero_is_white:
        raise unreadable(path.name, "in it 0 is white, so its values are turned over")
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        colors = pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3]
        return Picture(colors, pixels[..., -1] != 0, None, read.size, read.not_stored)
    return Picture(pixels, None, read.palette, read.size, read.not_stored)
