from .dock import Panels as Panels

__all__ = [
    "Panels",
]
