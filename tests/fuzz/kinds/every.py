"""All kinds, by their names; each is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.cases import Kind

KINDS = {
    "tiff": "tiff.Tiff",
    "ome-tiff": "ome_tiff.OmeTiff",
    "scanner": "scanner.Scanner",
    "dicom": "dicom.Dicom",
    "ome-zarr": "omezarr.OmeZarr",
    "store": "stores.Stores",
    "log": "stores.Logs",
    "provenance": "stores.Provenance",
    "ozx": "ozx.Ozx",
    "masks": "masks.Masks",
    "geojson": "geojson.GeoJson",
    "tables": "tables.Tables",
    "definitions": "definitions.Definitions",
    "models": "models.Models",
}


def load_kind(name: str) -> Kind:
    """Return a kind by its name."""
    module, _, found = KINDS[name].partition(".")
    kind: Kind = getattr(import_module(f"tests.fuzz.kinds.{module}"), found)()
    assert kind.name == name
    return kind
