"""The folder of an analysis: maps, corrections and the event log, and what happens to them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
