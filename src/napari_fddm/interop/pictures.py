"""Decode PNG and TIFF label pictures without changing a pixel value."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

SUFFIXES = (".png", ".tif", ".tiff")
MAX_PIXELS = 2**30
"""32 768 pixels squared: a slide of 33 mm at 1 µm."""


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
    """

    pixels: npt.NDArray[Any]
    opaque: npt.NDArray[np.bool_] | None = None
    palette: npt.NDArray[np.uint8] | None = None


def unreadable(name: str, reason: str) -> DataError:
    """Return the error of a picture that is no label map, with the reason."""
    text = " ".join(reason.split()).rstrip(".")
    return DataError(
        f"{name} cannot be read as a label map: {text}.",
        hint="Give a PNG or TIFF with class values or with the exact colors of the classes.",
    )


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
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                _check_size((file.height, file.width), path.name)
                if file.format != "PNG":
                    raise unreadable(path.name, f"it is a {file.format}, not a PNG")
                return _of_pillow(file, path.name)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise unreadable(path.name, str(error)) from error


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
        raise unreadable(name, "a mask of yes and no is no map of classes")
    return Picture(np.asarray(file))


def _read_tiff(path: Path) -> Picture:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            level = file.series[0].levels[0]
            page: Any = level.pages[0]
            if page.compression in (6, 7, 33003, 33005, 34712):
                raise unreadable(
                    path.name, "it is compressed with loss, as JPEG, which mixes colors"
                )
            _check_size((page.imagelength, page.imagewidth), path.name)
            pixels = np.squeeze(level.asarray())
            planar = pixels.ndim == 3 and str(level.axes).startswith(("S", "C"))
            palette = None
            if page.photometric == 3 and page.colormap is not None:
                palette = (np.asarray(page.colormap).T >> 8).astype(np.uint8)
    except (tifffile.TiffFileError, OSError, ValueError, IndexError, KeyError) as error:
        raise unreadable(path.name, str(error)) from error
    if planar:
        pixels = np.moveaxis(pixels, 0, 2)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        return Picture(pixels[..., :3], pixels[..., 3] != 0)
    if pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[2] == 3):
        raise unreadable(path.name, f"its shape {pixels.shape} is not that of one picture")
    return Picture(pixels, None, palette)


def _check_size(shape: tuple[int, int], name: str) -> None:
    if shape[0] * shape[1] > MAX_PIXELS:
        raise unreadable(name, f"{shape[1]} × {shape[0]} px are too many; save it smaller")
