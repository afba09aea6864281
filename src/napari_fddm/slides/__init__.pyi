from .array import ArraySlide as ArraySlide
from .base import PyramidSlide as PyramidSlide
from .opening import open_slide as open_slide

__all__ = [
    "ArraySlide",
    "PyramidSlide",
    "open_slide",
]
