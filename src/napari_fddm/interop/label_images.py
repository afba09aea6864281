"""Read one label map of any program's OME-Zarr: whole numbers of any type, with their place.

`ome_zarr.read_labels` reads the class maps of an analysis. People's masks and truths have other
types, other zarr formats, no classes, sometimes no unit; what they leave open stays open here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import StoreError
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.pictures import MOST_PIXELS
from napari_fddm.core.outside.text import visible
from napari_fddm.core.outside.zarr_files import child_array, open_group, read_window
from napari_fddm.interop import ngff
from napari_fddm.interop.ome_zarr import missing_chunks_note
from napari_fddm.interop.ozx import opened

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    import zarr

    from napari_fddm.core.classes import ClassTable
    from napari_fddm.core.geometry import MapGeometry

LABELS = "labels"
_AGAIN = "Copy the OME-Zarr again, or write it again with the program it came from."


@dataclass(frozen=True, slots=True, eq=False)
class LabelImage:
    """A label map as its file holds it.

    Attributes
    ----------
    values : array of bool or of an integer type, shape (H, W)
        Label values.
    geometry : MapGeometry or None
        Where it lies; None where the axes have no unit, so that nothing says how large a
        pixel is.
    exact : bool
        Whether the file gave level-0 pixels. If not, the geometry is right in micrometers,
        and the map's own cell counts as the level-0 pixel.
    placed : bool
        Whether the file says where the map begins: without a translation it is only known
        by its size to be of the whole slide.
    table : ClassTable or None
        Its classes, where they are ours.
    not_stored : tuple of (int, int)
        Chunks that the file does not hold, which read as 0, and all chunks.
    unit_problem : str
        Why there is no geometry; empty where there is one.
    """

    values: npt.NDArray[Any]
    geometry: MapGeometry | None
    exact: bool
    placed: bool
    table: ClassTable | None
    not_stored: tuple[int, int] = (0, 0)
    unit_problem: str = ""

    def notes(self, name: str, meaning: str) -> tuple[str, ...]:
        """Return a note on chunks that are not stored, with what their pixels count as."""
        missing, every = self.not_stored
        if not missing:
            return ()
        count = "is not stored: it counts" if missing == 1 else "are not stored: they count"
        return (f"{missing} of {every} chunks of {name} {count} as {meaning}",)


def label_names(path: Path) -> list[str]:
    """Return the names of the label maps that an OME-Zarr lists.

    Raises
    ------
    StoreError
        If it is no OME-Zarr, or its list is damaged.
    """
    with opened(path) as store:
        where = f"{path}/{LABELS}"
        root = open_group(store)
        with reading("a list of label maps", where, error=StoreError, hint=_AGAIN):
            listed = LABELS in root
        if not listed:
            return []
        ome = _ome(open_group(store, LABELS), where)
    names = ome.get(LABELS)
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise StoreError(
            f"{visible(where)} does not list its label maps.",
            hint=_AGAIN,
        )
    return names


def read_label_image(path: Path, name: str, *, most: int = MOST_PIXELS) -> LabelImage:
    """Read a label map.

    Parameters
    ----------
    path : Path
        The folder of an OME-Zarr image (0.4 or 0.5), or its ``.ozx`` file.
    name : str
        Name under ``labels/``.
    most : int
        Pixels; the finest level that has no more is read.

    Raises
    ------
    StoreError
        If there is no such map, it is damaged, too large, has more than two dimensions or
        values that are no whole numbers, or an unknown unit.
    """
    where = f"{path}/{LABELS}/{name}"
    with opened(path) as store:
        group = open_group(store, f"{LABELS}/{name}")
        attributes = group.attrs.asdict()
        ome = _ome(group, where)
        with reading("a label map", where, error=StoreError):
            entry = dict(ome["multiscales"][0])
            level, array = _level(group, entry, most, where)
            axes = [str(axis["name"]) for axis in entry["axes"]]
            # Of a map of ours this refuses damage and chunks that were lost.
            missing_chunks_note(group, array, where)
            not_stored = _not_stored(array)
            values = _flat(read_window(array, ...), axes, where)
            entry["datasets"] = entry["datasets"][level:]
            properties = (ome.get("image-label") or {}).get("properties") or []
            shape = (values.shape[0], values.shape[1])
            block = attributes.get(ngff.BLOCK)
            if isinstance(block, dict) and "geometry" in block:
                return _of_ours(values, block, level, not_stored, where)
            table = ngff.table_of_names(properties)
            if not ngff.has_units(entry):
                problem = "its axes have no unit, so nothing says how large its pixels are"
                scale, begin = ngff.transformed(entry)
                elsewhere = any(abs(b) > s for b, s in zip(begin, scale, strict=True))
                return LabelImage(values, None, False, elsewhere, table, not_stored, problem)
            geometry = ngff.geometry_of_multiscale(entry, shape)
            return LabelImage(
                values, geometry, False, ngff.has_translation(entry), table, not_stored
            )


def _of_ours(
    values: npt.NDArray[Any],
    block: dict[str, Any],
    level: int,
    not_stored: tuple[int, int],
    where: str,
) -> LabelImage:
    geometry = ngff.geometry_of_block(block["geometry"])
    for _ in range(level):
        geometry = geometry.downsampled(2)
    if geometry.shape != values.shape:
        raise StoreError(
            f"{visible(where)} is damaged: it has {values.shape} pixels, but says "
            f"{geometry.shape}.",
            hint="Copy it again, or export it again.",
        )
    table = ngff.table_of_block(block["classes"]) if "classes" in block else None
    placed = geometry.origin != (0.0, 0.0)
    return LabelImage(values, geometry, True, placed, table, not_stored)


def _ome(group: zarr.Group, where: str) -> dict[str, Any]:
    """Return the OME metadata of a group: under ``ome`` (0.5) or beside everything (0.4)."""
    attributes = group.attrs.asdict()
    found = attributes.get("ome", attributes)
    if not isinstance(found, dict):
        raise StoreError(f"{visible(where)} has no OME metadata.", hint="Copy it again.")
    return found


def _level(
    group: zarr.Group, entry: dict[str, Any], most: int, where: str
) -> tuple[int, zarr.Array[Any]]:
    """Return the finest level that is not too large, and its number."""
    shape: tuple[int, ...] = ()
    for number, dataset in enumerate(entry["datasets"]):
        array = child_array(group, str(dataset["path"]), dims=(2, 3, 4, 5))
        shape = shape or array.shape
        if math.prod(array.shape) <= most:
            return number, array
    size = " × ".join(str(n) for n in reversed(shape))
    raise StoreError(f"{visible(where)} has {size} px, too many to read.", hint="Save it smaller.")


def _not_stored(array: zarr.Array[Any]) -> tuple[int, int]:
    """Return how many chunks (or shards) the file does not hold, and how many there are."""
    parts = array.shards or array.chunks
    every = math.prod(-(-n // part) for n, part in zip(array.shape, parts, strict=True))
    stored = array.nchunks_initialized // (math.prod(parts) // math.prod(array.chunks))
    return max(0, every - stored), every


def _flat(values: npt.NDArray[Any], axes: list[str], where: str) -> npt.NDArray[Any]:
    """Return the (y, x) plane; other axes must have one entry only."""
    if values.ndim != len(axes):
        raise StoreError(f"{visible(where)} has {values.ndim} dimensions but {len(axes)} axes.")
    kept = [axis for axis in axes if axis in ("y", "x")]
    deep = [f"{n} {axis}" for axis, n in zip(axes, values.shape, strict=True)
            if axis not in kept and n != 1]  # fmt: skip
    if kept != ["y", "x"] or deep or 0 in values.shape:
        raise StoreError(
            f"{visible(where)} is no single plane: {', '.join(axes)} of {values.shape}.",
            hint="Save one plane of it, with the axes y and x.",
        )
    if values.dtype.kind not in "bui":
        raise StoreError(
            f"{visible(where)} is no label map: its values are {values.dtype}, not whole numbers.",
            hint="Save labels as whole numbers.",
        )
    shape = [n for axis, n in zip(axes, values.shape, strict=True) if axis in kept]
    return values.reshape(shape)
