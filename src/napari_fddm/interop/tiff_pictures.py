"""Decode the one picture of a TIFF that is a mask or a label map, pixel values unchanged."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import DataError, FddmError
from napari_fddm.core.outside.lzw import CUT_OFF, LZW, is_cut_off
from napari_fddm.core.outside.pictures import MOST_PIXELS, check_size
from napari_fddm.core.outside.text import visible
from napari_fddm.core.outside.tiff_files import open_tiff
from napari_fddm.interop.stated_sizes import UNSTATED, StatedSize, stated_size

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    from tifffile import TiffFile

SUFFIXES = (".tif", ".tiff")
_LOSSY = (6, 7, 33003, 33005, 34712, 50001)
"""TIFF's numbers of JPEG, JPEG 2000 and WebP."""
_MIN_IS_WHITE, _PALETTE = 0, 3
_MOST_SEGMENT = 1 << 30
"""Bytes of a decoded tile or strip: one is decoded as a whole."""


@dataclass(frozen=True, slots=True, eq=False)
class TiffPicture:
    """A decoded picture.

    Attributes
    ----------
    pixels : array, shape (H, W) or (H, W, C)
        Values as they are stored.
    palette : array of uint8, shape (n, 3), or None
        Colors of the values, of an indexed picture.
    lossy : bool
        Whether it was compressed with loss.
    zero_is_white : bool
        Whether the file says that its smallest value is white.
    software : str
        The program that wrote it, as the file says.
    not_stored : tuple of (int, int)
        Tiles or strips that no writer stored, which read as 0, and all of them.
    size : StatedSize
        Of the pixels that were read.
    """

    pixels: npt.NDArray[Any]
    palette: npt.NDArray[np.uint8] | None
    lossy: bool
    zero_is_white: bool
    software: str
    not_stored: tuple[int, int]
    size: StatedSize = UNSTATED


def read_tiff(
    path: Path,
    what: str,
    *,
    most: int = MOST_PIXELS,
    coarser: bool = True,
    error: type[FddmError] = DataError,
    hint: str = "",
) -> TiffPicture:
    """Decode the first picture of a TIFF.

    Parameters
    ----------
    path : Path
        The file.
    what : str
        What it is read as, for messages.
    most : int
        Pixels; the finest level of a pyramid that has no more is read.
    coarser : bool
        Whether another level than the finest may be read.
    error : type of FddmError
        The error to raise.
    hint : str
        What to do about a file that cannot be read.

    Raises
    ------
    FddmError
        If it is damaged, too large, holds several pictures or no two-dimensional one.
    """
    with open_tiff(path, what, error=error, hint=hint) as file:
        _refuse_others(file.series, path, what, error, hint)
        levels = file.series[0].levels
        sizes = [_size(level) for level in levels]
        fitting = [n for n, size in enumerate(sizes) if math.prod(size) <= most]
        if not coarser and fitting and fitting[0] != 0:
            fitting = []
        number = fitting[0] if fitting else 0
        height, width = sizes[number]
        if not fitting:
            raise error(
                f"{visible(path)} cannot be read as {what}: {width} × {height} px are too many.",
                hint=hint or "Save it smaller.",
            )
        check_size((height, width), path, what, error=error)
        level = levels[number]
        page: Any = level.keyframe
        segment = math.prod(int(n) for n in page.chunks) * max(1, page.dtype.itemsize)
        if segment > _MOST_SEGMENT or level.size > 4 * most:
            raise error(
                f"{visible(path)} cannot be read as {what}: it says sizes that cannot be "
                f"({segment:,} bytes in a tile, {level.size:,} values).",
                hint=hint,
            )
        parts = [part for part in level.pages if part is not None]
        counts = [int(n) for part in parts for n in part.databytecounts]
        offsets = [int(n) for part in parts for n in part.dataoffsets]
        listed = min(len(counts), len(offsets))
        wanted = math.prod(int(n) for n in page.chunked) * len(level.pages)
        if listed < wanted:
            raise error(
                f"{visible(path)} cannot be read as {what}: it lists {listed} of the {wanted} "
                "tiles or strips that its size needs.",
                hint=hint,
            )
        if int(page.compression) == LZW:
            _refuse_cut_off(file, offsets, counts, path, what, error, hint)
        pixels = _flat(level, path, what, error, hint)
        palette = None
        if page.photometric == _PALETTE and page.colormap is not None:
            palette = (np.asarray(page.colormap).T >> 8).astype(np.uint8)
        return TiffPicture(
            pixels,
            palette,
            int(page.compression) in _LOSSY,
            page.photometric == _MIN_IS_WHITE,
            str(page.software or ""),
            (sum(0 in place for place in zip(offsets, counts, strict=False)), len(counts)),
            _size_of(file, sizes, number),
        )


def _refuse_cut_off(
    file: TiffFile,
    offsets: list[int],
    counts: list[int],
    path: Path,
    what: str,
    error: type[FddmError],
    hint: str,
) -> None:
    """Refuse tiles or strips whose last bytes are missing, where the decoder cannot tell."""
    handle = file.filehandle
    size = int(handle.size)
    for number, (offset, count) in enumerate(zip(offsets, counts, strict=False)):
        if not 0 < offset < size or count <= 0:
            continue
        handle.seek(offset)
        if is_cut_off(handle.read(min(count, size - offset))):
            raise error(
                f"{visible(path)} cannot be read as {what}: of tile or strip {number}, {CUT_OFF}.",
                hint=hint,
            )


def _size_of(file: TiffFile, sizes: list[tuple[int, int]], number: int) -> StatedSize:
    """Return the stated size of the pixels of a level."""
    found = stated_size(file, file.pages[0], sizes[0])
    if found.um is None:
        return found
    factors = [sizes[0][k] / sizes[number][k] for k in (0, 1)]
    return replace(found, um=(found.um[0] * factors[0], found.um[1] * factors[1]))


def _size(level: Any) -> tuple[int, int]:
    """Return (height, width) of a level."""
    axes = str(level.axes)
    if "Y" not in axes or "X" not in axes:
        return (int(level.keyframe.imagelength), int(level.keyframe.imagewidth))
    return (int(level.shape[axes.index("Y")]), int(level.shape[axes.index("X")]))


def _flat(level: Any, path: Path, what: str, error: type[FddmError], hint: str) -> npt.NDArray[Any]:
    """Return pixels of shape (H, W) or (H, W, C); colors may be stored plane by plane."""
    axes, shape = str(level.axes), tuple(int(n) for n in level.shape)
    color = "S" if "S" in axes else "C"
    kept = ["Y", "X", color] if shape[axes.find(color)] > 1 and color in axes else ["Y", "X"]
    deep = [n for axis, n in zip(axes, shape, strict=True) if axis not in kept and n != 1]
    if deep or not set("YX") <= set(axes) or (len(kept) == 3 and shape[axes.find(color)] > 4):
        raise error(
            f"{visible(path)} cannot be read as {what}: its shape {shape} is not that of one "
            "picture.",
            hint=hint or "Save one picture in it.",
        )
    pixels: npt.NDArray[Any] = level.asarray()
    order = [axes.index(axis) for axis in kept]
    others = [n for n in range(len(axes)) if n not in order]
    return np.transpose(pixels, [*order, *others]).reshape([shape[n] for n in order])


def _refuse_others(series: Any, path: Path, what: str, error: type[FddmError], hint: str) -> None:
    """Refuse further pictures that are no smaller copies of the first."""
    height, width = _size(series[0])
    for other in series[1:]:
        rows, cols = _size(other)
        copy = rows < height and abs(rows * width - cols * height) <= height + width
        if not copy:
            raise error(
                f"{visible(path)} cannot be read as {what}: it holds {len(series)} pictures, among "
                f"them {width} × {height} and {cols} × {rows} px.",
                hint=hint or "Save one picture in it.",
            )
