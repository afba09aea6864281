from .slide import SyntheticSlide as SyntheticSlide
from .uri import open_synthetic as open_synthetic

__all__ = [
    "SyntheticSlide",
    "open_synthetic",
]
