"""Write and read any integer label maps as one OME-Zarr 0.5.

`ome_zarr` writes the class maps of an analysis: uint8, square cells, a known slide. Other
labels that users draw in napari have any type, scale and place. They are written block by
block, so that no second copy of a large map is held, and under an image, as the
specification demands: the one they were drawn on, or a blank one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_fddm.core.errors import StoreError
from napari_fddm.core.files import storage_errors
from napari_fddm.core.geometry import Window
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.zarr_files import child_array, read_whole_array
from napari_fddm.interop import ngff
from napari_fddm.interop.levels import CHUNK, create_array
from napari_fddm.interop.ome_zarr import listed_labels, missing_chunks_note, open_group
from napari_fddm.interop.ozx import opened
from napari_fddm.interop.pyramids import blocks_of, finer_window, mean_halved, mode_halved
from napari_fddm.interop.seals import check_seal, sealed_block

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import zarr

    from napari_fddm.core.classes import ClassTable

_LOGGER = logging.getLogger(__name__)

KIND = "labels"
"""Value in our block of the root that marks a file of this module."""
_BLANK = "blank"
"""Key in our block of an image that nobody drew: none of its chunks were written."""
_SMALLEST = 256
_BLOCK = 4 * CHUNK
"""Pixels per side read and written at once: whole chunks."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where pixels lie.

    Attributes
    ----------
    scale, translate : tuple of float
        (y, x): size of a pixel and center of the first one.
    unit : str or None
        NGFF's name of the unit; None where the pixels have no physical size.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    translate: tuple[float, float] = (0.0, 0.0)
    unit: str | None = None

    def halved(self, times: int) -> Place:
        """Return the place after halving the pixels some times."""
        factor = 2**times
        shift = (factor - 1) / 2
        y, x = (t + s * shift for t, s in zip(self.translate, self.scale, strict=True))
        return Place((self.scale[0] * factor, self.scale[1] * factor), (y, x), self.unit)


class Drawn(NamedTuple):
    """A label map or an image, to be written or as it was read.

    Attributes
    ----------
    data : array-like
        Labels (H, W) of an integer type; an image (H, W, 3) or (H, W) of uint8.
    place : Place
        Where it lies.
    table : ClassTable or None
        What the values of labels mean, where they are our classes.
    """

    data: Any
    place: Place
    table: ClassTable | None = None


def write_label_file(path: Path, labels: Mapping[str, Drawn], image: Drawn | None = None) -> None:
    """Write label maps, and the image they lie on, into a new folder.

    Parameters
    ----------
    path : Path
        Folder to create.
    labels : mapping of str to Drawn
        By the name that each gets under ``labels/``; at least one.
    image : Drawn, optional
        By default a blank one on the grid of the first label map.

    Raises
    ------
    StoreError
        If a map cannot be written as labels, or the disk fails.
    """
    import zarr

    first = next(iter(labels.values()))
    base = image or Drawn(None, first.place)
    shape = tuple(first.data.shape[:2]) if image is None else tuple(image.data.shape[:2])
    count = _count(shape)
    with storage_errors("write", path):
        root = zarr.create_group(path, zarr_format=3)
        _write_image(root, base, shape, count)
        parent = root.create_group("labels")
        for name, drawn in labels.items():
            _write_labels(parent.create_group(name), name, drawn, count)
        parent.update_attributes({"ome": {"version": ngff.VERSION, "labels": list(labels)}})


def read_label_file(path: Path) -> tuple[Drawn, dict[str, Drawn]]:
    """Read an image and its label maps, of `write_label_file` or any export of ours.

    Parameters
    ----------
    path : Path
        Folder or ``.ozx`` file of an OME-Zarr 0.5.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    with opened(path) as store, reading("an OME-Zarr", path, error=StoreError):
        root = open_group(store)
        listed = listed_labels(open_group(store, "labels")) if "labels" in root else []
        return _read(root), {name: _read(open_group(store, f"labels/{name}")) for name in listed}


def label_type(data: Any) -> np.dtype[Any]:
    """Return the smallest unsigned type that holds all values of a label map.

    Raises
    ------
    StoreError
        If it is no two-dimensional map of whole numbers from 0.
    """
    kind = np.dtype(data.dtype)
    if len(data.shape) != 2 or 0 in data.shape or kind.kind not in "bui":
        raise StoreError(
            f"labels of shape {tuple(data.shape)} and type {kind} cannot be saved as OME-Zarr.",
            hint="Label maps are two-dimensional, with whole numbers.",
        )
    low = high = 0
    for window in blocks_of(Window(0, 0, *data.shape), _BLOCK):
        part = np.asarray(data[window.slices])
        low, high = min(low, int(part.min())), max(high, int(part.max()))
    fitting = [t for t in ("uint8", "uint16", "uint32") if high <= np.iinfo(t).max]
    if low < 0 or not fitting:
        raise StoreError(
            f"labels from {low} to {high} cannot be saved as OME-Zarr.",
            hint="Label values must be from 0 to 4294967295.",
        )
    return np.dtype(fitting[0])


def _write_image(root: zarr.Group, image: Drawn, shape: tuple[int, ...], count: int) -> None:
    channels = 1 if image.data is not None and image.data.ndim == 2 else 3
    levels = _create(root, (channels, *shape), count, np.dtype(np.uint8), fill=255)
    if image.data is not None:
        for window in blocks_of(Window(0, 0, *shape), _BLOCK):
            block = np.atleast_3d(np.asarray(image.data[window.slices]))[..., :channels]
            levels[0][(..., *window.slices)] = np.moveaxis(block, 2, 0)
        _halve(levels, mean_halved)
    ome: dict[str, Any] = {
        "version": ngff.VERSION,
        "multiscales": [_multiscale("image", image.place, count, channels=True)],
    }
    if channels == 3:
        ome["omero"] = ngff.rgb_rendering()
    about = {"kind": KIND, _BLANK: image.data is None}
    root.update_attributes({"ome": ome, ngff.BLOCK: sealed_block(root, ome, about)})


def _write_labels(group: zarr.Group, name: str, drawn: Drawn, count: int) -> None:
    levels = _create(group, drawn.data.shape, count, label_type(drawn.data), fill=0)
    for window in blocks_of(Window(0, 0, *drawn.data.shape), _BLOCK):
        levels[0][window.slices] = np.asarray(drawn.data[window.slices]).astype(levels[0].dtype)
    _halve(levels, mode_halved)
    generic = {"version": ngff.VERSION, "source": {"image": "../../"}}
    ome = {
        "version": ngff.VERSION,
        "multiscales": [_multiscale(name, drawn.place, count, channels=False)],
        "image-label": ngff.image_label(drawn.table) if drawn.table is not None else generic,
    }
    group.update_attributes({"ome": ome, ngff.BLOCK: sealed_block(group, ome, {"kind": KIND})})


def _create(
    group: zarr.Group, shape: tuple[int, ...], count: int, dtype: np.dtype[Any], *, fill: int
) -> list[Any]:
    arrays: list[Any] = []
    for index in range(count):
        arrays.append(
            create_array(
                group,
                str(index),
                shape=shape,
                chunks=(*shape[:-2], CHUNK, CHUNK),
                dtype=dtype,
                fill_value=fill,
                dimension_names=("c", "y", "x")[-len(shape) :],
            )
        )
        shape = (*shape[:-2], *(-(-n // 2) for n in shape[-2:]))
    return arrays


def _halve(levels: list[Any], halve: Any) -> None:
    for finer, coarser in pairwise(levels):
        shape = finer.shape[-2:]
        for window in blocks_of(Window(0, 0, *coarser.shape[-2:]), _BLOCK):
            part = finer[(..., *finer_window(window, shape).slices)]
            coarser[(..., *window.slices)] = halve(part)


def _count(shape: tuple[int, ...]) -> int:
    count, longest = 1, max(shape)
    while longest > _SMALLEST:
        count, longest = count + 1, -(-longest // 2)
    return count


def _multiscale(name: str, place: Place, count: int, *, channels: bool) -> dict[str, Any]:
    places = (place.halved(index) for index in range(count))
    return {
        "name": name,
        "axes": ngff.axes(place.unit, channels=channels),
        "datasets": ngff.datasets(((p.scale, p.translate) for p in places), channels=channels),
    }


def _read(group: zarr.Group) -> Drawn:
    ome: Any = group.attrs.asdict()["ome"]
    entry = ome["multiscales"][0]
    array = child_array(group, entry["datasets"][0]["path"], dims=(2, 3))
    block = group.attrs.asdict().get(ngff.BLOCK)
    blank = isinstance(block, dict) and block.get(_BLANK) is True
    if blank:
        check_seal(group, required=False)
    note = "" if blank else missing_chunks_note(group, array, str(group.store_path))
    if note:
        _LOGGER.warning("%s", note)
    data = read_whole_array(array, str(group.store_path))
    known = ngff.has_units(entry)
    scale, translate = ngff.placed(entry) if known else ngff.transformed(entry)
    unit = "micrometer" if known else None
    if data.ndim == 3:
        data = data[0] if len(data) == 1 else np.moveaxis(data, 0, 2)
    names = (ome.get("image-label") or {}).get("properties") or []
    return Drawn(data, Place(scale, translate, unit), ngff.table_of_names(names))
