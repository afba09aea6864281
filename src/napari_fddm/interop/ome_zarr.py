"""Images and label maps as OME-Zarr 0.5: create, write windows, read.

Metadata is written directly through zarr: ome-zarr 0.18, the newest that Python
3.11 gets, omits ``version`` under ``labels/``, which fails validation.
What was written is checked by `napari_fddm.interop.validation`.

zarr replaces one key at a time atomically and nothing more, so a group is
complete before the group above lists it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_fddm.core.errors import StoreError
from napari_fddm.core.files import storage_errors
from napari_fddm.core.outside import zarr_files
from napari_fddm.core.outside.guard import reading
from napari_fddm.core.outside.text import visible
from napari_fddm.core.outside.zarr_files import child_array, read_whole_array
from napari_fddm.interop import ngff
from napari_fddm.interop.levels import create_level, rebuild_levels, write_window
from napari_fddm.interop.ozx import opened
from napari_fddm.interop.seals import ARRAYS, check_seal, sealed_block

if TYPE_CHECKING:
    import numpy.typing as npt
    import zarr
    from zarr.abc.store import Store

    from napari_fddm.core.classes import ClassTable
    from napari_fddm.core.geometry import MapGeometry, Window


_ROOTS = ("zarr.json", ".zgroup", ".zattrs")


class LabelData(NamedTuple):
    """A label map read from an OME-Zarr.

    Attributes
    ----------
    labels : array of uint8, shape (H, W)
        Label values.
    geometry : MapGeometry
        Where the map lies; see ``exact``.
    table : ClassTable or None
        Its classes; None where the store does not define them.
    exact : bool
        Whether the store gave level-0 pixels. If not, the geometry is right in
        micrometers, and the map's own cell counts as the level-0 pixel unless
        the caller gave one.
    notes : tuple of str
        What of the map is not stored, in words for the user.
    """

    labels: npt.NDArray[np.uint8]
    geometry: MapGeometry
    table: ClassTable | None
    exact: bool
    notes: tuple[str, ...] = ()


def create_image(
    path: Path, geometry: MapGeometry, *, name: str, levels: list[MapGeometry] | None = None
) -> zarr.Group:
    """Create an empty RGB image pyramid, arrays (c, y, x) of uint8, filled white.

    Parameters
    ----------
    path : Path
        Folder to create, or an empty one.
    geometry : MapGeometry
        The finest level.
    name : str
        Shown by viewers.
    levels : list of MapGeometry, optional
        All levels, finest first; by default halved down to 256 pixels.

    Raises
    ------
    StoreError
        If the folder is taken or cannot be written.
    """
    import zarr

    levels = levels or ngff.pyramid_geometries(geometry)
    with storage_errors("create", path):
        if path.is_file() or (path.exists() and any(path.iterdir())):
            raise StoreError(
                f"cannot create {path}: it exists already.", hint="Open it or choose another name."
            )
        group = zarr.create_group(path, zarr_format=3)
        for index, level in enumerate(levels):
            create_level(group, index, level, channels=True)
        entry = ngff.multiscale(name, levels, method="mean", channels=True)
        ome = {
            "version": ngff.VERSION,
            "multiscales": [entry],
            "omero": ngff.rgb_rendering(),
        }
        block = sealed_block(group, ome, {"geometry": ngff.geometry_block(geometry)})
        group.update_attributes({"ome": ome, ngff.BLOCK: block})
    return group


def create_labels(
    image: zarr.Group,
    name: str,
    geometry: MapGeometry,
    table: ClassTable,
) -> zarr.Group:
    """Create an empty label pyramid under an image and then list it.

    It gets as many levels as the image has, as the specification demands.

    Parameters
    ----------
    image : Group
        The image the labels belong to, opened for writing.
    name : str
        Name under ``labels/``.
    geometry : MapGeometry
        The finest level.
    table : ClassTable
        Names, colors and roles of the values.

    Raises
    ------
    StoreError
        If the name is taken or the store cannot be written.
    """
    where = f"labels/{name}"
    if not name or name.strip(".") == "" or "/" in name or "\\" in name:
        raise StoreError(f"{name!r} cannot name a label map.", hint="Use letters, digits and -.")
    with storage_errors("create", f"{image.store_path}/{where}"):
        parent = image.require_group("labels")
        if where in image:
            raise StoreError(f"the label map {name!r} exists already.", hint="Choose another name.")
        of_image: Any = image.attrs["ome"]
        count = len(of_image["multiscales"][0]["datasets"])
        levels = ngff.pyramid_geometries(geometry, count=count)
        group = image.create_group(where)
        for index, level in enumerate(levels):
            create_level(group, index, level, channels=False)
        entry = ngff.multiscale(name, levels, method="mode", channels=False)
        ome = {
            "version": ngff.VERSION,
            "multiscales": [entry],
            "image-label": ngff.image_label(table),
        }
        stated = {"geometry": ngff.geometry_block(geometry), "classes": ngff.table_block(table)}
        group.update_attributes({"ome": ome, ngff.BLOCK: sealed_block(group, ome, stated)})
        listed = listed_labels(parent)
        parent.update_attributes({"ome": {"version": ngff.VERSION, "labels": [*listed, name]}})
    return group


def write_label_window(group: zarr.Group, window: Window, labels: npt.NDArray[np.uint8]) -> None:
    """Write part of the finest level of a label pyramid.

    Parameters
    ----------
    group : Group
        The label map's group.
    window : Window
        Cells of the finest level; cells outside the map are ignored.
    labels : array of uint8, shape of the window
        Values.

    Raises
    ------
    StoreError
        If the shapes differ or the store cannot be written.
    """
    write_window(group, "0", window, labels)


def write_image_window(group: zarr.Group, window: Window, rgb: npt.NDArray[np.uint8]) -> None:
    """Write part of the finest level of an RGB pyramid; ``rgb`` has shape (h, w, 3).

    Raises
    ------
    StoreError
        If the shapes differ or the store cannot be written.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3:
        raise StoreError(f"expected an RGB image of shape (h, w, 3), got {rgb.shape}.")
    write_window(group, "0", window, np.moveaxis(rgb, 2, 0))


def rebuild_label_pyramid(group: zarr.Group, window: Window | None = None) -> None:
    """Derive the coarser levels of a label map by the most frequent value.

    Parameters
    ----------
    group : Group
        The label map's group.
    window : Window, optional
        Cells of the finest level that changed; by default all.
    """
    rebuild_levels(group, window, channels=False)


def rebuild_image_pyramid(group: zarr.Group, window: Window | None = None) -> None:
    """Derive the coarser levels of an image by averaging, as for labels."""
    rebuild_levels(group, window, channels=True)


def read_labels(path: Path, name: str, *, mpp: float | None = None) -> LabelData:
    """Read a label map of an OME-Zarr 0.5, ours or of another program.

    Parameters
    ----------
    path : Path
        The image's folder, or its ``.ozx`` file.
    name : str
        Name under ``labels/``.
    mpp : float, optional
        Micrometers per level-0 pixel of the slide; used where the store does
        not state it.

    Raises
    ------
    StoreError
        If there is no such label map, it cannot be read as one, or chunks are missing that
        this program wrote.
    """
    where = f"{path}/labels/{name}"
    with opened(path) as store:
        group = open_group(store, f"labels/{name}")
        attributes = group.attrs.asdict()
        with reading("a label map", where, error=StoreError):
            ome: dict[str, Any] = dict(attributes["ome"])
            entry = ome["multiscales"][0]
            array = child_array(group, entry["datasets"][0]["path"])
            note = missing_chunks_note(group, array, where)
            labels = _as_uint8(read_whole_array(array, where), where)
            data = _placed(labels, attributes.get(ngff.BLOCK), ome, mpp)
    return data._replace(notes=(note,) if note else ())


def missing_chunks_note(group: zarr.Group, array: zarr.Array[Any], where: str) -> str:
    """Return in words how much of a label map is not stored; empty if all of it is.

    Other programs leave out chunks that hold nothing but the fill value, so that a lost
    one looks the same. This program leaves none out.

    Raises
    ------
    StoreError
        If this program wrote the map: then what is missing is lost. Also if its metadata
        is damaged.
    """
    block = group.attrs.asdict().get(ngff.BLOCK)
    if isinstance(block, dict):
        check_seal(group, required=False)
    missing = array.nchunks - array.nchunks_initialized
    if not missing:
        return ""
    said = f"{missing} of {array.nchunks} chunks of {visible(where)}"
    if isinstance(block, dict) and ARRAYS in block:
        raise StoreError(
            f"{said} are missing: it is damaged or was not finished.",
            hint="Copy it again, restore it from a backup, or export it again.",
        )
    return f"{said} are not stored; they are taken for {array.fill_value}, as the format says"


def _placed(
    labels: npt.NDArray[np.uint8], block: Any, ome: dict[str, Any], mpp: float | None
) -> LabelData:
    if isinstance(block, dict) and "geometry" in block:
        geometry = ngff.geometry_of_block(block["geometry"])
        table = ngff.table_of_block(block["classes"]) if "classes" in block else None
        if geometry.shape != labels.shape:
            raise ValueError(f"{labels.shape} cells, but described as {geometry.shape}")
        return LabelData(labels, geometry, table, exact=True)
    properties = (ome.get("image-label") or {}).get("properties") or []
    shape = (labels.shape[0], labels.shape[1])
    geometry = ngff.geometry_of_multiscale(ome["multiscales"][0], shape, mpp)
    return LabelData(labels, geometry, ngff.table_of_names(properties), exact=False)


def open_group(path: Path | Store, inside: str = "", mode: str = "r") -> zarr.Group:
    """Open a zarr 3 group of a store.

    Parameters
    ----------
    path : Path or Store
        The store's folder, or an open zarr store.
    inside : str
        Path of the group within it.
    mode : str
        "r" or "r+".

    Raises
    ------
    StoreError
        If it is not there or not a zarr 3 group.
    """
    place = f"{path}/{inside}".rstrip("/")
    if isinstance(path, Path) and path.is_dir() and not any((path / r).exists() for r in _ROOTS):
        raise StoreError(
            f"{visible(path)} is a folder, but no OME-Zarr.",
            hint="An analysis is a folder whose name ends with .fddm.ome.zarr.",
        )
    try:
        return zarr_files.open_group(path, inside, mode=mode, zarr_format=3)
    except StoreError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno is not None:
            raise
        raise StoreError(
            f"{visible(place)} is not a readable OME-Zarr 0.5 (zarr 3) group: it is missing, "
            "damaged or of an older version.",
            hint="Check the path; older OME-Zarr must be converted to 0.5 first.",
        ) from error


def listed_labels(parent: zarr.Group) -> list[str]:
    """Return the names that the group ``labels`` of an image lists; none before the first.

    Raises
    ------
    StoreError
        If its metadata is damaged.
    """
    ome: Any = parent.attrs.asdict().get("ome", {"labels": []})
    names = ome.get("labels") if isinstance(ome, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        place = visible(str(parent.store_path)).removeprefix("file://")
        raise StoreError(
            f"{place}/zarr.json is damaged: the list of labels is missing.",
            hint="Restore it from a backup.",
        )
    return list(names)


def _as_uint8(labels: npt.NDArray[Any], where: str) -> npt.NDArray[np.uint8]:
    while labels.ndim > 2 and labels.shape[0] == 1:
        labels = labels[0]
    whole = labels.ndim == 2 and np.issubdtype(labels.dtype, np.integer)
    if not whole or (labels.size and not 0 <= int(labels.min()) <= int(labels.max()) <= 255):
        raise StoreError(
            f"{where} is not a class map: shape {labels.shape}, type {labels.dtype}.",
            hint="Class maps are two-dimensional with values from 0 to 255.",
        )
    return labels.astype(np.uint8, copy=False)
