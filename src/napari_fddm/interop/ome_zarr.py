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
from napari_fddm.interop import ngff
from napari_fddm.interop.levels import create_level, rebuild_levels, write_window
from napari_fddm.interop.ozx import opened

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
    """

    labels: npt.NDArray[np.uint8]
    geometry: MapGeometry
    table: ClassTable | None
    exact: bool


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
        group.update_attributes(
            {
                "ome": {
                    "version": ngff.VERSION,
                    "multiscales": [entry],
                    "omero": ngff.rgb_rendering(),
                },
                ngff.BLOCK: {"geometry": ngff.geometry_block(geometry)},
            }
        )
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
        ome: Any = image.attrs["ome"]
        count = len(ome["multiscales"][0]["datasets"])
        levels = ngff.pyramid_geometries(geometry, count=count)
        group = image.create_group(where)
        for index, level in enumerate(levels):
            create_level(group, index, level, channels=False)
        entry = ngff.multiscale(name, levels, method="mode", channels=False)
        group.update_attributes(
            {
                "ome": {
                    "version": ngff.VERSION,
                    "multiscales": [entry],
                    "image-label": ngff.image_label(table),
                },
                ngff.BLOCK: {
                    "geometry": ngff.geometry_block(geometry),
                    "classes": ngff.table_block(table),
                },
            }
        )
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
        If there is no such label map or it cannot be read as one.
    """
    where = f"{path}/labels/{name}"
    with opened(path) as store:
        group = open_group(store, f"labels/{name}")
        attributes = group.attrs.asdict()
        with storage_errors("read", where, damaged=True):
            ome: dict[str, Any] = dict(attributes["ome"])
            entry = ome["multiscales"][0]
            array = group[entry["datasets"][0]["path"]]
            labels = _as_uint8(np.asarray(array[...]), where)
            return _placed(labels, attributes.get(ngff.BLOCK), ome, mpp)


def _placed(
    labels: npt.NDArray[np.uint8], block: Any, ome: dict[str, Any], mpp: float | None
) -> LabelData:
    if block:
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
    import zarr

    place = f"{path}/{inside}".rstrip("/")
    with storage_errors("open", place):
        try:
            return zarr.open_group(path, path=inside or None, mode=mode, zarr_format=3)
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError) as error:
            folder = isinstance(path, Path) and path.is_dir()
            if folder and not any((path / name).exists() for name in _ROOTS):
                raise StoreError(
                    f"{path} is a folder, but no OME-Zarr.",
                    hint="An analysis is a folder whose name ends with .fddm.ome.zarr.",
                ) from error
            raise StoreError(
                f"{place} is not a readable OME-Zarr 0.5 (zarr 3) group.",
                hint="Check the path; older OME-Zarr must be converted to 0.5 first.",
            ) from error


def listed_labels(parent: zarr.Group) -> list[str]:
    """Return the names that the group ``labels`` of an image lists."""
    ome: Any = parent.attrs.asdict().get("ome", {})
    return [str(name) for name in ome.get("labels", [])]


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
