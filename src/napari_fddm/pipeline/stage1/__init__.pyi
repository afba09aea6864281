from .cell_maps import CellMaps as CellMaps
from .classify import classify_events as classify_events
from .tile_reader import iter_tile_batches as iter_tile_batches

__all__ = [
    "CellMaps",
    "classify_events",
    "iter_tile_batches",
]
