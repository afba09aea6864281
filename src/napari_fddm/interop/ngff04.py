"""Convert a finished OME-Zarr 0.5 to 0.4, for programs that cannot read zarr 3.

Pixels, labels, places, names and colors are the same; arrays become zarr 2 with ``/``
between chunk numbers. Our own arrays and the event log are not copied: 0.4 is for sharing
results, not for continuing an analysis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import StoreError
from napari_fddm.core.files import storage_errors
from napari_fddm.core.geometry import Window
from napari_fddm.core.outside import zarr_files
from napari_fddm.core.outside.json_files import read_json
from napari_fddm.core.outside.zarr_files import child_array, read_window
from napari_fddm.interop import ngff
from napari_fddm.interop.levels import CHUNK
from napari_fddm.interop.ome_zarr import listed_labels, open_group
from napari_fddm.interop.pyramids import blocks_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import zarr

VERSION = "0.4"
_EXPORTED = "exported_as"
"""Key in our block that marks a copy of this module, which may be overwritten."""
_ATTRIBUTES = ".zattrs"
_BLOCK = 2048


def write_v04(source: Path, destination: Path) -> None:
    """Write an OME-Zarr 0.5 image with its labels as a new OME-Zarr 0.4.

    Parameters
    ----------
    source : Path
        Folder of a valid OME-Zarr 0.5 of ours.
    destination : Path
        Folder to create.

    Raises
    ------
    StoreError
        If the source cannot be read or the destination cannot be written.
    """
    import zarr

    image = open_group(source)
    with storage_errors("write", destination):
        root = zarr.create_group(destination, zarr_format=2)
        _copy_pyramid(image, root)
        if "labels" not in image:
            return
        listed = _ome(image["labels"])["labels"]
        parent = root.create_group("labels")
        for name in listed:
            _copy_pyramid(open_group(source, f"labels/{name}"), parent.create_group(name))
        parent.update_attributes({"labels": list(listed)})


def check_v04(source: Path, copy: Path) -> None:
    """Read back what `write_v04` wrote, and compare all levels with the source cell by cell.

    Raises
    ------
    StoreError
        Naming the first level that differs.
    """
    original, written = open_group(source), zarr_files.open_group(copy, zarr_format=2)
    parts = [""]
    if "labels" in original:
        parts += [f"labels/{name}" for name in listed_labels(open_group(source, "labels"))]
    for part in parts:
        group: Any = original[part] if part else original
        for dataset in _ome(group)["multiscales"][0]["datasets"]:
            key = f"{part}/{dataset['path']}".lstrip("/")
            here, there = child_array(original, key), child_array(written, key)
            for block in blocks_of(Window(0, 0, *here.shape[-2:]), _BLOCK):
                place = (..., *block.slices)
                if not np.array_equal(read_window(here, place), read_window(there, place)):
                    raise StoreError(
                        f"{copy} was not written as it should be: {key} differs.",
                        hint="The disk may be failing; export to another one.",
                    )


def is_v04_export(path: Path) -> bool:
    """Whether a folder is a copy that `write_v04` made."""
    if path.is_symlink() or not (path / _ATTRIBUTES).is_file():
        return False
    try:
        block = read_json(path / _ATTRIBUTES).get(ngff.BLOCK)
    except StoreError:
        return False
    return isinstance(block, dict) and block.get(_EXPORTED) == VERSION


def _copy_pyramid(source: zarr.Group, target: zarr.Group) -> None:
    ome = _ome(source)
    for dataset in ome["multiscales"][0]["datasets"]:
        _copy_level(source[dataset["path"]], target, dataset["path"])
    # The metadata comes last: a group that has it is complete.
    target.update_attributes(_attributes(ome, source.attrs.asdict().get(ngff.BLOCK)))


def _copy_level(source: Any, target: zarr.Group, name: str) -> None:
    from numcodecs import Blosc

    leading = source.shape[:-2]
    copy: Any = target.create_array(
        name,
        shape=source.shape,
        chunks=(*leading, *(min(CHUNK, n) for n in source.shape[-2:])),
        dtype=source.dtype,
        fill_value=source.fill_value,
        compressors=Blosc(cname="zstd", clevel=5),
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )
    for block in blocks_of(Window(0, 0, *source.shape[-2:]), _BLOCK):
        place = (..., *block.slices)
        copy[place] = read_window(source, place)


def _attributes(ome: Mapping[str, Any], block: Any) -> dict[str, Any]:
    """Return 0.4's attributes: no ``ome`` around them, a version in each part."""
    found: dict[str, Any] = {
        "multiscales": [{**entry, "version": VERSION} for entry in ome["multiscales"]]
    }
    for part in ("omero", "image-label"):
        if part in ome:
            found[part] = {**ome[part], "version": VERSION}
    if isinstance(block, dict):
        kept = {key: block[key] for key in ("geometry", "classes") if key in block}
        found[ngff.BLOCK] = kept | {_EXPORTED: VERSION}
    return found


def _ome(group: Any) -> dict[str, Any]:
    return dict(group.attrs["ome"])
