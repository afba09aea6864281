"""Lists the images of an OME-Zarr: of one group, of bioformats2raw, of a plate, of a folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import FddmError, SlideError
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.json_files import as_object
from napari_fddm.core.outside.zarr_files import open_group

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import zarr
    from zarr.abc.store import Store

MOST_IMAGES = 512
_BF2RAW = "bioformats2raw.layout"


@dataclass(frozen=True, slots=True)
class Entry:
    """One image, as it is listed; nothing of it has been checked.

    Attributes
    ----------
    path : str
        Its group within the OME-Zarr.
    group : zarr.Group or None
        None if there is no such group.
    ome : dict
        The group's OME metadata.
    multiscale : dict, or another JSON value
        The image's own part of it; None if it has none.
    """

    path: str
    group: zarr.Group | None
    ome: dict[str, Any]
    multiscale: Any = None


def list_images(store: Store, name: str) -> list[Entry]:
    """Return the images of an OME-Zarr in the order of their numbers (series).

    Raises
    ------
    FddmError
        If there is none, the metadata is damaged, or there are too many.
    """
    root = group_of(store, "", name)
    ome = ome_of(root, name)
    entries = _of_group(store, "", name)
    if entries[0].multiscale is None:
        paths, are_listed = _paths(store, root, ome, name)
        entries = [entry for path in paths for entry in _of_group(store, path, name)]
        if not are_listed:  # other groups are no images, but a number without one was an image
            entries = [e for e in entries if e.multiscale is not None or e.group is None]
    if not any(entry.multiscale is not None for entry in entries):
        raise SlideError(
            f"{name} is a zarr group without a multiscale image.",
            hint="Choose the OME-Zarr folder of the image itself.",
        )
    return entries


def group_of(store: Store, path: str, name: str) -> zarr.Group:
    """Open a group of zarr 3 or 2.

    The newer is tried first and alone: zarr, told of neither, asks for both at once, and
    where the first answer is an error it abandons the other requests, of which s3fs warns.
    """
    shown = f"{name}/{path}".rstrip("/")
    try:
        try:
            return open_group(store, path, zarr_format=3, error=SlideError, shown=shown)
        except SlideError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
        return open_group(store, path, zarr_format=2, error=SlideError, shown=shown)
    except SlideError as error:
        if _is_array(error):
            raise SlideError(
                f"{shown} is a single zarr array, not an OME-Zarr image.",
                hint="Choose the folder around it, which has the multiscales metadata.",
            ) from error.__cause__
        raise


def _is_array(error: FddmError) -> bool:
    """Whether a group cannot be opened because an array is in its place."""
    from zarr.errors import ContainsArrayError, NodeTypeValidationError

    return isinstance(error.__cause__, ContainsArrayError | NodeTypeValidationError)


def ome_of(group: zarr.Group, name: str) -> dict[str, Any]:
    """Return the OME metadata of a group."""
    attributes = dict(group.attrs)
    return as_object(attributes.get("ome", attributes), f"the metadata of {name}", error=SlideError)


def _of_group(store: Store, path: str, name: str) -> list[Entry]:
    """Return the images of one group; one without multiscales if it has none."""
    try:
        group = group_of(store, path, name)
    except SlideError as error:
        if not path or not (isinstance(error.__cause__, FileNotFoundError) or _is_array(error)):
            raise
        return [Entry(path, None, {})]
    ome = ome_of(group, name)
    listed = ome.get("multiscales")
    if not listed:
        return [Entry(path, group, ome)]
    if not isinstance(listed, list):
        raise SlideError(f"{name} cannot be read as OME-Zarr: its multiscales are no list.")
    _refuse_many(len(listed), name)
    return [Entry(path, group, ome, item) for item in listed]


def _paths(
    store: Store, root: zarr.Group, ome: dict[str, Any], name: str
) -> tuple[Sequence[str], bool]:
    """Return the groups of images below one that is none, and whether the file lists them."""
    if "plate" in ome:
        return _fields(store, ome["plate"], name), True
    listed = _listed(store, name)
    if listed:
        return listed, True
    if not store.supports_listing:
        return list(_numbered(root, name)), _BF2RAW in ome
    numbered = _numbered_folders(store, name)
    if _BF2RAW in ome:
        return numbered, True
    groups = [key for key, _ in root.groups()]
    arrays = {key for key, _ in root.arrays()}
    return _in_order({*groups, *numbered} - arrays, name), False


def _listed(store: Store, name: str) -> list[str]:
    """Return the groups that the ``series`` of bioformats2raw's group ``OME`` lists."""
    try:
        found = ome_of(group_of(store, "OME", name), name).get("series")
    except FddmError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        return []
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(path, str) for path in found):
        raise SlideError(f"{name} cannot be read as OME-Zarr: its series are no list of paths.")
    _refuse_many(len(found), name)
    return found


def _numbered(root: zarr.Group, name: str) -> Iterator[str]:
    """Yield "0", "1", … as far as there are such members."""
    for number in range(MOST_IMAGES):
        with reading("a zarr group", f"{name}/{number}", error=SlideError):
            there = str(number) in root
        if not there:
            return
        yield str(number)


def _numbered_folders(store: Store, name: str) -> list[str]:
    """Return the members that are named by a number, also where their metadata is lost."""
    from zarr.core.sync import sync

    async def names() -> list[str]:
        return [key.rstrip("/") async for key in store.list_dir("")]

    with reading("a zarr group", name, error=SlideError):
        found: list[str] = sync(names())
    return _in_order((key for key in found if key.isascii() and key.isdecimal()), name)


def _in_order(names: Iterable[str], name: str) -> list[str]:
    keys = list(names)
    _refuse_many(len(keys), name)
    # Split by a group, every second part is a number: "2" comes before "10".
    return sorted(
        keys,
        key=lambda key: [
            (int(part) if odd % 2 else 0, part)
            for odd, part in enumerate(re.split(r"([0-9]+)", key))
        ],
    )


def _fields(store: Store, plate: Any, name: str) -> list[str]:
    wells = as_object(plate, f"the plate of {name}", error=SlideError).get("wells")
    paths = _paths_in(wells, name)
    _refuse_many(len(paths), name)
    fields = []
    for path in paths:
        well = ome_of(group_of(store, path, name), name).get("well")
        images = as_object(well, f"the well {path} of {name}", error=SlideError).get("images")
        fields += [f"{path}/{field}" for field in _paths_in(images, name)]
        _refuse_many(len(fields), name)
    return fields


def _paths_in(listed: Any, name: str) -> list[str]:
    if not isinstance(listed, list):
        raise SlideError(f"{name} cannot be read as OME-Zarr: a plate without lists of images.")
    items = [as_object(item, f"the plate of {name}", error=SlideError) for item in listed]
    return [str(item.get("path", "")) for item in items]


def _refuse_many(count: int, name: str) -> None:
    if count > MOST_IMAGES:
        raise SlideError(
            f"{name} holds {count} images; so many are not looked through.",
            hint="Choose the OME-Zarr folder of the image itself.",
        )
