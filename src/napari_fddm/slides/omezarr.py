"""Slides stored as OME-Zarr (NGFF 0.4 and 0.5 folders), read through zarr."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import FddmError, SlideError
from napari_fddm.slides.array import ArraySlide
from napari_fddm.slides.mpp import MppClaim, resolve_mpp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

_UM_PER_UNIT = {
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
}
_MARKERS = ("zarr.json", ".zattrs", ".zgroup")


def is_zarr(folder: Path) -> bool:
    """Return whether a folder looks like a zarr group."""
    return any((folder / marker).is_file() for marker in _MARKERS)


def open_omezarr(folder: Path, *, mpp: float | None = None) -> ArraySlide:
    """Open the image of an OME-Zarr folder.

    Parameters
    ----------
    folder : Path
        The zarr group with ``multiscales``, or one written by bioformats2raw.
    mpp : float, optional
        Micrometers per level-0 pixel; overrides the file.

    Returns
    -------
    ArraySlide
        With backend "omezarr".

    Raises
    ------
    SlideError
        If there is no multiscale image or it is no 8-bit gray, RGB or RGBA image.
    MppError
        If `mpp` is not believable.
    """
    folder = folder.absolute()
    try:
        multiscale, planes = _planes(folder)
        claim = _claim(multiscale)
    except FddmError:
        raise
    except Exception as error:  # metadata written by anybody can fail anywhere
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SlideError(
            f"{folder.name} cannot be read as OME-Zarr: {reason}.",
            hint="Check it with an OME-NGFF validator.",
        ) from error
    resolved, notes = resolve_mpp((claim,), name=folder.name, user=mpp)
    slide = ArraySlide(planes, mpp=resolved, name=folder.name, uri=str(folder), backend="omezarr")
    for note in notes:
        slide.add_warning(note)
    return slide


@dataclass(frozen=True)
class _Plane:
    """A level dressed as (h, w) or (h, w, c), whatever its axes are."""

    array: Any
    axes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        sizes = dict(zip(self.axes, self.array.shape, strict=True))
        channels = (sizes["c"],) if sizes.get("c", 1) > 1 else ()
        return (sizes["y"], sizes["x"], *channels)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(self.array.dtype)
        return dtype

    def __getitem__(self, key: tuple[slice, slice]) -> npt.NDArray[np.uint8]:
        place: dict[str, slice | int] = {"y": key[0], "x": key[1]}
        if len(self.shape) == 3:
            place["c"] = slice(None)
        window = np.asarray(self.array[tuple(place.get(axis, 0) for axis in self.axes)])
        kept = [axis for axis in self.axes if axis in place]
        return window.transpose([kept.index(axis) for axis in "yxc" if axis in kept])


def _planes(folder: Path) -> tuple[Mapping[str, Any], list[_Plane]]:
    import zarr

    group = zarr.open_group(folder, mode="r")
    multiscale = _multiscale(group)
    if multiscale is None and "0" in group:
        group = zarr.open_group(folder / "0", mode="r")
        multiscale = _multiscale(group)
    if multiscale is None:
        raise SlideError(
            f"{folder.name} is a zarr group without a multiscale image.",
            hint="Choose the OME-Zarr folder of the image itself.",
        )
    axes = tuple(axis["name"] for axis in multiscale["axes"])
    arrays = [group[dataset["path"]] for dataset in multiscale["datasets"]]
    _refuse_stack(arrays, axes, folder.name)
    return multiscale, [_Plane(array, axes) for array in arrays]


def _multiscale(group: Any) -> Mapping[str, Any] | None:
    attributes = dict(group.attrs)
    listed = attributes.get("ome", attributes).get("multiscales")
    return listed[0] if listed else None


def _refuse_stack(arrays: Sequence[Any], axes: tuple[str, ...], name: str) -> None:
    sizes = dict(zip(axes, arrays[0].shape, strict=True))
    extra = {axis: n for axis, n in sizes.items() if axis not in "yxc" and n > 1}
    if extra or sizes.get("c", 1) not in (1, 3, 4) or not {"y", "x"} <= set(axes):
        described = ", ".join(f"{axis} {n}" for axis, n in sizes.items())
        raise SlideError(
            f"{name} is not one brightfield image: its axes are {described}.",
            hint="Export one RGB plane.",
        )


def _claim(multiscale: Mapping[str, Any]) -> MppClaim | None:
    """Return the pixel size of level 0; scales of the dataset and of the whole multiply."""
    sizes = {}
    transforms = [
        *multiscale["datasets"][0].get("coordinateTransformations", ()),
        *multiscale.get("coordinateTransformations", ()),
    ]
    for number, axis in enumerate(multiscale["axes"]):
        um = _UM_PER_UNIT.get(axis.get("unit", ""))
        if axis["name"] not in ("y", "x"):
            continue
        if um is None:
            return None
        factors = [t["scale"][number] for t in transforms if t.get("type") == "scale"]
        sizes[axis["name"]] = um * float(np.prod(factors)) if factors else 0.0
    return MppClaim(sizes["y"], sizes["x"], "ome") if min(sizes.values()) > 0 else None
