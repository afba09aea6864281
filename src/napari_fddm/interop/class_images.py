"""Images of classes, indexed or in the paper's colors, as label values."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.classes import OSTEOSARCOMA, ClassTable, labels_from_rgb
from napari_fddm.core.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from napari_fddm.core.classes import RGB

_READ_AS = {"1": "L", "LA": "RGBA", "RGBa": "RGBA"}
"""Modes of Pillow that are read as another one."""
_SHOWN = 5
"""Unknown colors that an error names."""


def read_class_image(path: Path, table: ClassTable = OSTEOSARCOMA) -> npt.NDArray[np.uint8]:
    """Read a mask image as label values, 0 where nothing is labeled.

    * One channel: the values are label values.
    * Colors: exactly the paper's; a transparent pixel is not labeled.
    * A palette (PNG): its colors, if all used ones are the paper's; else its indices.

    Returns
    -------
    array of uint8, shape (h, w)

    Raises
    ------
    DataError
        If it cannot be read, is JPEG, or holds a color or a value that is no class.
    """
    if path.suffix.lower() in {".tif", ".tiff"}:
        return _labels_of(_read_tiff(path), path, table)
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                if picture.format == "JPEG":
                    raise DataError(
                        f"{path} is JPEG, which changes the colors of a mask.",
                        hint="Save masks as PNG or TIFF.",
                    )
                if picture.mode in ("P", "PA"):
                    return _of_palette(picture, path, table)
                mode = _READ_AS.get(picture.mode, picture.mode)
                return _labels_of(np.asarray(picture.convert(mode)), path, table)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"the mask {path} cannot be read: {error}.") from error


def _of_palette(picture: Any, path: Path, table: ClassTable) -> npt.NDArray[np.uint8]:
    """Read colors where they are the paper's and no gray ramp; else indices."""
    rgba = np.asarray(picture.convert("RGBA"))
    index = np.asarray(picture)
    seen = labels_from_rgb(np.ascontiguousarray(rgba[..., :3]), table)
    ramp = bool((rgba[..., :3] == index[..., None]).all()) if index.ndim == 2 else False
    if not seen.unknown and not ramp:
        return np.where(rgba[..., 3] > 0, seen.labels, 0).astype(np.uint8)
    return _labels_of(index, path, table)


def _read_tiff(path: Path) -> npt.NDArray[Any]:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            image: npt.NDArray[Any] = np.squeeze(series.asarray())
            axes = str(series.axes)
    except (tifffile.TiffFileError, OSError, ValueError, IndexError, KeyError) as error:
        raise DataError(f"the mask {path} cannot be read: {error}.") from error
    return np.moveaxis(image, 0, 2) if image.ndim == 3 and axes.startswith(("S", "C")) else image


def _labels_of(image: npt.NDArray[Any], path: Path, table: ClassTable) -> npt.NDArray[np.uint8]:
    if image.ndim == 2 and image.dtype.kind in "bui":
        return _of_values(image, path, table)
    if image.ndim != 3 or image.shape[2] not in (3, 4) or image.dtype != np.uint8:
        raise DataError(
            f"the mask {path} is {image.dtype} of shape {image.shape}: neither label values nor "
            "colors."
        )
    rgb = image[..., :3].copy()
    clear = image[..., 3] == 0 if image.shape[2] == 4 else np.zeros(image.shape[:2], bool)
    rgb[clear] = 255
    seen = labels_from_rgb(rgb, table)
    if seen.unknown:
        raise _unknown_colors(rgb, seen.unknown, path)
    return np.where(clear, 0, seen.labels).astype(np.uint8)


def _of_values(image: npt.NDArray[Any], path: Path, table: ClassTable) -> npt.NDArray[np.uint8]:
    highest = int(image.max(initial=0))
    if int(image.min(initial=0)) < 0 or highest > len(table):
        y, x = (int(n) for n in np.argwhere((image < 0) | (image > len(table)))[0])
        raise DataError(
            f"the mask {path} holds the value {int(image[y, x])} at row {y}, column {x}; label "
            f"values are 0 to {len(table)}."
        )
    return image.astype(np.uint8)


def _unknown_colors(rgb: npt.NDArray[np.uint8], unknown: dict[RGB, int], path: Path) -> DataError:
    shown = []
    for color, count in list(unknown.items())[:_SHOWN]:
        y, x = (int(n) for n in np.argwhere((rgb == color).all(axis=2))[0])
        shown.append(f"{color} ({count} px, e.g. row {y}, column {x})")
    more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
    return DataError(
        f"the mask {path} holds {len(unknown)} colors that are no class: {', '.join(shown)}{more}.",
        hint="Use the paper's colors exactly, without smoothing, or label values.",
    )
