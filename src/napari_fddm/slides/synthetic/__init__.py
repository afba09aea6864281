"""Synthetic slides: procedurally drawn tissue whose true class is known at every pixel."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
