"""Whole-slide images: one reader for each file format, all with the same interface."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
