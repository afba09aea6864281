"""The napari layers of an analysis, and what mouse, keys and camera do with them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
