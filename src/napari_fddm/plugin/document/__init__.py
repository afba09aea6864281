"""Open analyses: their labels, strokes and counts, their store, the engine, and the session."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
