"""A user's own tissue mask: an image of the whole slide, non-zero where tissue is."""

from __future__ import annotations

import hashlib
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import ConfigError, StoreError
from napari_fddm.core.tissue import MASK_UM, tissue_of_image
from napari_fddm.interop import ome_zarr

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.core.geometry import MapGeometry
    from napari_fddm.core.tissue import TissueMask

    Mask = npt.NDArray[np.bool_]

AUTOMATIC = ("auto", "all")
TIFF_SUFFIXES = (".tif", ".tiff")
LABELS = "labels"
CELL = "napari-fddm cell"
"""Key of the PNG text that holds level-0 px per pixel, in masks written by napari-fddm: their
last pixels may reach beyond the slide."""
MAX_PIXELS = 2**28
"""Most pixels of a mask. 16 µm per pixel needs a thousandth of this; more would fill memory."""
MAX_ASPECT_ERROR = 0.01
"""Relative error allowed beyond rounding to whole pixels; masks of other slides differ more."""
_ALLOWED = "PNG, TIFF or an OME-Zarr label, e.g. mask.png or slide.ome.zarr/labels/tissue"


@dataclass(frozen=True, slots=True)
class UserMask:
    """A mask as its file holds it.

    Attributes
    ----------
    name : str
        File name, for messages and reports.
    image : array of bool, shape (h, w)
        True on tissue.
    cell : float or None
        Level-0 px per pixel, where the file holds it; None: the mask covers the slide.
    """

    name: str
    image: Mask
    cell: float | None = None

    @property
    def sha256(self) -> str:
        """Identity of the content, independent of the file format."""
        digest = hashlib.sha256(repr((self.image.shape, self.cell)).encode())
        digest.update(np.packbits(self.image).tobytes())
        return digest.hexdigest()

    def record(self) -> dict[str, Any]:
        """Return what provenance records."""
        return {"method": "mask", "name": self.name, "sha256": self.sha256}

    def check_fits(self, slide_shape: tuple[int, int], slide_name: str) -> None:
        """Refuse a mask whose proportions are not those of this slide.

        Raises
        ------
        ConfigError
            If its aspect ratio, or the size that its file gives, does not fit.
        """
        height, width = self._extent(slide_shape)
        rows, cols = self.image.shape
        if self.cell is None:
            # Either side may have been rounded by one pixel.
            off = abs(math.log((height / width) / (rows / cols)))
            fits = off <= MAX_ASPECT_ERROR + 1 / rows + 1 / cols
        else:
            sides = zip((height, width), slide_shape, strict=True)
            fits = all(-1.0 <= long - short < self.cell + 1.0 for long, short in sides)
        if not fits:
            raise ConfigError(
                f"the tissue mask {self.name} has {cols} × {rows} px, which does not fit "
                f"{slide_name} with {slide_shape[1]} × {slide_shape[0]} px.",
                hint="A mask covers the whole slide, at any scale: its sides must have the "
                "slide's proportions.",
            )

    def on_grid(self, geometry: MapGeometry, slide_shape: tuple[int, int]) -> TissueMask:
        """Return the mask, resampled to a slide's mask grid."""
        return tissue_of_image(self.image, self._extent(slide_shape), geometry)

    def _extent(self, slide_shape: tuple[int, int]) -> tuple[float, float]:
        if self.cell is None:
            return (float(slide_shape[0]), float(slide_shape[1]))
        return (self.image.shape[0] * self.cell, self.image.shape[1] * self.cell)


def check_tissue(tissue: str) -> None:
    """Refuse a setting that is neither "auto" nor "all" nor names something on disk.

    Raises
    ------
    ConfigError
        Naming what is allowed.
    """
    if tissue not in AUTOMATIC and not Path(tissue).exists():
        raise ConfigError(
            f"--tissue cannot be {tissue!r}: it must be auto, all or the file of a mask image, "
            "and there is no such file."
        )


def read_user_mask(tissue: str) -> UserMask | None:
    """Read the mask that a setting names; None for "auto" and "all".

    Raises
    ------
    ConfigError
        If it is none of these, or the file is not a mask.
    """
    check_tissue(tissue)
    if tissue in AUTOMATIC:
        return None
    path = Path(tissue)
    if path.is_dir():
        return _read_ome_zarr(path)
    if path.suffix.lower() in TIFF_SUFFIXES:
        return UserMask(path.name, _non_zero(_read_tiff(path), path))
    image, cell = _read_picture(path)
    return UserMask(path.name, _non_zero(image, path), cell)


def _read_picture(path: Path) -> tuple[npt.NDArray[Any], float | None]:
    """Read an image, and level-0 px per pixel if it is a mask that napari-fddm wrote."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                _check_size(picture.height, picture.width, path)
                if picture.format == "JPEG":
                    raise _unreadable(path, "JPEG turns the zeros of a mask into small values")
                text = picture.info.get(CELL)
                cell = float(text) if isinstance(text, str) else None
                if picture.mode in ("P", "PA"):
                    return np.asarray(picture.convert("RGBA")), cell
                return np.asarray(picture), cell
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(path, str(error)) from error


def _read_tiff(path: Path) -> npt.NDArray[Any]:
    """Read the finest level of a TIFF that is not too large for a mask."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            levels = file.series[0].levels
            small = [v for v in levels if np.prod(v.shape) <= MAX_PIXELS]
            level = (small or levels)[0]
            _check_size(level.shape[0], level.shape[1], path)
            image: npt.NDArray[Any] = np.squeeze(level.asarray())
            axes = str(level.axes)
    except (tifffile.TiffFileError, OSError, ValueError, IndexError, KeyError) as error:
        raise _unreadable(path, str(error)) from error
    planar = image.ndim == 3 and axes.startswith(("S", "C"))
    return np.moveaxis(image, 0, 2) if planar else image


def _read_ome_zarr(path: Path) -> UserMask:
    image, name = path, ""
    if path.parent.name == LABELS:
        image, name = path.parent.parent, path.name
    try:
        name = name or _only_label(image)
        data = ome_zarr.read_labels(image, name)
    except StoreError as error:
        raise _unreadable(path, error.message.rstrip(".")) from error
    _check_size(data.labels.shape[0], data.labels.shape[1], path)
    at_origin = data.exact and data.geometry.origin == (0.0, 0.0)
    cell = data.geometry.cell if at_origin else None
    return UserMask(f"{image.name}/{LABELS}/{name}", data.labels != 0, cell)


def _only_label(image: Path) -> str:
    group = ome_zarr.open_group(image, LABELS)
    ome: Any = group.attrs.asdict().get("ome", {})
    names = [str(name) for name in ome.get(LABELS, [])]
    if len(names) != 1:
        raise StoreError(
            f"it has the labels {', '.join(names) or '(none)'}: name one of them, "
            f"as {image.name}/{LABELS}/NAME."
        )
    return names[0]


def _non_zero(image: npt.NDArray[Any], path: Path) -> Mask:
    """Return where any color is above 0 and not transparent."""
    if image.ndim == 2 and image.size:
        return np.asarray(image != 0)
    if image.ndim == 3 and image.size and image.shape[2] <= 4:
        channels = image.shape[2]
        opaque = image[..., -1] != 0 if channels in (2, 4) else True
        colors = image[..., : channels - 1] if channels in (2, 4) else image
        return np.asarray((colors != 0).any(axis=2) & opaque)
    raise _unreadable(path, f"its shape {image.shape} is not that of one image")


def _check_size(height: int, width: int, path: Path) -> None:
    if height * width > MAX_PIXELS:
        raise _unreadable(
            path, f"{width} × {height} px are too many; {MASK_UM:g} µm per pixel are enough"
        )


def _unreadable(path: Path, reason: str) -> ConfigError:
    text = " ".join(reason.split()).rstrip(".")
    return ConfigError(f"{path} cannot be read as a tissue mask: {text}.", hint=f"Give {_ALLOWED}.")
