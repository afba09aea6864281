"""A slide without a file: procedural H&E tissue of any size with its exact truth.

Demonstrations, tests and the bundled model need slides that may be shared freely,
have every class and are labeled without error. Colors and classes are continuous
functions of the position in µm, evaluated at pixel centers at the resolution asked for;
nothing is stored, and a thumbnail of a huge slide costs as much as one of a small slide.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import ConfigError, MppError
from napari_fddm.core.geometry import LevelInfo, MapGeometry, Mpp, Region
from napari_fddm.slides.closing import Closable
from napari_fddm.slides.extras import WithExtras
from napari_fddm.slides.synthetic.layout import TissueLayout
from napari_fddm.slides.synthetic.noise import SampleGrid, subseed
from napari_fddm.slides.synthetic.painting import Painter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    RgbImage = npt.NDArray[np.uint8]
    Labels = npt.NDArray[np.uint8]

LOOK = 1
"""Version of the drawing; part of the fingerprint, raised when pixels or truth change."""

_BACKGROUND = OSTEOSARCOMA["BG"].value
_BLOCK = 256
"""Edge of the blocks that are drawn at once, px: small enough for the processor's cache."""
_CHUNK = 512
"""Edge of the chunks of the lazy arrays, px."""
_COARSEST = 1024
"""The longest side of the coarsest level is at most this, px."""
_SNAP = 4096
"""Reads start at multiples of 1/4096 of an output pixel, so equal places get equal bits."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """One axis of a read: pixel indices on the slide's grid at this resolution.

    Attributes
    ----------
    start : float
        Position of the first pixel's edge, output px, a multiple of 1/4096.
    count : int
        Pixels asked for.
    inside : slice
        Those whose center lies on the slide.
    step : float
        Size of an output pixel, µm.
    """

    start: float
    count: int
    inside: slice
    step: float

    @classmethod
    def of(cls, start: float, count: int, cell: float, step: float, length: int) -> _Reading:
        """Plan one axis.

        Parameters
        ----------
        start : float
            First edge, level-0 px.
        count : int
            Output pixels.
        cell : float
            Level-0 px per output pixel.
        step : float
            µm per output pixel.
        length : int
            The slide's size along the axis, level-0 px.
        """
        first = round(start / cell * _SNAP) / _SNAP
        low = max(0, math.ceil(-first - 0.5))
        high = min(count, math.ceil(length / cell - first - 0.5))
        return cls(first, count, slice(low, max(low, high)), step)

    def centers(self, part: slice) -> npt.NDArray[np.float64]:
        """Return the centers of some of the pixels, µm."""
        return (self.start + np.arange(part.start, part.stop) + 0.5) * self.step

    def indices(self, part: slice) -> npt.NDArray[np.int64]:
        """Return the places of some of the pixels on the slide's grid."""
        return np.arange(part.start, part.stop, dtype=np.int64) + math.floor(self.start)

    def blocks(self) -> Iterator[slice]:
        """Yield the pixels on the slide in blocks."""
        for begin in range(self.inside.start, self.inside.stop, _BLOCK):
            yield slice(begin, min(begin + _BLOCK, self.inside.stop))


class SyntheticSlide(WithExtras, Closable):
    """A deterministic procedural slide that implements the `Slide` protocol.

    The same arguments give the same bytes; a tile read alone equals the same pixels of
    a larger read on the same grid, bit for bit. All methods may be called from several
    threads.

    Parameters
    ----------
    height, width : int
        Size, level-0 px.
    mpp : float
        Micrometers per level-0 px.
    seed : int
        Chooses layout, proportions, stain and textures; 0 or more.
    name : str, optional
        Name in messages and reports; "synthetic-<seed>" without it.

    Raises
    ------
    ConfigError
        If a size, the mpp or the seed is out of range.
    """

    backend = "synthetic"

    def __init__(
        self,
        height: int,
        width: int,
        *,
        mpp: float = 0.5,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        if height < 1 or width < 1:
            raise ConfigError(f"a synthetic slide needs at least 1 by 1 px, got {height}, {width}.")
        if not math.isfinite(mpp) or mpp <= 0:
            raise ConfigError(f"a synthetic slide needs an mpp above 0, got {mpp}.")
        if seed < 0:
            raise ConfigError(f"a synthetic slide needs a seed of 0 or more, got {seed}.")
        self._height, self._width = height, width
        self._mpp = float(mpp)
        self._name = name or f"synthetic-{seed}"
        identity = f"synthetic {LOOK} {height} {width} {self._mpp!r} {seed}"
        self._fingerprint = hashlib.sha256(identity.encode()).hexdigest()
        self._layout = TissueLayout.drawn((height * mpp, width * mpp), subseed(seed, 1))
        self._painter = Painter(self._layout, subseed(seed, 2))
        self._levels = _power_of_two_levels(height, width)

    @property
    def name(self) -> str:
        """What to call the slide."""
        return self._name

    @property
    def levels(self) -> tuple[LevelInfo, ...]:
        """Levels at downsamples 1, 2, 4 … down to a longest side of 1024 px or less."""
        return self._levels

    @property
    def mpp(self) -> Mpp:
        """The pixel size it was made with."""
        return Mpp(self._mpp, "synthetic")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that determines the pixels."""
        return self._fingerprint

    @property
    def warnings(self) -> tuple[str, ...]:
        """Nothing to warn of."""
        return ()

    def read_region(self, region: Region, mpp: float) -> RgbImage:
        """Draw a region at a resolution.

        Parameters
        ----------
        region : Region
            Level-0 px; parts outside the slide come back white.
        mpp : float
            Micrometers per pixel of the answer; any value above 0.

        Returns
        -------
        array of uint8, shape (h, w, 3)
            ``h = max(1, round(region.height * slide_mpp / mpp))``, same for w.

        Raises
        ------
        MppError
            If `mpp` is not above 0.
        SlideError
            If the slide was closed.
        """
        ys, xs = self._plan(region, mpp)
        out = np.full((ys.count, xs.count, 3), 255, dtype=np.uint8)
        for rows in ys.blocks():
            for cols in xs.blocks():
                grid = SampleGrid(ys.centers(rows), xs.centers(cols), ys.step)
                out[rows, cols] = self._painter.paint(grid, ys.indices(rows), xs.indices(cols))
        return out

    def truth_labels(self, region: Region, mpp: float) -> Labels:
        """Return the exact class at the center of each pixel that `read_region` draws.

        Arguments and errors as `read_region`.

        Returns
        -------
        array of uint8, shape (h, w)
            Values 1…7 of `OSTEOSARCOMA`; 1 (background) outside the slide.
        """
        return self._labels(*self._plan(region, mpp))

    def truth_map(self, geometry: MapGeometry) -> Labels:
        """Return the exact class at the center of each cell of a map of this slide.

        Parameters
        ----------
        geometry : MapGeometry
            Shape, cell and origin are used.

        Returns
        -------
        array of uint8, shape (rows, cols)
            Values 1…7; memory beyond the answer does not grow with it.

        Raises
        ------
        SlideError
            If the slide was closed.
        """
        self._refuse_if_closed()
        (y, x), (rows, cols), cell = geometry.origin, geometry.shape, geometry.cell
        step = cell * self._mpp
        return self._labels(
            _Reading.of(y, rows, cell, step, self._height),
            _Reading.of(x, cols, cell, step, self._width),
        )

    def as_dask(self) -> list[Any]:
        """Return one lazy uint8 dask array (h, w, 3) per level, in chunks of 512 px."""
        self._refuse_if_closed()
        return [self._lazy_level(level) for level in self._levels]

    def write_tiff(
        self,
        path: str | Path,
        *,
        levels: int | None = None,
        pyramid: Literal["subifd", "pages"] = "subifd",
        tile: int = 256,
        quality: int = 90,
    ) -> None:
        """Write the slide as a pyramidal, tiled JPEG TIFF, one tile in memory at a time.

        Parameters
        ----------
        path : str or Path
            File to write; an existing one is replaced.
        levels : int, optional
            Number of levels, finest first; all without it.
        pyramid : {"subifd", "pages"}
            Coarser levels as children of the first page, or as pages after it, as
            readers of generic tiled TIFF expect.
        tile : int
            Edge of a tile, px, a multiple of 16.
        quality : int
            JPEG quality, 1…100.

        Raises
        ------
        ConfigError
            If `levels` is not between 1 and the number of levels.
        SlideError
            If the slide was closed.
        """
        from napari_fddm.slides.synthetic.tiff_writing import write_pyramid

        self._refuse_if_closed()
        count = len(self._levels) if levels is None else levels
        if not 1 <= count <= len(self._levels):
            raise ConfigError(
                f"cannot write {count} levels of {self._name}.",
                hint=f"Ask for 1 to {len(self._levels)}.",
            )
        write_pyramid(
            self, path, levels=self._levels[:count], pyramid=pyramid, tile=tile, quality=quality
        )

    def _plan(self, region: Region, mpp: float) -> tuple[_Reading, _Reading]:
        self._refuse_if_closed()
        if not math.isfinite(mpp) or mpp <= 0:
            raise MppError(f"cannot read {self._name} at {mpp} µm/px.", hint="Ask for more than 0.")
        cell = mpp / self._mpp
        height, width = (max(1, round(n / cell)) for n in (region.height, region.width))
        return (
            _Reading.of(region.y, height, cell, mpp, self._height),
            _Reading.of(region.x, width, cell, mpp, self._width),
        )

    def _labels(self, ys: _Reading, xs: _Reading) -> Labels:
        out = np.full((ys.count, xs.count), _BACKGROUND, dtype=np.uint8)
        for rows in ys.blocks():
            for cols in xs.blocks():
                grid = SampleGrid(ys.centers(rows), xs.centers(cols), ys.step)
                out[rows, cols] = self._layout.labels(grid)
        return out

    def _lazy_level(self, level: LevelInfo) -> Any:
        import dask.array as da

        return da.map_blocks(
            partial(_draw_chunk, self, level),
            chunks=(*(_chunk_sizes(n) for n in level.shape), (3,)),
            dtype=np.uint8,
            meta=np.empty((0, 0, 0), dtype=np.uint8),
            name=f"{self._fingerprint}-{level.index}",
        )


def texture_sheet(value: int, shape: tuple[int, int], *, mpp: float, seed: int) -> RgbImage:
    """Draw a sheet of one class alone, in a stain of its own.

    Parameters
    ----------
    value : int
        Label value, 1…7; 1 is glass.
    shape : tuple of int
        (h, w), px.
    mpp : float
        Micrometers per pixel.
    seed : int
        Texture, stain and sensor noise.

    Returns
    -------
    array of uint8, shape (h, w, 3)
    """
    layout = TissueLayout.drawn((shape[0] * mpp, shape[1] * mpp), subseed(seed, 1))
    painter = Painter(layout, subseed(seed, 2))
    rows, cols = (np.arange(n, dtype=np.int64) for n in shape)
    y, x = ((np.arange(n, dtype=np.float64) + 0.5) * mpp for n in shape)
    return painter.sheet(value, SampleGrid(y, x, mpp), rows, cols)


def _draw_chunk(slide: SyntheticSlide, level: LevelInfo, block_info: Any = None) -> RgbImage:
    """Draw the chunk of a level that dask asks for in `block_info`."""
    (y0, y1), (x0, x1), _ = block_info[None]["array-location"]
    region = Region(*(n * level.downsample for n in (y0, x0, y1 - y0, x1 - x0)))
    return slide.read_region(region, slide._mpp * level.downsample)


def _power_of_two_levels(height: int, width: int) -> tuple[LevelInfo, ...]:
    levels = [LevelInfo(0, (height, width), 1.0)]
    while max(levels[-1].shape) > _COARSEST:
        factor = 2 ** len(levels)
        shape = (-(-height // factor), -(-width // factor))
        levels.append(LevelInfo(len(levels), shape, float(factor)))
    return tuple(levels)


def _chunk_sizes(length: int) -> tuple[int, ...]:
    full, rest = divmod(length, _CHUNK)
    return (_CHUNK,) * full + ((rest,) if rest else ())
