"""Label maps as other programs write them into an OME-Zarr, and outlines as GeoJSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import zarr

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np


def write_labels(
    path: Path,
    labels: np.ndarray,
    steps: Sequence[dict[str, Any]],
    *,
    unit: str | None = "micrometer",
    of_all: Sequence[dict[str, Any]] = (),
    axes: str = "yx",
    chunks: int = 64,
    names: Sequence[str] = (),
    zarr_format: int = 3,
) -> Path:
    """Write one label map ``tissue`` with the transformations of its level and of all levels."""
    said = {"unit": unit} if unit else {}
    entry: dict[str, Any] = {
        "axes": [{"name": a, "type": "space", **said} for a in axes],
        "datasets": [{"path": "0", "coordinateTransformations": list(steps)}],
    }
    if of_all:
        entry["coordinateTransformations"] = list(of_all)
    label: dict[str, Any] = {"multiscales": [entry], "image-label": {}}
    if names:
        properties = [{"label-value": v, "name": n} for v, n in enumerate(names)]
        label["image-label"] = {"properties": properties}
    root = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    parent = root.create_group("labels")
    group = parent.create_group("tissue")
    shape = (*(1,) * (labels.ndim - 2), *(chunks,) * 2)
    group.create_array("0", shape=labels.shape, chunks=shape, dtype=labels.dtype)[...] = labels
    for place, values in ((parent, {"labels": ["tissue"]}), (group, label)):
        place.attrs.update({"ome": values} if zarr_format == 3 else values)
    return path


def scale(*values: float) -> dict[str, Any]:
    return {"type": "scale", "scale": list(values)}


def translation(*values: float) -> dict[str, Any]:
    return {"type": "translation", "translation": list(values)}


def square(y: float, x: float, side: float) -> list[list[float]]:
    """A closed ring, x before y."""
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]


def feature(name: str | None, *rings: list[list[float]]) -> dict[str, Any]:
    properties = {} if name is None else {"classification": {"name": name}}
    geometry = {"type": "Polygon", "coordinates": list(rings)}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def write_outlines(path: Path, *features: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path
