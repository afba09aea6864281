"""What the metadata of our groups says about numbers, stated a second time beside it.

Shape, type, chunks and fill value of an array, scale, unit and class names: a changed digit
in one of them changes areas, and other programs' metadata has no checksums. So our own block
of a group states them again, with a checksum, and both are compared when it is opened. What
does not change numbers, such as the name of an image and its colors, may be changed by others.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import StoreError
from napari_fddm.core.outside.checked_json import verified, with_checksum
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import visible
from napari_fddm.core.outside.zarr_files import child_array
from napari_fddm.interop import ngff

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import zarr

ARRAYS, OME = "arrays", "ome_sha256"
"""Keys in our block: facts of each array by its path, checksum of the ``ome`` metadata."""
_RESTORE = "Restore it from a backup, or export it or run the analysis again."


def sealed_block(
    group: zarr.Group, ome: Mapping[str, Any], block: Mapping[str, Any], further: Iterable[str] = ()
) -> dict[str, Any]:
    """Return our block of a group, with what the group's metadata says and a checksum.

    Parameters
    ----------
    group : Group
        An image or a label map whose arrays exist.
    ome : mapping
        Its ``ome`` metadata.
    block : mapping
        The other values of the block.
    further : iterable of str
        Paths of arrays to include beside those of the pyramid.
    """
    levels = [entry["path"] for entry in ome["multiscales"][0]["datasets"]]
    arrays = {path: _facts(child_array(group, path)) for path in (*levels, *further)}
    values = {**block, ARRAYS: arrays, OME: _ome_checksum(ome)}
    return with_checksum(values, str(group.store_path))


def check_seal(group: zarr.Group, *, required: bool) -> None:
    """Compare the metadata of a group with our block of it.

    Parameters
    ----------
    group : Group
        An image or a label map that this program wrote.
    required : bool
        Whether a block without a checksum is refused; earlier versions wrote none.

    Raises
    ------
    StoreError
        Naming the array and the value that differs.
    """
    folder = visible(str(group.store_path)).removeprefix("file://")
    place = f"{folder}/zarr.json"
    attributes = group.attrs.asdict()
    block = verified(_object(attributes.get(ngff.BLOCK), place), place, required=required)
    if ARRAYS not in block:
        return
    with reading("metadata of ours", place, hint=_RESTORE, error=StoreError):
        stated: dict[str, dict[str, Any]] = block[ARRAYS]
        for path, facts in stated.items():
            found = _facts(child_array(group, path))
            for name, value in facts.items():
                if found[name] != value:
                    raise StoreError(
                        f"{folder}/{path}/zarr.json is damaged: {name} "
                        f"is {found[name]}, not {value}.",
                        hint=_RESTORE,
                    )
        same = _ome_checksum(attributes["ome"]) == block[OME]
    if not same:
        raise StoreError(
            f"{place} is damaged: its scales, units or class names are not those that "
            "were written.",
            hint=_RESTORE,
        )


def _facts(array: zarr.Array[Any]) -> dict[str, Any]:
    """Return what determines the values of an array, as JSON values."""
    return {
        "shape": list(array.shape),
        "type": array.dtype.str,
        "chunks": list(array.chunks),
        "shards": list(array.shards) if array.shards else None,
        "fill": array.fill_value.item(),
        "codecs": [str(codec.to_dict()["name"]) for codec in array.metadata.codecs],
    }


def _ome_checksum(ome: Mapping[str, Any]) -> str:
    keys = ("axes", "datasets", "coordinateTransformations")
    scales = [{key: entry.get(key) for key in keys} for entry in ome["multiscales"]]
    said = {"scales": scales, "classes": ome.get("image-label", {}).get("properties")}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StoreError(
            f"{place} is damaged: the attributes {ngff.BLOCK!r} are missing.",
            hint=_RESTORE,
        )
    return value
