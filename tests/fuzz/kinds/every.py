"""All kinds, by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz.kinds.stores import Logs, Provenance, Stores
from tests.fuzz.kinds.tiff import Tiff

if TYPE_CHECKING:
    from tests.fuzz.cases import Kind

KINDS: dict[str, Kind] = {kind.name: kind for kind in (Tiff(), Stores(), Logs(), Provenance())}
