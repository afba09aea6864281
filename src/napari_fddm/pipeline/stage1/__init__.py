"""Stage 1: tiles are read, classified, and laid out as maps of cells."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
