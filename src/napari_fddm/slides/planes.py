"""Views of arrays whose axes come in any order, as (h, w) or (h, w, channels)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import SlideError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_CHANNELS = (1, 3, 4)
_HINT = "Export one plane as 8-bit gray, RGB or RGBA."


@dataclass(frozen=True)
class Plane:
    """One level whose windows come as (h, w) or (h, w, channels), whatever its axes are.

    Attributes
    ----------
    array : numpy, dask or zarr array
        Anything that slices like numpy's.
    axes : tuple of str
        One name per axis; what is not "y", "x" or "c" has length 1.
    """

    array: Any
    axes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """(h, w), or (h, w, channels) where there is more than one channel."""
        sizes = dict(zip(self.axes, self.array.shape, strict=True))
        channels = (int(sizes["c"]),) if sizes.get("c", 1) > 1 else ()
        return (int(sizes["y"]), int(sizes["x"]), *channels)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples."""
        dtype: np.dtype[Any] = np.dtype(self.array.dtype)
        return dtype

    def __getitem__(self, key: tuple[slice, slice]) -> npt.NDArray[np.uint8]:
        """Return a window as an array in memory; key is (rows, columns)."""
        place: dict[str, slice | int] = {"y": key[0], "x": key[1]}
        if len(self.shape) == 3:
            place["c"] = slice(None)
        window = np.asarray(self.array[tuple(place.get(axis, 0) for axis in self.axes)])
        kept = [axis for axis in self.axes if axis in place]
        return window.transpose([kept.index(axis) for axis in "yxc" if axis in kept])


def as_image(array: Any, axes: tuple[str, ...]) -> Any:
    """Return an array of these axes as (h, w) or (h, w, channels); nothing is copied."""
    plane = Plane(array, axes)
    if isinstance(array, np.ndarray):
        return plane[:, :]
    plain = axes in (("y", "x"), ("y", "x", "c")) and len(plane.shape) == len(axes)
    return array if plain else plane


def guess_axes(array: Any, name: str) -> tuple[str, ...]:
    """Return the axes of an array that does not name them, from its shape alone.

    Three axes are an image with its channels last, as napari holds it, or first, as
    networks and OME-Zarr do; where both could be (3 × h × 3), last.

    Raises
    ------
    SlideError
        If it is no gray, RGB or RGBA image.
    """
    shape = tuple(getattr(array, "shape", ()))
    if len(shape) == 2:
        return ("y", "x")
    if len(shape) == 3 and shape[2] in (3, 4):
        return ("y", "x", "c")
    if len(shape) == 3 and shape[0] in (3, 4):
        return ("c", "y", "x")
    if not hasattr(array, "dtype"):
        reason = f"it is a {type(array).__name__}, not an array"
    elif len(shape) == 3:
        reason = f"of its shape {shape} no axis is 3 or 4 colors"
    else:
        reason = f"it has {len(shape)} axes, shape {shape}"
    raise SlideError(f"{name} is no brightfield image: {reason}.", hint=_HINT)


def refuse_other_than_image(arrays: Sequence[Any], axes: tuple[str, ...], name: str) -> None:
    """Make sure that levels are one 8-bit gray, RGB or RGBA image each, of one kind.

    Raises
    ------
    SlideError
        Naming what they are instead.
    """
    if not {"y", "x"} <= set(axes):
        raise SlideError(
            f"{name} has no y and x axis: its axes are {', '.join(axes) or 'none'}.", hint=_HINT
        )
    for array in arrays:
        reason = _difference(array, axes)
        if reason:
            raise SlideError(f"{name} is not one brightfield image: {reason}.", hint=_HINT)
    kinds = {dict(zip(axes, array.shape, strict=True)).get("c", 1) for array in arrays}
    if len(kinds) > 1:
        counts = " and ".join(str(n) for n in sorted(kinds))
        raise SlideError(f"the levels of {name} have {counts} channels.", hint=_HINT)


def _difference(array: Any, axes: tuple[str, ...]) -> str:
    shape = tuple(getattr(array, "shape", ()))
    if len(shape) != len(axes):
        return f"a level has {len(shape)} axes where {len(axes)} are named"
    sizes = dict(zip(axes, shape, strict=True))
    described = ", ".join(f"{axis} {n}" for axis, n in sizes.items())
    if any(n > 1 for axis, n in sizes.items() if axis not in "yxc"):
        return f"it is a stack, its axes are {described}"
    if sizes.get("c", 1) not in _CHANNELS:
        return f"it has {sizes['c']} channels, its axes are {described}"
    dtype = np.dtype(array.dtype)
    if dtype != np.uint8:
        return f"its samples are {8 * dtype.itemsize}-bit {dtype}, not 8-bit"
    return ""
