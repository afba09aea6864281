from .background import Background as Background
from .connections import Connections as Connections

__all__ = [
    "Background",
    "Connections",
]
