"""Read a label map from a PNG or TIFF of class values, or of the exact colors of a palette.

Nothing is guessed: a value or color that belongs to no class is an error, which gives its
count and its first place; on request such cells are left out instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_fddm.core.classes import NOT_ANALYZED, OSTEOSARCOMA, ClassTable, labels_from_rgb
from napari_fddm.core.errors import DataError
from napari_fddm.interop.pictures import Picture, read_picture, unreadable
from napari_fddm.interop.stated_sizes import UNSTATED, StatedSize

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Labels = npt.NDArray[np.uint8]

Reading = Literal["auto", "values", "paper", "screen"]
"""How pixels are read: class values, colors of the paper, colors of the screen."""
_BAND = 1 << 22
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a command that error messages refer to.

    Attributes
    ----------
    reading : str
        Names of the options that set how pixels are read; empty if there is none.
    leave_out : str
        A sentence that names the option to leave out what is no class.
    """

    reading: str = ""
    leave_out: str = ""


NO_OPTIONS = Options()


@dataclass(frozen=True, slots=True, eq=False)
class ClassImage:
    """A label map and how it was read.

    Attributes
    ----------
    labels : array of uint8, shape (H, W)
        Class values, 0 not analyzed.
    reading : str
        "values", "paper" or "screen".
    left_out : dict of str to int
        Values or colors that are no class's and were left out, with their pixels.
    size : StatedSize
        Size of a pixel, as a TIFF states it.
    not_stored : tuple of (int, int)
        Tiles or strips of a TIFF that no writer stored, which read as 0, and all of them.
    """

    labels: Labels
    reading: str
    left_out: dict[str, int]
    size: StatedSize = UNSTATED
    not_stored: tuple[int, int] = (0, 0)


def read_class_image(
    path: Path,
    table: ClassTable = OSTEOSARCOMA,
    *,
    reading: Reading = "auto",
    leave_out: bool = False,
    options: Options = NO_OPTIONS,
) -> ClassImage:
    """Read a label map from a picture.

    Parameters
    ----------
    path : Path
        PNG or TIFF.
    table : ClassTable
        The classes.
    reading : str
        How; "auto" takes single-channel pictures for class values and RGB for the
        paper's colors. An indexed picture is read by its colors where each used one is
        a class's, else by its values.
    leave_out : bool
        Leave out what is no class, instead of refusing the picture.
    options : Options
        Named in the advice of errors.

    Raises
    ------
    DataError
        If it cannot be read, holds what is no class, or can be read in two ways.
    """
    picture, name = read_picture(path), path.name
    pixels = picture.pixels
    if pixels.ndim == 2 and pixels.dtype.kind not in "ui":
        raise unreadable(name, f"its pixels are {pixels.dtype}, not whole numbers")
    if reading == "auto":
        reading = _reading_of(picture, name, table, options)
    if reading == "values":
        if pixels.ndim != 2:
            raise unreadable(name, "it has colors, not one value per pixel")
        labels, unknown, places = _by_value(pixels, picture.opaque, table)
    else:
        if pixels.ndim == 2:
            if picture.palette is None:
                raise unreadable(name, "it has one value per pixel and no colors")
            pixels = picture.palette[pixels]
        labels, unknown, places = _by_color(pixels, picture.opaque, table, reading == "paper")
    if unknown and not leave_out:
        raise _unknown_error(name, (unknown, places), reading, table, options)
    return ClassImage(labels, reading, unknown, picture.size, picture.not_stored)


def classes_of_values(
    values: npt.NDArray[Any],
    name: str,
    table: ClassTable = OSTEOSARCOMA,
    *,
    leave_out: bool = False,
    options: Options = NO_OPTIONS,
) -> ClassImage:
    """Return a label map from whole numbers of any type.

    Parameters
    ----------
    values : array of an integer type, shape (H, W)
        Class values.
    name : str
        Of the map, for messages.
    table, leave_out, options
        As for `read_class_image`.

    Raises
    ------
    DataError
        If there are values that are no class.
    """
    if values.dtype == np.bool_:
        raise unreadable(name, "a mask of yes and no is no map of classes")
    labels, unknown, places = _by_value(values, None, table)
    if unknown and not leave_out:
        raise _unknown_error(name, (unknown, places), "values", table, options)
    return ClassImage(labels, "values", unknown)


def _reading_of(picture: Picture, name: str, table: ClassTable, options: Options) -> Reading:
    """Decide how a picture is to be read; refuse it if both ways give a label map."""
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
    if by_value and used[0] == NOT_ANALYZED and not colors[0].any():
        # black is what encoders give to an unused 0, and it is the paper's hemorrhage
        title = table.classes[known[0] - 1].name
        raise DataError(
            f"{name} has pixels of value 0 whose palette color is black: they may mean "
            f"'not analyzed' or {title}.",
            hint=f"Say which: {options.reading} values, or paper."
            if options.reading
            else "Save it as RGB in the paper's colors, or with one value per pixel.",
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
        raise DataError(f"expected RGB of 8 bits, got {pixels.dtype} {pixels.shape}.")
    labels = np.zeros(pixels.shape[:2], np.uint8)
    counts: dict[tuple[int, int, int], int] = {}
    places: dict[str, tuple[int, int]] = {}
    step = max(1, _BAND // max(1, pixels.shape[1]))
    filler = table.rgb_table(paper=paper)[1]
    for start in range(0, pixels.shape[0], step):
        band = pixels[start : start + step]
        if opaque is not None:  # transparent pixels get a known color, and are removed below
            band = np.where(opaque[start : start + step, :, None], band, filler)
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


def _unknown_error(
    name: str,
    found: tuple[dict[str, int], dict[str, tuple[int, int]]],
    reading: str,
    table: ClassTable,
    options: Options,
) -> DataError:
    unknown, places = found
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
        hint = f"These are colors of the screen: {_from_screen(options)}."
    else:
        hint = "Save masks as PNG or TIFF without antialiasing, in exact colors."
    return DataError(
        f"{name} has {len(unknown)} {what} that belong to no class: {'; '.join(shown)}{more}.",
        hint=f"{hint} {options.leave_out}".strip(),
    )


def _from_screen(options: Options) -> str:
    return f"give {options.reading} screen" if options.reading else "save it in the paper's"
