"""TIFF slides through tifffile: Aperio SVS, pyramidal TIFF, OME-TIFF, flat TIFF."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.slides.base import DASK_CHUNK, PyramidSlide, SlideInfo
from napari_fddm.slides.closing import closed_error
from napari_fddm.slides.identity import fingerprint_file
from napari_fddm.slides.mpp import resolve_mpp
from napari_fddm.slides.tiff_extras import read_image
from napari_fddm.slides.tiff_file import read_structure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_fddm.core.protocols import RgbImage
    from napari_fddm.slides.tiff_level import TiffLevel

CACHE_BYTES = 64 << 20
"""Decoded tiles kept per slide: neighboring reads and strips share them."""


class TiffSlide(PyramidSlide):
    """A TIFF slide.

    Parameters
    ----------
    path : Path
        File to open.
    mpp : float, optional
        Micrometers per level-0 pixel; overrides the file.

    Raises
    ------
    SlideError
        If the file is no TIFF, has no image or none of a kind that can be read.
    MppError
        If `mpp` is not believable.
    """

    def __init__(self, path: Path, *, mpp: float | None = None) -> None:
        path = path.absolute()
        structure = read_structure(path)
        resolved, notes = resolve_mpp(structure.claims, name=path.name, user=mpp)
        warnings = (*structure.warnings, *notes)
        info = SlideInfo(path.name, "tiff", str(path), resolved, fingerprint_file(path), warnings)
        first = structure.levels[0]
        super().__init__(
            info,
            [level.shape for level in structure.levels],
            tile=max(first.tile_shape) if _is_square_tiled(first) else DASK_CHUNK,
            binned=structure.is_scanner,
        )
        self._tiff_levels = structure.levels
        self._path, self._properties = path, structure.properties
        self._associated = structure.associated
        self._file = path.open("rb")
        # A viewer drops its layers without saying so: the file goes with the slide.
        weakref.finalize(self, self._file.close)
        self._file_lock = threading.Lock()
        self._cache = TileCache(CACHE_BYTES)
        self._measure_scales()

    def close(self) -> None:
        """Close the file and forget cached tiles; reading afterwards raises SlideError."""
        super().close()
        with self._file_lock:
            self._file.close()
        self._cache.clear()

    @property
    def properties(self) -> Mapping[str, str]:
        """Aperio's fields and some TIFF tags; may name a patient."""
        return self._properties

    @property
    def associated(self) -> Sequence[str]:
        """Images of the file that are no level of the slide."""
        return tuple(self._associated)

    def read_associated(self, name: str) -> RgbImage:
        """Read one of the images beside the pyramid; see the base class."""
        self._refuse_if_closed()
        if name not in self._associated:
            return super().read_associated(name)
        return read_image(self._path, self._associated[name], name)

    def _read_level(self, level: int, y: int, x: int, height: int, width: int) -> RgbImage:
        source = self._tiff_levels[level]
        tile_h, tile_w = source.tile_shape
        image = np.empty((height, width, 3), np.uint8)
        for row in range(y // tile_h, -(-(y + height) // tile_h)):
            for col in range(x // tile_w, -(-(x + width) // tile_w)):
                tile = self._tile(level, row, col)
                top, left = row * tile_h, col * tile_w
                y0, y1 = max(y, top), min(y + height, top + tile.shape[0])
                x0, x1 = max(x, left), min(x + width, left + tile.shape[1])
                image[y0 - y : y1 - y, x0 - x : x1 - x] = tile[
                    y0 - top : y1 - top, x0 - left : x1 - left
                ]
        return image

    def _tile(self, level: int, row: int, col: int) -> RgbImage:
        key = (level, row, col)
        tile = self._cache.get(key)
        if tile is None:
            tile = self._tiff_levels[level].read_tile(row, col, self._read_bytes)
            self._cache.put(key, tile, pinned=not self._tiff_levels[level].is_tiled)
        return tile

    def _read_bytes(self, offset: int, count: int) -> bytes:
        with self._file_lock:
            if self._file.closed:
                raise closed_error(self.name)
            self._file.seek(offset)
            return self._file.read(count)


class TileCache:
    """Recently decoded tiles up to a number of bytes; safe from several threads.

    Strips of untiled images are *pinned*: a window crosses few of their rows but all
    their columns, so they would be decoded over and over. Their sum is bounded by
    `napari_fddm.slides.tiff_file.MAX_UNTILED_BYTES`.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._tiles: OrderedDict[tuple[int, int, int], RgbImage] = OrderedDict()
        self._pinned: dict[tuple[int, int, int], RgbImage] = {}
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int, int]) -> RgbImage | None:
        """Return a tile if it is there."""
        with self._lock:
            if key in self._tiles:
                self._tiles.move_to_end(key)
                return self._tiles[key]
            return self._pinned.get(key)

    def put(self, key: tuple[int, int, int], tile: RgbImage, *, pinned: bool = False) -> None:
        """Keep a tile, dropping the ones used longest ago."""
        with self._lock:
            if pinned:
                self._pinned[key] = tile
                return
            if key in self._tiles:
                return
            self._tiles[key] = tile
            self._bytes += tile.nbytes
            while self._bytes > self._limit:
                self._bytes -= self._tiles.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._tiles.clear()
            self._pinned.clear()
            self._bytes = 0


def _is_square_tiled(level: TiffLevel) -> bool:
    height, width = level.tile_shape
    return level.is_tiled and max(height, width) <= 2 * min(height, width)
