"""Base class of all slides: reads a region at any resolution, and gives lazy arrays.

A backend lists its levels and reads whole pixels of one level; the geometry is computed
here for all backends.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import ConfigError, MppError, SlideError
from napari_fddm.core.geometry import LevelInfo, Mpp, Region
from napari_fddm.core.outside.text import visible
from napari_fddm.core.resample import (
    WHITE,
    area_average,
    area_average_edges,
    bilinear_edges,
    bin_average,
)
from napari_fddm.slides.bins import bin_edges, iter_blocks, touched_pixels, whole_bins
from napari_fddm.slides.choosing import other_series
from napari_fddm.slides.closing import Closable
from napari_fddm.slides.extras import WithExtras
from napari_fddm.slides.identity import series_fingerprint
from napari_fddm.slides.scales import level_scales, measured_scales

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from napari_fddm.core.protocols import RgbImage
    from napari_fddm.slides.bins import Bins, Edges
    from napari_fddm.slides.choosing import SlideImage
    from napari_fddm.slides.scales import Scale

DASK_CHUNK = 512
"""Least edge of a viewing chunk, px; the next multiple of the file's tile is taken."""

FINER_TOLERANCE = 1.001
"""A level counts as fine enough up to this factor: downsamples are rarely exact."""

COPY_AGAIN = "The file is damaged; copy it again from the scanner."
"""Hint of an error about a damaged file."""

_MOST_PER_PIXEL = 512
"""Beyond this many source pixels a side per output pixel, averaging takes two steps."""


@dataclass(frozen=True, slots=True)
class SlideInfo:
    """Name, pixel size and identity of an opened slide.

    Attributes
    ----------
    name : str
        File name, no folder.
    backend : str
        "tiff", "openslide", "array" …
    uri : str
        Absolute path or ``synthetic:`` text that opens the slide again; empty for
        slides that live in memory.
    mpp : Mpp
        Pixel size of level 0 and its source.
    fingerprint : str
        Stable identity of the content.
    warnings : tuple of str
        Warnings about the file, one sentence each.
    images : tuple of SlideImage
        All images of the file, also those that are not open; empty if it holds one only.
    series : int
        Which of them is open.
    """

    name: str
    backend: str
    uri: str
    mpp: Mpp
    fingerprint: str
    warnings: tuple[str, ...] = ()
    images: tuple[SlideImage, ...] = ()
    series: int = 0


class PyramidSlide(WithExtras, Closable):
    """Base of all slides; satisfies `napari_fddm.core.protocols.Slide`.

    Subclasses implement `_read_level` (thread-safe) and may extend `close`.

    Parameters
    ----------
    info : SlideInfo
        Name, pixel size and identity.
    shapes : sequence of (int, int)
        Level sizes (height, width), finest first.
    tile : int
        Edge of the file's tiles, px; viewing chunks are multiples of it.
    binned : bool
        Whether levels are known to be binned by whole numbers; see `level_scales`.
    """

    def __init__(
        self,
        info: SlideInfo,
        shapes: Sequence[tuple[int, int]],
        *,
        tile: int = DASK_CHUNK,
        binned: bool = False,
    ) -> None:
        self._info = info
        self._shapes = [(int(height), int(width)) for height, width in shapes]
        self._binned = binned
        self._set_scales(level_scales(self._shapes, binned=binned))
        self._chunk = tile * max(1, math.ceil(DASK_CHUNK / tile))
        self._warnings = list(info.warnings)

    def _set_scales(self, scales: Sequence[Scale]) -> None:
        longer = 0 if self._shapes[0][0] >= self._shapes[0][1] else 1
        self._scales = tuple(scales)
        self._levels = tuple(
            LevelInfo(i, shape, scale[longer])
            for i, (shape, scale) in enumerate(zip(self._shapes, scales, strict=True))
        )

    def _measure_scales(self) -> None:
        """Measure ambiguous downsamples on the pixels; backends call it when they are open."""
        if self._binned:
            return
        try:
            self._set_scales(measured_scales(self._shapes, self.read_level))
        except SlideError as error:
            self.add_warning(f"the levels' scale could not be checked: {error.message}")

    @property
    def name(self) -> str:
        """File name, for messages and reports; what is no text in it is escaped."""
        return visible(self._info.name)

    @property
    def backend(self) -> str:
        """Name of the reader, such as "tiff" or "openslide"."""
        return self._info.backend

    @property
    def uri(self) -> str:
        """Absolute path or ``synthetic:`` text; empty for slides in memory."""
        return self._info.uri

    @property
    def levels(self) -> Sequence[LevelInfo]:
        """The pyramid, finest first."""
        return self._levels

    @property
    def scales(self) -> tuple[Scale, ...]:
        """Level-0 pixels per pixel of each level along y and x."""
        return self._scales

    @property
    def mpp(self) -> Mpp:
        """Micrometers per level-0 pixel and where that was found."""
        return self._info.mpp

    @property
    def images(self) -> tuple[SlideImage, ...]:
        """All images of the file, also those that are not open; empty if it holds one only."""
        return self._info.images

    @property
    def series(self) -> int:
        """Which of `images` is open."""
        return self._info.series

    @property
    def other_series(self) -> int | None:
        """The open image where it is another than the file's own slide; else None."""
        return other_series(self._info.images, self._info.series)

    @property
    def fingerprint(self) -> str:
        """Stable identity of the content; each image of a file has its own."""
        return series_fingerprint(self._info.fingerprint, self.other_series)

    @property
    def warnings(self) -> Sequence[str]:
        """Warnings about this file, one sentence each."""
        return tuple(self._warnings)

    @property
    def extent(self) -> Region:
        """The whole slide, level-0 px."""
        height, width = self._levels[0].shape
        return Region(0.0, 0.0, float(height), float(width))

    def add_warning(self, text: str) -> None:
        """Add a warning about this slide."""
        self._warnings.append(text)

    def read_region(self, region: Region, mpp: float) -> RgbImage:
        """Read a region at a resolution; see `napari_fddm.core.protocols.Slide`.

        Output pixel (i, j) covers exactly ``mpp`` × ``mpp`` µm, counted from the
        region's upper left corner: the pitch stays exact even where the region is not a
        whole number of pixels. Where the slide is coarser than asked, values are
        interpolated linearly, which adds no detail.

        Raises
        ------
        MppError
            If the slide's own pixel size is unknown or `mpp` is no positive number.
        SlideError
            If pixels cannot be decoded or the slide was closed.
        """
        if self.mpp.value is None:
            raise MppError(
                f"the pixel size of {self.name} is unknown, so it cannot be read in micrometers.",
                hint="Give the micrometers per pixel (mpp) by hand.",
            )
        if not (math.isfinite(mpp) and mpp > 0):
            raise MppError(
                f"{self.name} cannot be read at {mpp} µm per pixel.",
                hint="Ask for a number above 0.",
            )
        return self.read_scaled(region, mpp / self.mpp.value)

    def read_scaled(self, region: Region, downsample: float) -> RgbImage:
        """Read a region at a multiple of the level-0 pixel; needs no mpp.

        Parameters
        ----------
        region : Region
            Level-0 px; parts outside the slide come back white.
        downsample : float
            Level-0 pixels per pixel of the answer, more than 0.

        Returns
        -------
        array of uint8, shape (h, w, 3)
            ``h = round(region.height / downsample)``, at least 1; same for w.

        Raises
        ------
        ConfigError
            If `downsample` is no positive number.
        SlideError
            If pixels cannot be decoded or the slide was closed.
        """
        if not (math.isfinite(downsample) and downsample > 0):
            raise ConfigError(
                f"{self.name} cannot be read at a downsample of {downsample}.",
                hint="Ask for a number above 0.",
            )
        self._refuse_if_closed()
        shape = (
            max(1, round(region.height / downsample)),
            max(1, round(region.width / downsample)),
        )
        level = self.level_for(downsample)
        parts = math.ceil(downsample / level.downsample / _MOST_PER_PIXEL)
        if parts > 1:
            whole = Region(region.y, region.x, shape[0] * downsample, shape[1] * downsample)
            fine = self.read_scaled(whole, downsample / parts)
            return area_average(fine, (0, 0, fine.shape[0], fine.shape[1]), shape)
        scale_y, scale_x = self._scales[level.index]
        y_bins = whole_bins(region.y, downsample, scale_y, shape[0], level.shape[0])
        x_bins = whole_bins(region.x, downsample, scale_x, shape[1], level.shape[1])
        if y_bins and x_bins:
            return self._read_whole_bins(level.index, y_bins, x_bins)
        y_edges = bin_edges(region.y, downsample, shape[0], scale_y)
        x_edges = bin_edges(region.x, downsample, shape[1], scale_x)
        interpolate = downsample * FINER_TOLERANCE < level.downsample
        blocks = list(iter_blocks(y_edges, x_edges))
        if len(blocks) == 1:
            return self._resampled(level, y_edges, x_edges, interpolate=interpolate)
        image = np.empty((*shape, 3), np.uint8)
        for rows, cols in blocks:
            image[rows, cols] = self._resampled(
                level,
                y_edges[rows.start : rows.stop + 1],
                x_edges[cols.start : cols.stop + 1],
                interpolate=interpolate,
            )
        return image

    def _read_whole_bins(self, level: int, y_bins: Bins, x_bins: Bins) -> RgbImage:
        """Average whole level pixels: the fast path where the output grid meets the file's."""
        window = self._read_level(level, y_bins.first, x_bins.first, y_bins.size, x_bins.size)
        return bin_average(window, (y_bins.step, x_bins.step))

    def _resampled(
        self, level: LevelInfo, y_edges: Edges, x_edges: Edges, *, interpolate: bool
    ) -> RgbImage:
        margin = 1 if interpolate else 0
        y0, y1 = touched_pixels(y_edges, level.shape[0], margin)
        x0, x1 = touched_pixels(x_edges, level.shape[1], margin)
        if y0 >= y1 or x0 >= x1:
            return np.full((len(y_edges) - 1, len(x_edges) - 1, 3), WHITE, np.uint8)
        window = self._read_level(level.index, y0, x0, y1 - y0, x1 - x0)
        resample = bilinear_edges if interpolate else area_average_edges
        return resample(window, y_edges - y0, x_edges - x0)

    def stored_mask(self, shape: tuple[int, int]) -> npt.NDArray[np.bool_] | None:
        """Return where level 0 has pixels that somebody stored, not white for what is missing.

        Parameters
        ----------
        shape : tuple of int
            Rows and columns of the answer, which covers the whole extent.

        Returns
        -------
        array of bool, shape `shape`, or None
            A cell that is partly not stored is not stored. None: everything is.
        """
        del shape
        return None

    @property
    def leaves_out_glass(self) -> bool:
        """Whether what is not stored is empty glass, because such a scanner leaves it out."""
        return False

    def read_level(self, level: int, y: int, x: int, height: int, width: int) -> RgbImage:
        """Read whole pixels of one level; parts outside the level come back white.

        Parameters
        ----------
        level : int
            Index into `levels`.
        y, x, height, width : int
            Window, in the level's own pixels.

        Returns
        -------
        array of uint8, shape (height, width, 3)
        """
        self._refuse_if_closed()
        rows, cols = self._levels[level].shape
        y0, y1 = min(max(y, 0), rows), min(max(y + height, 0), rows)
        x0, x1 = min(max(x, 0), cols), min(max(x + width, 0), cols)
        if y0 >= y1 or x0 >= x1:
            return np.full((height, width, 3), WHITE, np.uint8)
        inside = self._read_level(level, y0, x0, y1 - y0, x1 - x0)
        if inside.shape[:2] == (height, width):
            return inside
        image = np.full((height, width, 3), WHITE, np.uint8)
        image[y0 - y : y1 - y, x0 - x : x1 - x] = inside
        return image

    def level_for(self, downsample: float) -> LevelInfo:
        """Return the coarsest level that is at least as fine as asked, else level 0."""
        fine = [k for k in self._levels if k.downsample <= downsample * FINER_TOLERANCE]
        return max(fine, key=lambda k: k.downsample, default=self._levels[0])

    def as_dask(self) -> list[Any]:
        """Return one lazy uint8 dask array (h, w, 3) per level, in square chunks."""
        import dask.array as da

        return [
            da.from_array(
                _LevelArray(self, level),
                chunks=(self._chunk, self._chunk, 3),
                name=f"{self.backend}-{self.fingerprint[:16]}-{id(self):x}-{level.index}",
                asarray=False,
                fancy=False,
            )
            for level in self._levels
        ]

    def __repr__(self) -> str:
        """Return name, size and pixel size for logs and consoles."""
        height, width = self._levels[0].shape
        return f"<{type(self).__name__} {self.name!r} {width}×{height} px, {self.mpp}>"

    @abstractmethod
    def _read_level(self, level: int, y: int, x: int, height: int, width: int) -> RgbImage:
        """Read a window that lies fully inside the level; (height, width, 3) uint8.

        The array belongs to the caller, who may write to it.
        """


class _LevelArray:
    """One level as an array-like that dask can slice."""

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, slide: PyramidSlide, level: LevelInfo) -> None:
        self._slide = slide
        self._index = level.index
        self.shape = (*level.shape, 3)

    def __getitem__(self, key: tuple[slice, ...]) -> RgbImage:
        rows, cols, bands = (k.indices(n) for k, n in zip(key, self.shape, strict=True))
        image = self._slide.read_level(
            self._index, rows[0], cols[0], rows[1] - rows[0], cols[1] - cols[0]
        )
        return image[:: rows[2], :: cols[2], slice(*bands)]
