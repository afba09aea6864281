"""npe2 writers: labels layers as OME-Zarr, layers of an analysis as a validated export."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.geometry import Window
from napari_fddm.interop.label_files import Drawn, Place, write_label_file
from napari_fddm.plugin.layers.common import METADATA
from napari_fddm.plugin.plumbing.napari_text import shown_by_napari

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_fddm.pipeline.store import AnalysisStore
    from napari_fddm.plugin.layers.slides import LayerData

    Attributes = Mapping[str, Any]

SUFFIXES = (".ome.zarr", ".ozx")


def write_labels(path: str, data: Any, attributes: Attributes) -> list[str]:
    """Write one labels layer; see `write_layers`."""
    return write_layers(path, [(data, dict(attributes), "labels")])


@shown_by_napari()
def write_layers(path: str, layers: Sequence[LayerData]) -> list[str]:
    """Write labels layers, and optionally the image below them, as one OME-Zarr 0.5.

    If a layer belongs to an analysis, the whole analysis is exported instead, without the
    slide's name and with the corrected labels as the layer shows them.

    Parameters
    ----------
    path : str
        Folder ``….ome.zarr`` or file ``….ozx`` to create.
    layers : sequence of (data, attributes, type)
        As napari gives them.

    Returns
    -------
    list of str
        What was written.

    Raises
    ------
    StoreError
        If the destination exists or cannot be written; nothing is overwritten.
    ConfigError
        If the layers cannot be one OME-Zarr.
    """
    destination = Path(path)
    if not path.endswith(SUFFIXES):
        raise ConfigError(
            f"{destination.name} is not a valid name for an OME-Zarr.",
            hint="The name must end with .ome.zarr (a folder) or .ozx (a single file).",
        )
    stores = {str(b["store"]) for b in map(_block, layers) if "store" in b}
    if len(stores) > 1:
        raise ConfigError(
            "these layers belong to several analyses.", hint="Save one analysis at a time."
        )
    if stores:
        _export(Path(stores.pop()), destination, layers)
    else:
        _write_drawn(destination, layers)
    return [path]


def _export(store: Path, destination: Path, layers: Sequence[LayerData]) -> None:
    from napari_fddm.pipeline.outputs import export_store
    from napari_fddm.pipeline.store import AnalysisStore

    shown = [data for data, *rest in layers if _block((data, *rest)).get("role") == "corrected"]

    def update(copy: AnalysisStore) -> None:
        for labels in shown:  # strokes on a full disk are only in the layer yet
            if not np.array_equal(copy.labels("corrected"), labels):
                copy.corrections.write(Window(0, 0, *labels.shape), np.asarray(labels))

    with AnalysisStore.open(store) as source:
        export_store(source, destination, change=update)


def _write_drawn(destination: Path, layers: Sequence[LayerData]) -> None:
    from napari_fddm.interop.validation import validate
    from napari_fddm.pipeline.outputs.export import put_in_place

    labels: dict[str, Drawn] = {}
    for layer in layers:
        if layer[2] == "labels":
            labels[_free_name(str(layer[1].get("name", "labels")), labels)] = _drawn(layer)
    images = [layer for layer in layers if layer[2] == "image"]
    if not labels or len(images) > 1:
        raise ConfigError(
            f"{len(labels)} labels layers and {len(images)} images do not fit in one OME-Zarr.",
            hint="Choose at least one labels layer and at most one image.",
        )
    image = _image(images[0], next(iter(labels.values()))) if images else None

    def build(place: Path) -> None:
        write_label_file(place, labels, image)
        validate(place)

    put_in_place(build, destination)


def _drawn(layer: LayerData) -> Drawn:
    data, attributes, _ = layer
    if attributes.get("multiscale") or isinstance(data, list | tuple):
        data = data[0]
    if data.ndim > 2 and set(data.shape[:-2]) == {1}:
        data = data[(0,) * (data.ndim - 2)]
    ours = bool(_block(layer)) and data.dtype == np.uint8 and int(data.max()) <= len(OSTEOSARCOMA)
    return Drawn(data, _place(attributes), OSTEOSARCOMA if ours else None)


def _image(layer: LayerData, labels: Drawn) -> Drawn:
    """Return the image at the coarsest level that is as fine as the labels, to save space."""
    data, attributes, _ = layer
    levels = list(data) if attributes.get("multiscale") else [data]
    place, shape = _place(attributes), levels[0].shape
    chosen, chosen_place = levels[0], place
    for level in levels[1:]:
        factors = [shape[k] / level.shape[k] for k in (0, 1)]
        scale = (place.scale[0] * factors[0], place.scale[1] * factors[1])
        if max(scale) > max(labels.place.scale):
            break
        y, x = (place.translate[k] + (scale[k] - place.scale[k]) / 2 for k in (0, 1))
        chosen, chosen_place = level, Place(scale, (y, x), place.unit)
    colors = chosen.ndim == 3 and attributes.get("rgb", False)
    if chosen.dtype != np.uint8 or not (colors or chosen.ndim == 2):
        raise ConfigError(
            f"an image of shape {tuple(chosen.shape)} and type {chosen.dtype} cannot be saved.",
            hint="Save the labels alone, or with an 8-bit gray or RGB image.",
        )
    return Drawn(chosen, chosen_place)


def _place(attributes: Attributes) -> Place:
    import pint

    if "affine" in attributes and not np.allclose(
        attributes["affine"], np.eye(len(np.asarray(attributes["affine"])))
    ):
        raise ConfigError(
            "a layer with an affine transform (rotation, shear) cannot be saved.",
            hint="Resample the layer first.",
        )
    scale = [float(n) for n in attributes.get("scale", (1.0, 1.0))][-2:]
    translate = [float(n) for n in attributes.get("translate", (0.0, 0.0))][-2:]
    units = attributes.get("units") or ()
    factors, unit = [1.0, 1.0], None
    if len(units) >= 2:
        try:
            found = [pint.get_application_registry().Quantity(1, str(u)) for u in units[-2:]]
            factors, unit = [float(q.to("micrometer").magnitude) for q in found], "micrometer"
        except (pint.DimensionalityError, pint.UndefinedUnitError):
            unit = None  # pixels
    y, x = (s * f for s, f in zip(scale, factors, strict=True))
    ty, tx = (t * f for t, f in zip(translate, factors, strict=True))
    return Place((y, x), (ty, tx), unit)


def _block(layer: LayerData) -> dict[str, Any]:
    block = layer[1].get("metadata", {}).get(METADATA, {})
    return block if isinstance(block, dict) else {}


def _free_name(name: str, taken: Mapping[str, object]) -> str:
    """Return a name that is valid on every file system and not used yet."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "labels"
    names = [plain, *(f"{plain}-{n}" for n in range(2, len(taken) + 3))]
    return next(n for n in names if n not in taken)
