"""Check written OME-Zarr against its specification, 0.5 and 0.4, with ome-zarr-models."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import StoreError
from napari_fddm.core.outside import zarr_files
from napari_fddm.core.outside.guard import reading, reason
from napari_fddm.interop import ngff, ngff04
from napari_fddm.interop.ome_zarr import listed_labels, open_group
from napari_fddm.interop.ozx import opened
from napari_fddm.interop.seals import check_seal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import zarr
    from zarr.abc.store import Store

_REPAIR = "The store is damaged: restore it from a backup or export it again."


def validate(path: Path) -> None:
    """Check an image and all its label maps against the OME-Zarr 0.5 specification.

    Parameters
    ----------
    path : Path
        Its folder, or its ``.ozx`` file.

    Raises
    ------
    StoreError
        Naming the path and the part that fails.
    """
    with reading("OME-Zarr", f"{path}", hint=_REPAIR, error=StoreError), opened(path) as store:
        _validate(store)


def validate_v04(path: Path) -> None:
    """Check an image and its labels against the OME-Zarr 0.4 specification.

    Raises
    ------
    StoreError
        Naming the path and the part that fails.
    """
    with reading("OME-Zarr", f"{path}", hint=_REPAIR, error=StoreError):
        _validate_v04(path)


def _validate_v04(path: Path) -> None:
    from ome_zarr_models.v04.image import Image
    from ome_zarr_models.v04.image_label import ImageLabel
    from ome_zarr_models.v04.labels import Labels

    root = zarr_files.open_group(path, zarr_format=2)
    check = partial(_check, f"{path}", version=ngff04.VERSION, hint="Export it again.")
    check("the image", partial(Image.from_zarr, root))
    if "labels" not in root:
        return
    parent: Any = root["labels"]
    for name in parent.attrs["labels"]:
        check(f"labels/{name}", partial(ImageLabel.from_zarr, parent[name]))
    check("the list of labels", partial(Labels.from_zarr, parent))


def _validate(path: Path | Store) -> None:
    from ome_zarr_models.v05.image import Image

    root = open_group(path)
    ome = _ome_of(root, f"{path}")
    _check_version(ome, f"{path}", "the image")
    if "labels" in root:  # first, because the image's own check includes them less clearly
        _validate_labels(path, open_group(path, "labels"))
    _check(f"{path}", "the image", partial(Image.from_zarr, root))


def _validate_labels(path: Path | Store, parent: zarr.Group) -> None:
    from ome_zarr_models.v05.image_label import ImageLabel, ImageLabelAttrs
    from ome_zarr_models.v05.labels import Labels

    _check_version(_ome_of(parent, f"{path}/labels"), f"{path}", "the list of labels")
    for name in listed_labels(parent):
        if name not in parent:
            raise StoreError(f"{path}: labels/{name} is listed but missing.", hint=_REPAIR)
        part = f"labels/{name}"
        group = open_group(path, part)
        ome = _ome_of(group, f"{path}/{part}")
        _check(f"{path}", part, partial(ImageLabel.from_zarr, group))
        _check(f"{path}", part, partial(ImageLabelAttrs.model_validate, ome))
        if "image-label" not in ome:
            raise StoreError(f"{path}: {part} has no image-label metadata.", hint=_REPAIR)
        _check_block(group, ome, f"{path}", part)
    _check(f"{path}", "the list of labels", partial(Labels.from_zarr, parent))


def _check_block(group: zarr.Group, ome: dict[str, Any], path: str, part: str) -> None:
    block: Any = group.attrs.asdict().get(ngff.BLOCK)
    if not isinstance(block, dict):
        return
    with reading("metadata of ours", f"{path}/{part}", hint=_REPAIR, error=StoreError):
        check_seal(group, required=False)
    if "geometry" not in block:
        return
    ours = ngff.geometry_of_block(block["geometry"])
    scale, translation = ngff.placed(ome["multiscales"][0])
    array: Any = group["0"]
    agree = np.allclose([*scale, *translation], [*ours.scale, *ours.translate], rtol=1e-6)
    if not agree or tuple(array.shape) != ours.shape:
        raise StoreError(
            f"{path}: {part} lies at two places, by its NGFF metadata and by ours.", hint=_REPAIR
        )


def _check(
    place: str,
    part: str,
    check: Callable[[], object],
    *,
    version: str = ngff.VERSION,
    hint: str = _REPAIR,
) -> None:
    try:
        check()
    except StoreError:
        raise
    except Exception as error:
        cause = f" {error.__cause__ or ''}".rstrip()
        raise StoreError(
            f"{place}: {part} is not valid OME-Zarr {version}: {reason(error)}{cause[:300]}",
            hint=hint,
        ) from error


def _ome_of(group: zarr.Group, place: str) -> dict[str, Any]:
    ome = group.attrs.asdict().get("ome")
    if not isinstance(ome, dict):
        raise StoreError(f"{place} has no OME metadata.", hint="It is not an OME-Zarr 0.5.")
    return dict(ome)


def _check_version(ome: dict[str, Any], path: str, part: str) -> None:
    if ome.get("version") != ngff.VERSION:
        raise StoreError(
            f"{path}: {part} has version {ome.get('version')!r}, not {ngff.VERSION!r}.",
            hint="Convert it to OME-Zarr 0.5 first.",
        )
