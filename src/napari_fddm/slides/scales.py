"""Exact downsample of each level of a pyramid, for files that give only the levels' sizes.

Scanners bin by a whole number and cut off the rest; image libraries stretch the image
onto the rounded size. A 1483 px level of a 2967 px slide is 2.0 or 2.00067: at the far
edge the two differ by up to a level pixel, which is enough to shift an overlay. Where
the writer is unknown, the pixels decide.
"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.errors import SlideError
from napari_fddm.core.resample import area_average_edges

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_fddm.core.protocols import RgbImage

    Reader = Callable[[int, int, int, int, int], RgbImage]

Scale = tuple[float, float]
Shape = tuple[int, int]

_PATCH = 64
_PATCHES = 3
_PLACES = (0.55, 0.65, 0.75, 0.85, 0.95)
_IRRELEVANT = 0.05
"""Readings that differ by less than this at the far edge, in level pixels, count as equal."""
_DECISIVE = 0.9
"""A reading is taken if its misfit is below this share of the other reading's misfit."""


def level_scales(shapes: Sequence[Shape], *, binned: bool = False) -> tuple[Scale, ...]:
    """Return level-0 pixels per pixel of each level along y and x, from the sizes alone.

    Parameters
    ----------
    shapes : sequence of (int, int)
        (height, width) per level, finest first.
    binned : bool
        Whether the writer is known to bin and cut, as scanners do. Else the mean of
        both readings is taken, which lies within half a level pixel of either.

    Raises
    ------
    SlideError
        If there is no level, one has no pixels, or one is larger than the first.
    """
    if not shapes or min(min(s) for s in shapes) < 1:
        raise SlideError("the slide has no pixels.", hint="Export or copy it again.")
    if any(k > n for s in shapes for k, n in zip(s, shapes[0], strict=True)):
        raise SlideError(
            f"the slide's levels are not ordered by size: {list(shapes)}.",
            hint="Give the finest level first.",
        )
    return tuple(_from_sizes(shapes[0], s, binned=binned) for s in shapes)


def measured_scales(shapes: Sequence[Shape], read: Reader) -> tuple[Scale, ...]:
    """Return the scales as `level_scales` does, with ambiguous levels decided by their pixels.

    A few textured patches far from the origin are compared with the next finer level,
    averaged under either reading; the one that fits clearly better is taken, and the
    mean of both where none does.

    Parameters
    ----------
    shapes : sequence of (int, int)
        (height, width) per level, finest first.
    read : callable
        ``read(level, y, x, height, width)`` → uint8 (h, w, 3), in the level's pixels.

    Raises
    ------
    SlideError
        As `level_scales`, and if pixels cannot be decoded.
    """
    scales = list(level_scales(shapes))
    for index in range(1, len(shapes)):
        whole = _whole_factor(shapes[0], shapes[index])
        stretched = _stretched(shapes[0], shapes[index])
        if whole and _disagreement(shapes[index], whole, stretched) > _IRRELEVANT:
            binned = (float(whole), float(whole))
            scales[index] = _better(
                shapes, index, scales[index - 1], (binned, stretched), scales[index], read
            )
    return tuple(scales)


def _from_sizes(full: Shape, level: Shape, *, binned: bool) -> Scale:
    stretched = _stretched(full, level)
    whole = _whole_factor(full, level)
    if not whole:
        return stretched
    if binned:
        return float(whole), float(whole)
    return (whole + stretched[0]) / 2, (whole + stretched[1]) / 2


def _stretched(full: Shape, level: Shape) -> Scale:
    return full[0] / level[0], full[1] / level[1]


def _whole_factor(full: Shape, level: Shape) -> int:
    """Return the whole number both lengths were divided by, up to rounding, or 0.

    Small levels may fit several numbers. Cutting the rest off is what scanners do, and
    they like powers of two.
    """
    ratio = max(full) / level[full.index(max(full))]
    near = range(max(1, math.floor(ratio * 0.7)), math.ceil(ratio * 1.3) + 1)
    pairs = tuple(zip(full, level, strict=True))
    fits = [n for n in near if all(abs(f / n - k) < 1 for f, k in pairs)]

    def unlikeliness(n: int) -> tuple[bool, bool, float]:
        return any(f // n != k for f, k in pairs), n.bit_count() != 1, abs(n - ratio)

    return min(fits, key=unlikeliness, default=0)


def _disagreement(level: Shape, whole: int, stretched: Scale) -> float:
    """Return how far the readings are apart at the far edge, level px."""
    return max(k * abs(s / whole - 1) for k, s in zip(level, stretched, strict=True))


def _better(
    shapes: Sequence[Shape],
    index: int,
    finer: Scale,
    readings: tuple[Scale, Scale],
    undecided: Scale,
    read: Reader,
) -> Scale:
    """Return the reading under which the level fits the next finer one."""
    patches = _telling_patches(shapes[index], index, read)
    misfits = [
        sum(
            _misfit(patch, place, reading, finer, shapes[index - 1], index - 1, read)
            for place, patch in patches
        )
        for reading in readings
    ]
    for number in (0, 1):
        if misfits[number] < _DECISIVE * misfits[1 - number]:
            return readings[number]
    return undecided


def _telling_patches(shape: Shape, index: int, read: Reader) -> list[tuple[Shape, RgbImage]]:
    """Return the patches, with their places, where a small shift changes most pixels."""
    size = min(_PATCH, shape[0] // 4, shape[1] // 4)
    if size < 8:
        return []
    places = [
        (int(p * (shape[0] - size)), int(q * (shape[1] - size)))
        for p, q in product(_PLACES, _PLACES)
    ]
    patches = [(place, read(index, *place, size, size)) for place in places]
    patches.sort(key=lambda item: -float(item[1].std()) * sum(item[0]))
    return patches[:_PATCHES]


def _misfit(
    patch: RgbImage,
    place: Shape,
    reading: Scale,
    finer: Scale,
    finer_shape: Shape,
    finer_index: int,
    read: Reader,
) -> float:
    edges, window = [], []
    for axis in (0, 1):
        ratio = reading[axis] / finer[axis]
        spots = (place[axis] + np.arange(patch.shape[axis] + 1)) * ratio
        low = max(0, math.floor(spots[0]))
        window.append((low, min(finer_shape[axis], math.ceil(spots[-1]) + 1) - low))
        edges.append(spots - low)
    (y, height), (x, width) = window
    image = read(finer_index, y, x, height, width)
    expected = area_average_edges(image, edges[0], edges[1])
    return float(np.abs(expected.astype(np.int16) - patch).mean())
