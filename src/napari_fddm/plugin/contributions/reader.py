"""npe2 reader: slides as lazy pyramids, stored analyses as image and labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_fddm.core.errors import FddmError
from napari_fddm.core.outside.json_files import read_json
from napari_fddm.interop.ngff import BLOCK
from napari_fddm.plugin.document.slide_files import is_slide, is_store
from napari_fddm.plugin.plumbing.napari_text import shown_by_napari, unmarked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_fddm.interop.label_files import Place
    from napari_fddm.plugin.layers.slides import LayerData

    PathLike = str | Sequence[str]
    ReaderFunction = Callable[[PathLike], list[LayerData]]


def get_reader(path: PathLike) -> ReaderFunction | None:
    """Return a function that reads the path, or None if it is not for this plugin.

    Must be fast: checks only names, sizes and first bytes. napari offers every folder,
    whatever its name; those with an OME-Zarr or a DICOM slide are accepted.

    Parameters
    ----------
    path : str or sequence of str
        What the user opens; several files at once are left to other readers.
    """
    if not isinstance(path, str):
        return None
    target = Path(path)
    if is_store(target):
        return read_store
    if target.suffix.lower() == ".ozx" or (target.is_dir() and _has_fddm_labels(target)):
        return read_labels
    return read_slide if is_slide(target) else None


@shown_by_napari()
def read_labels(path: PathLike) -> list[LayerData]:
    """Read labels that this plugin has written, and exports that are a single file.

    Raises
    ------
    StoreError
        If the file is damaged.
    """
    from napari_fddm.interop.label_files import read_label_file
    from napari_fddm.plugin.layers.common import METADATA
    from napari_fddm.plugin.layers.napari_colormap import class_colormap

    image, labels = read_label_file(Path(str(path)))

    def placed(name: str, place: Place) -> dict[str, Any]:
        unit = "um" if place.unit else "pixel"
        where = {"scale": place.scale, "translate": place.translate, "units": (unit, unit)}
        return {"name": unmarked(name), **where, "axis_labels": ("y", "x")}

    colors = {"rgb": image.data.ndim == 3}
    layers: list[LayerData] = [(image.data, placed("image", image.place) | colors, "image")]
    for name, drawn in labels.items():
        options = placed(name, drawn.place)
        if drawn.table is not None:
            block = {"role": "stored", "label": name}
            options |= {"colormap": class_colormap(drawn.table), "opacity": 0.5}
            options["metadata"] = {METADATA: block}
        layers.append((drawn.data, options, "labels"))
    return layers


def _has_fddm_labels(folder: Path) -> bool:
    try:
        attributes = read_json(folder / "zarr.json").get("attributes", {})
    except FddmError:
        return False
    block = attributes.get(BLOCK) if isinstance(attributes, dict) else None
    return isinstance(block, dict) and block.get("kind") == "labels"


@shown_by_napari()
def read_slide(path: PathLike) -> list[LayerData]:
    """Open a slide without reading any pixel.

    Raises
    ------
    SlideError
        If the file is no slide or is damaged.
    """
    from napari_fddm.plugin.layers.slides import slide_layer_data
    from napari_fddm.slides import open_slide

    uri = str(path)
    return [slide_layer_data(open_slide(uri, look=False), uri)]


@shown_by_napari()
def read_store(path: PathLike) -> list[LayerData]:
    """Read an analysis store, or an export of one, as overview and label maps.

    Raises
    ------
    FddmError
        If the store is damaged.
    """
    from napari_fddm.core.errors import StoreError
    from napari_fddm.pipeline.store import AnalysisStore
    from napari_fddm.plugin.layers.common import METADATA, placement
    from napari_fddm.plugin.layers.napari_colormap import class_colormap

    with AnalysisStore.open(Path(str(path))) as store:
        geometry, table = store.geometries.label, store.table
        name = store.slide_info.get("name", Path(str(path)).name)
        layers: list[LayerData] = [
            (
                store.maps.overview(),
                {
                    "name": unmarked(f"overview — {name}"),
                    "rgb": True,
                    "metadata": {METADATA: {"role": "overview"}},
                    **placement(geometry),
                },
                "image",
            )
        ]
        for label in ("patch", "refined", *store.corrections.layers):
            grid = store.geometries.tile if label == "patch" else geometry
            try:
                labels = store.labels(label)
            except StoreError as error:
                raise FddmError(error.message, hint=error.hint) from error
            options = {
                "name": unmarked(f"{label} classes — {name}"),
                "colormap": class_colormap(table),
                "opacity": 0.5,
                "visible": label == "corrected",
                "metadata": {METADATA: {"role": "stored", "label": label}},
                **placement(grid),
            }
            layers.append((labels, options, "labels"))
        return layers
