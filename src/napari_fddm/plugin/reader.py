"""npe2 reader: slides as lazy pyramids, our stores as image and labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_fddm.core.errors import FddmError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_fddm.plugin.slides import LayerData

    PathLike = str | Sequence[str]
    ReaderFunction = Callable[[PathLike], list[LayerData]]

SLIDE_SUFFIXES = (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".tif", ".tiff", ".dcm", ".vms", ".vmu")
SMALL_FILE = 256 * 1024
"""A TIFF below this is no slide; it is left to napari's own reader."""


def get_reader(path: PathLike) -> ReaderFunction | None:
    """Return a reading function, or None quickly for what is not a slide.

    Parameters
    ----------
    path : str or sequence of str
        What the user dropped; several files are left to other readers.
    """
    if not isinstance(path, str):
        return None
    place = Path(path)
    if place.is_dir():
        return read_store if (place / "fddm").is_dir() else None
    if not place.name.lower().endswith(SLIDE_SUFFIXES) or not place.is_file():
        return None
    if place.suffix.lower() in (".tif", ".tiff") and place.stat().st_size < SMALL_FILE:
        return None
    return read_slide


def read_slide(path: PathLike) -> list[LayerData]:
    """Open a slide; no pixel is read.

    Raises
    ------
    SlideError
        If the file is no slide or is damaged.
    """
    from napari_fddm.plugin.slides import slide_layer_data
    from napari_fddm.slides.opening import open_slide

    uri = str(path)
    return [slide_layer_data(open_slide(uri), uri)]


def read_store(path: PathLike) -> list[LayerData]:
    """Open an analysis store or an export of one: overview and label maps.

    Raises
    ------
    FddmError
        If the store is damaged.
    """
    from napari_fddm.core.errors import StoreError
    from napari_fddm.pipeline.store import AnalysisStore
    from napari_fddm.plugin.colors import class_colormap
    from napari_fddm.plugin.layers import METADATA, placement

    with AnalysisStore.open(Path(str(path))) as store:
        geometry, table = store.geometries.label, store.table
        name = store.slide_info.get("name", Path(str(path)).name)
        layers: list[LayerData] = [
            (
                store.overview(),
                {
                    "name": f"overview — {name}",
                    "rgb": True,
                    "metadata": {METADATA: {"role": "overview"}},
                    **placement(geometry),
                },
                "image",
            )
        ]
        for label in ("patch", "refined", *store.edit_layers):
            grid = store.geometries.tile if label == "patch" else geometry
            try:
                labels = store.labels(label)
            except StoreError as error:
                raise FddmError(error.message, hint=error.hint) from error
            options = {
                "name": f"{label} classes — {name}",
                "colormap": class_colormap(table),
                "opacity": 0.5,
                "visible": label == "corrected",
                "metadata": {METADATA: {"role": "stored", "label": label}},
                **placement(grid),
            }
            layers.append((labels, options, "labels"))
        return layers
