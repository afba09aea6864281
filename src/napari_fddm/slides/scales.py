"""How many level-0 pixels a pixel of a level stands for, when the file gives only sizes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_fddm.core.errors import SlideError

if TYPE_CHECKING:
    from collections.abc import Sequence


def level_scales(shapes: Sequence[tuple[int, int]]) -> tuple[tuple[float, float], ...]:
    """Return level-0 pixels per pixel of each level, along y and x.

    A file says only how many pixels a level has. Some writers bin by a whole
    number and cut or pad the rest, others stretch the image onto the rounded size.
    Where both readings agree to half a level pixel at the far edge the whole number
    is taken; else their mean, which lies within half a level pixel of either.

    Parameters
    ----------
    shapes : sequence of (int, int)
        (height, width) per level, finest first.

    Raises
    ------
    SlideError
        If there is no level, one has no pixels, or one is larger than the first.
    """
    if not shapes or min(min(s) for s in shapes) < 1:
        raise SlideError("the slide has no pixels.")
    if any(k > n for s in shapes for k, n in zip(s, shapes[0], strict=True)):
        raise SlideError(f"the slide's levels are not ordered by size: {list(shapes)}.")
    return tuple(_scales(shapes[0], s) for s in shapes)


def _scales(full: tuple[int, int], level: tuple[int, int]) -> tuple[float, float]:
    whole = _whole_factor(full, level)
    if whole:
        return _axis_scale(full[0], level[0], whole), _axis_scale(full[1], level[1], whole)
    return full[0] / level[0], full[1] / level[1]


def _whole_factor(full: tuple[int, int], level: tuple[int, int]) -> int:
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


def _axis_scale(full: int, level: int, whole: int) -> float:
    if abs(full / whole - level) <= 0.5:
        return float(whole)
    return (whole + full / level) / 2
