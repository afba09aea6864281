from .files import RegionSlide as RegionSlide
from .files import read_regions as read_regions

__all__ = [
    "RegionSlide",
    "read_regions",
]
