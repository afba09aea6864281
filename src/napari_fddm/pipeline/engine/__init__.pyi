from .client import EngineClient as EngineClient

__all__ = [
    "EngineClient",
]
