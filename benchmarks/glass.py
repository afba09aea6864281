"""A slide of any size: glass with one piece of synthetic tissue."""

from __future__ import annotations

import numpy as np

from napari_fddm.core.geometry import Mpp, Region
from napari_fddm.slides import PyramidSlide
from napari_fddm.slides.base import SlideInfo
from napari_fddm.slides.synthetic import SyntheticSlide

GLASS = 243
SMALLEST_LEVEL = 1024


class TissueOnGlass(PyramidSlide):
    """A square slide that exists nowhere; its tissue is drawn when it is read.

    Parameters
    ----------
    side : int
        Edge of the slide, level-0 px.
    tissue_side : int
        Edge of the synthetic slide in its middle, level-0 px.
    mpp : float
        Micrometers per level-0 px.
    """

    def __init__(self, side: int, tissue_side: int, mpp: float) -> None:
        self._tissue = SyntheticSlide(tissue_side, tissue_side, mpp=mpp, seed=3)
        self._start = (side - tissue_side) // 2
        shapes = [(side, side)]
        while shapes[-1][0] > SMALLEST_LEVEL:
            shapes.append((-(-shapes[-1][0] // 2),) * 2)
        name = f"glass-{side}"
        info = SlideInfo(name, "synthetic", "", Mpp(mpp, "synthetic"), f"{name}-{tissue_side}")
        super().__init__(info, shapes, binned=True)

    def _read_level(self, level: int, y: int, x: int, height: int, width: int) -> np.ndarray:
        image = np.full((height, width, 3), GLASS, np.uint8)
        step = 2**level
        start, size = self._start / step, self._tissue.levels[0].shape[0] / step
        y0, x0 = max(y, int(start)), max(x, int(start))
        y1, x1 = min(y + height, int(start + size)), min(x + width, int(start + size))
        if y1 > y0 and x1 > x0:
            part = Region(
                *(n * step - self._start for n in (y0, x0)), (y1 - y0) * step, (x1 - x0) * step
            )
            assert self.mpp.value
            drawn = self._tissue.read_region(part, self.mpp.value * step)
            image[y0 - y : y1 - y, x0 - x : x1 - x] = np.minimum(drawn, GLASS)
        return image
