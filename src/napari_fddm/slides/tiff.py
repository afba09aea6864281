"""TIFF slides through tifffile: Aperio SVS, pyramidal TIFF, OME-TIFF, flat TIFF."""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from napari_fddm.core.errors import SlideError
from napari_fddm.core.outside.text import visible
from napari_fddm.slides.base import DASK_CHUNK, PyramidSlide, SlideInfo
from napari_fddm.slides.bins import cells_on_stored
from napari_fddm.slides.closing import closed_error
from napari_fddm.slides.identity import fingerprint_file
from napari_fddm.slides.mpp import resolve_mpp
from napari_fddm.slides.tiff_extras import read_image
from napari_fddm.slides.tiff_file import read_structure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

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
    series : int, optional
        Number of the image to open; by default the largest that is a slide.

    Raises
    ------
    SlideError
        If the file is no TIFF, has no image or none of a kind that can be read.
    MppError
        If `mpp` is not believable.
    """

    def __init__(self, path: Path, *, mpp: float | None = None, series: int | None = None) -> None:
        path = path.absolute()
        structure = read_structure(path, series)
        resolved, notes = resolve_mpp(
            structure.claims, name=visible(path.name), user=mpp, unclear=structure.unclear
        )
        first = structure.levels[0]
        info = SlideInfo(
            path.name,
            "tiff",
            str(path),
            resolved,
            _fingerprint([path, *(other for other in first.files if other != path)]),
            (*structure.warnings, *notes),
            structure.images,
            structure.series,
        )
        super().__init__(
            info,
            [level.shape for level in structure.levels],
            tile=max(first.tile_shape) if _is_square_tiled(first) else DASK_CHUNK,
            binned=structure.is_scanner,
        )
        self._tiff_levels = structure.levels
        self._by_scanner = structure.is_scanner
        self._path, self._properties = path, structure.properties
        self._associated = structure.associated
        self._profile = structure.profile
        self._files = _open_all({file for level in structure.levels for file in level.files})
        # A viewer drops its layers without saying so: the files go with the slide.
        for file in self._files.values():
            weakref.finalize(self, file.close)
        self._sizes = {place: place.stat().st_size for place in self._files}
        self._file_lock = threading.Lock()
        self._cache = TileCache(CACHE_BYTES)
        try:
            for note in first.color_notes(self._read_bytes):
                self.add_warning(note)
        except SlideError:
            self.close()
            raise
        self._measure_scales()

    def close(self) -> None:
        """Close its files and forget cached tiles; reading afterwards raises SlideError."""
        super().close()
        with self._file_lock:
            for file in self._files.values():
                file.close()
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

    def stored_mask(self, shape: tuple[int, int]) -> npt.NDArray[np.bool_] | None:
        """Return where the finest level has bytes; see the base class."""
        finest = self._tiff_levels[0]
        stored = finest.stored
        if stored.all():
            return None
        return cells_on_stored(stored, finest.tile_shape, shape, finest.shape)

    @property
    def leaves_out_glass(self) -> bool:
        """Whether a scanner wrote the file: some of them store no tiles of empty glass."""
        return self._by_scanner

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
            if self._profile is not None:
                tile = self._profile.apply(tile)
            self._cache.put(key, tile, pinned=not self._tiff_levels[level].is_tiled)
        return tile

    def _read_bytes(self, path: Path, offset: int, count: int) -> bytes:
        """Read what there is of these bytes, never more than the file holds."""
        with self._file_lock:
            file = self._files[path]
            if file.closed:
                raise closed_error(self.name)
            there = min(count, self._sizes[path] - offset)
            if there <= 0:
                return b""
            file.seek(offset)
            return file.read(there)


def _fingerprint(paths: Sequence[Path]) -> str:
    """Return the identity of one file, or of several whose planes make one image."""
    found = [fingerprint_file(path) for path in paths]
    return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()


def _open_all(paths: Iterable[Path]) -> dict[Path, BinaryIO]:
    found: dict[Path, BinaryIO] = {}
    try:
        for path in paths:
            found[path] = path.open("rb")
    except OSError as error:
        for file in found.values():
            file.close()
        raise SlideError(
            f"{visible(path.name)} cannot be read: {error.strerror}.",
            hint="Check the permissions and whether the drive is connected.",
        ) from error
    return found


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
