"""All kinds, by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz.kinds.stores import Logs, Provenance, Stores
from tests.fuzz.kinds.dicom import Dicom
from tests.fuzz.kinds.ome_tiff import OmeTiff
from tests.fuzz.kinds.scanner import Scanner
from tests.fuzz.kinds.tiff import Tiff

if TYPE_CHECKING:
    from tests.fuzz.cases import Kind

KINDS: dict[str, Kind] = {kind.name: kind for kind in (Tiff(), OmeTiff(), Scanner(), Dicom(), Stores(), Logs(), Provenance())}
