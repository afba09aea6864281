"""Label maps from PNG and TIFF: class values, or the exact colors of a palette.

Nothing is guessed. A value or a color that is no class's is an error that says how
often it occurs and where first; on request such cells are left out instead.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_fddm.core.classes import NOT_ANALYZED, OSTEOSARCOMA, ClassTable, labels_from_rgb
from napari_fddm.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Labels = npt.NDArray[np.uint8]

Reading = Literal["auto", "values", "paper", "screen"]
"""How pixels are read: class values, colors of the paper, colors of the screen."""
SUFFIXES = (".png", ".tif", ".tiff")
MAX_PIXELS = 2**28
"""16 384 pixels squared; label maps of slides have a tenth of it."""
_BAND = 1 << 22
_SHOWN = 3
_HOW = "--truth-as or --pred-as (in a manifest: both)"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What a file holds.

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
    palette: Labels | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PictureLabels:
    """A label map and how it was read.

    Attributes
    ----------
    labels : array of uint8, shape (H, W)
        Class values, 0 not analyzed.
    reading : str
        "values", "paper" or "screen".
    left_out : dict of str to int
        Values or colors that are no class's and were left out, with their pixels.
    """

    labels: Labels
    reading: str
    left_out: dict[str, int]


def read_picture_labels(
    path: Path, *, reading: Reading = "auto", leave_out: bool = False
) -> PictureLabels:
    """Read a label map from a picture.

    Parameters
    ----------
    path : Path
        PNG or TIFF.
    reading : str
        How; "auto" takes single-channel pictures for class values and RGB for the
        paper's colors. An indexed picture is read by its colors where each used one is
        a class's, else by its values.
    leave_out : bool
        Leave out what is no class, instead of refusing the picture.

    Raises
    ------
    ConfigError
        If it cannot be read, holds what is no class, or can be read in two ways.
    """
    picture = _read_tiff(path) if path.suffix.lower() != ".png" else _read_png(path)
    return labels_of_picture(picture, path.name, reading=reading, leave_out=leave_out)


def labels_of_picture(
    picture: Picture, name: str, *, reading: Reading = "auto", leave_out: bool = False
) -> PictureLabels:
    """Turn pixels into class values; see `read_picture_labels`."""
    pixels, table = picture.pixels, OSTEOSARCOMA
    if pixels.ndim == 2 and pixels.dtype.kind not in "ui":
        raise _unreadable(name, f"its pixels are {pixels.dtype}, not whole numbers")
    if reading == "auto":
        reading = _reading_of(picture, name, table)
    if reading == "values":
        if pixels.ndim != 2:
            raise _unreadable(name, "it has colors, not one value per pixel")
        labels, unknown, places = _by_value(pixels, picture.opaque, table)
    else:
        if pixels.ndim == 2:
            if picture.palette is None:
                raise _unreadable(name, "it has one value per pixel and no colors")
            pixels = picture.palette[pixels]
        labels, unknown, places = _by_color(pixels, picture.opaque, table, reading == "paper")
    if unknown and not leave_out:
        raise _strange(name, unknown, places, reading, table)
    return PictureLabels(labels, reading, unknown)


def _reading_of(picture: Picture, name: str, table: ClassTable) -> Reading:
    """Decide how a picture is meant; refuse where both ways give a label map."""
    if picture.pixels.ndim == 3:
        return "paper"
    if picture.palette is None:
        return "values"
    used = np.unique(picture.pixels)
    colors = picture.palette[used]
    known = labels_from_rgb(colors[None], table).labels[0]
    distinct = len(np.unique(colors, axis=0)) == len(used)
    if not distinct or not known.all():
        return "values"
    by_value = used.max(initial=0) <= len(table)
    if by_value and used[0] == NOT_ANALYZED and known[0] == table["HC"].value:
        # black is what encoders give to an unused 0, and it is the paper's hemorrhage
        raise ConfigError(
            f"{name} has pixels of value 0 whose palette color is black: they may mean "
            "'not analyzed' or hemorrhage.",
            hint=f"Say which: {_HOW} values, or paper.",
        )
    return "paper"


def _by_value(
    pixels: npt.NDArray[Any], opaque: npt.NDArray[np.bool_] | None, table: ClassTable
) -> tuple[Labels, dict[str, int], dict[str, tuple[int, int]]]:
    wrong = (pixels > len(table)) | (pixels < 0)
    if opaque is not None:
        wrong &= opaque
    labels = np.where(wrong, NOT_ANALYZED, pixels).astype(np.uint8)
    if opaque is not None:
        labels[~opaque] = NOT_ANALYZED
    if not wrong.any():
        return labels, {}, {}
    values, counts = np.unique(pixels[wrong], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    unknown = {str(values[i]): int(counts[i]) for i in order}
    shown = [values[i] for i in order[:_SHOWN]]
    return labels, unknown, {str(v): _first(wrong & (pixels == v)) for v in shown}


def _by_color(
    pixels: npt.NDArray[Any],
    opaque: npt.NDArray[np.bool_] | None,
    table: ClassTable,
    paper: bool,
) -> tuple[Labels, dict[str, int], dict[str, tuple[int, int]]]:
    if pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ConfigError(f"expected RGB of 8 bits, got {pixels.dtype} {pixels.shape}.")
    labels = np.zeros(pixels.shape[:2], np.uint8)
    counts: dict[tuple[int, int, int], int] = {}
    places: dict[str, tuple[int, int]] = {}
    step = max(1, _BAND // max(1, pixels.shape[1]))
    for start in range(0, pixels.shape[0], step):
        band = pixels[start : start + step]
        if opaque is not None:  # transparent pixels: a known color, taken away below
            white = np.array(table["BG"].paper_rgb if paper else table["BG"].display_rgb, np.uint8)
            band = np.where(opaque[start : start + step, :, None], band, white)
        found = labels_from_rgb(band, table, paper=paper)
        labels[start : start + step] = found.labels
        for color, count in found.unknown.items():
            counts[color] = counts.get(color, 0) + count
            if str(color) not in places and len(places) < 100 * _SHOWN:
                row, col = _first((band == np.array(color, np.uint8)).all(axis=2))
                places[str(color)] = (start + row, col)
    if opaque is not None:
        labels[~opaque] = NOT_ANALYZED
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return labels, {str(color): count for color, count in ordered}, places


def _first(where: npt.NDArray[np.bool_]) -> tuple[int, int]:
    row, col = divmod(int(where.argmax()), where.shape[1])
    return row, col


def _strange(
    name: str,
    unknown: dict[str, int],
    places: dict[str, tuple[int, int]],
    reading: str,
    table: ClassTable,
) -> ConfigError:
    what = "values" if reading == "values" else "colors"
    shown = []
    for key in list(unknown)[:_SHOWN]:
        where = places.get(key)
        at = f", first in row {where[0]}, column {where[1]}" if where else ""
        shown.append(f"{key} in {unknown[key]} px{at}")
    more = f"; and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
    screen = {str(c.display_rgb) for c in table}
    if reading == "values":
        hint = f"Classes are 1 to {len(table)}, and 0 is not analyzed."
    elif set(unknown) <= screen:
        hint = f"These are colors of the screen: give {_HOW} screen."
    else:
        hint = "Save masks as PNG or TIFF without antialiasing, in exact colors."
    return ConfigError(
        f"{name} has {len(unknown)} {what} that belong to no class: {'; '.join(shown)}{more}.",
        hint=f"{hint} --unknown leave-out leaves such cells out of everything.",
    )


def _read_png(path: Path) -> Picture:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                _check_size((file.height, file.width), path.name)
                if file.format != "PNG":
                    raise _unreadable(path.name, f"it is a {file.format}, not a PNG")
                return _of_pillow(file, path.name)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(path.name, str(error)) from error


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
        raise _unreadable(name, "a mask of yes and no is no map of classes")
    return Picture(np.asarray(file))


def _read_tiff(path: Path) -> Picture:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            level = file.series[0].levels[0]
            page: Any = level.pages[0]
            if page.compression in (6, 7, 33003, 33005, 34712):
                raise _unreadable(
                    path.name, "it is compressed with loss, as JPEG, which mixes colors"
                )
            _check_size((page.imagelength, page.imagewidth), path.name)
            pixels = np.squeeze(level.asarray())
            planar = pixels.ndim == 3 and str(level.axes).startswith(("S", "C"))
            palette = None
            if page.photometric == 3 and page.colormap is not None:
                palette = (np.asarray(page.colormap).T >> 8).astype(np.uint8)
    except (tifffile.TiffFileError, OSError, ValueError, IndexError, KeyError) as error:
        raise _unreadable(path.name, str(error)) from error
    if planar:
        pixels = np.moveaxis(pixels, 0, 2)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        return Picture(pixels[..., :3], pixels[..., 3] != 0)
    if pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[2] == 3):
        raise _unreadable(path.name, f"its shape {pixels.shape} is not that of one picture")
    return Picture(pixels, None, palette)


def _check_size(shape: tuple[int, int], name: str) -> None:
    if shape[0] * shape[1] > MAX_PIXELS:
        raise _unreadable(
            name, f"{shape[1]} × {shape[0]} px are too many; 4 µm per pixel are enough"
        )


def _unreadable(name: str, reason: str) -> ConfigError:
    text = " ".join(reason.split()).rstrip(".")
    return ConfigError(
        f"{name} cannot be read as a label map: {text}.",
        hint="Give a PNG or TIFF with class values or with the exact colors of the classes.",
    )
