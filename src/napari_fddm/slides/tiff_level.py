"""One level of a TIFF slide: finds its tiles and decodes them to RGB.

Tiles are decoded one by one from their bytes, in the caller's thread, without zarr or
dask. What cannot be decoded is an error, never white.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import SlideError
from napari_fddm.core.resample import WHITE
from napari_fddm.slides.base import COPY_AGAIN
from napari_fddm.slides.codestreams.tiles import CONVERTED, TileCodec, TileDamage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from napari_fddm.core.protocols import RgbImage

    Samples = npt.NDArray[np.uint8]

_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _CMYK, _YCBCR = 0, 1, 2, 5, 6
_ASSOCIATED_ALPHA, _STRAIGHT_ALPHA = 1, 2
_SEPARATE = 2


class NotBrightfieldError(SlideError):
    """It holds no brightfield image, or none that may be read: no other reader is tried."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One page of tiles and the file that holds them.

    Attributes
    ----------
    page : tifffile.TiffPage or TiffFrame
        Where its tiles lie.
    path : Path
        The file in which they do.
    """

    page: Any
    path: Path


@dataclass(frozen=True, slots=True)
class Segment:
    """Where the bytes of one tile (of one plane) lie: in which file, and there."""

    index: int
    offset: int
    count: int
    file: int = 0

    @property
    def is_stored(self) -> bool:
        """Whether there are bytes; writers that leave out a tile, or die, give it none."""
        return self.count != 0 and self.offset != 0


class TiffLevel:
    """One image of a TIFF as a grid of RGB tiles.

    Parameters
    ----------
    planes : sequence of Plane
        One page, or three gray ones that are the colors; in one file or several.
    name : str
        The slide's name, for messages.
    order : tuple of int
        Which channels are red, green and blue.

    Raises
    ------
    SlideError
        If the samples are no 8-bit gray, RGB or RGBA.
    """

    def __init__(
        self, planes: Sequence[Plane], name: str, order: tuple[int, int, int] = (0, 1, 2)
    ) -> None:
        keyframe = planes[0].page.keyframe
        _refuse_samples(keyframe, len(planes), name)
        for plane in planes[1:]:
            _refuse_other_layout(plane.page.keyframe, keyframe, name)
        self._codecs = [TileCodec(plane.page.keyframe, name) for plane in planes]
        self._name = name
        self._keyframe = keyframe
        self._order = order
        self.files = tuple(dict.fromkeys(plane.path for plane in planes))
        self.shape = (int(keyframe.imagelength), int(keyframe.imagewidth))
        self.is_tiled = bool(keyframe.is_tiled)
        self.tile_shape = _tile_shape(keyframe)
        self.grid = (
            -(-self.shape[0] // self.tile_shape[0]),
            -(-self.shape[1] // self.tile_shape[1]),
        )
        self._segments = _segments(planes, self.files, self.grid[0] * self.grid[1], name)

    @property
    def page(self) -> Any:
        """The tifffile page that carries the tags."""
        return self._keyframe

    @property
    def segments(self) -> Sequence[Segment]:
        """All stored tiles, plane after plane, row by row."""
        return self._segments

    @property
    def nbytes(self) -> int:
        """Decoded size, bytes."""
        return self.shape[0] * self.shape[1] * 3

    @property
    def stored(self) -> npt.NDArray[np.bool_]:
        """Which tiles have bytes in each of their planes, shape of `grid`."""
        has_bytes = np.array([segment.is_stored for segment in self._segments])
        return np.asarray(has_bytes.reshape(-1, *self.grid).all(axis=0))

    def color_notes(self, read: Callable[[Path, int, int], bytes]) -> tuple[str, ...]:
        """Return sentences on what a tile says of its colors against its file's tags.

        Raises
        ------
        SlideError
            If its colors cannot be read.
        """
        stored = (s for s in self._segments if s.is_stored)
        segment = next((s for s in stored if s.offset > 0 and s.count > 0), None)
        if segment is None or len(self._codecs) > 1:
            return ()
        data = read(self.files[segment.file], segment.offset, segment.count)
        return self._codecs[0].color_notes(data)

    def read_tile(self, row: int, col: int, read: Callable[[Path, int, int], bytes]) -> RgbImage:
        """Return one tile as RGB, cut to the level at the lower and right edge.

        Parameters
        ----------
        row, col : int
            Place in `grid`.
        read : callable
            ``read(path, offset, count) -> bytes``, thread-safe.

        Returns
        -------
        array of uint8, shape (th, tw, 3)
            White where a plane has no bytes.

        Raises
        ------
        SlideError
            If bytes are missing or cannot be decoded.
        """
        height = min(self.tile_shape[0], self.shape[0] - row * self.tile_shape[0])
        width = min(self.tile_shape[1], self.shape[1] - col * self.tile_shape[1])
        tiles = self.grid[0] * self.grid[1]
        segments = self._segments[row * self.grid[1] + col :: tiles]
        if not all(segment.is_stored for segment in segments):
            return np.full((height, width, 3), WHITE, np.uint8)
        per_page = len(segments) // len(self._codecs)
        parts = []
        for number, segment in enumerate(segments):
            try:
                image = self._decode(segment, self._codecs[number // per_page], read)
            except TileDamage as damage:
                raise self._damaged(row, col, str(damage)) from damage
            parts.append(image[:height, :width])
        samples = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        expected = int(self._keyframe.samplesperpixel) if len(self._codecs) == 1 else 3
        if samples.shape != (height, width, expected):
            raise self._damaged(row, col, f"it has {samples.shape} pixels and samples")
        return self._to_rgb(samples)

    def _decode(
        self, segment: Segment, codec: TileCodec, read: Callable[[Path, int, int], bytes]
    ) -> Samples:
        if segment.offset < 0 or segment.count < 0:
            raise TileDamage("its place in the file cannot be")
        data = read(self.files[segment.file], segment.offset, segment.count)
        if len(data) < segment.count:
            raise TileDamage(f"{segment.count - len(data)} of its bytes are missing")
        return codec.decode(data, segment.index)

    def _damaged(self, row: int, col: int, reason: str) -> SlideError:
        rows, cols = self.shape
        reason = " ".join(reason.split()).rstrip(".")
        return SlideError(
            f"tile (row {row}, column {col}) of the {cols}×{rows} px level of {self._name} "
            f"cannot be decoded: {reason}.",
            hint=COPY_AGAIN,
        )

    def _to_rgb(self, samples: Samples) -> RgbImage:
        page = self._keyframe
        if page.photometric in (_MIN_IS_WHITE, _MIN_IS_BLACK) and samples.shape[2] < 3:
            gray = samples[..., :1]
            if page.photometric == _MIN_IS_WHITE:
                gray = 255 - gray
            color = np.repeat(gray, 3, axis=2)
            alpha = samples[..., 1] if samples.shape[2] == 2 else None
        else:
            color = samples[..., list(self._order)]
            alpha = samples[..., 3] if samples.shape[2] == 4 else None
        kind = int(page.extrasamples[0]) if page.extrasamples else 0
        if alpha is None or kind not in (_ASSOCIATED_ALPHA, _STRAIGHT_ALPHA):
            return np.ascontiguousarray(color)
        return onto_white(color, alpha, premultiplied=kind == _ASSOCIATED_ALPHA)


def onto_white(color: Samples, alpha: Samples, *, premultiplied: bool) -> RgbImage:
    """Lay a transparent image over white.

    Parameters
    ----------
    color : array of uint8, shape (h, w, 3)
    alpha : array of uint8, shape (h, w)
        255 is opaque.
    premultiplied : bool
        Whether color was already multiplied by alpha.

    Returns
    -------
    array of uint8, shape (h, w, 3)
        ``color + (255 − alpha)``, or ``(color · alpha + 255 · (255 − alpha)) / 255``.
    """
    ground = 255 - alpha[..., None].astype(np.uint32)
    if premultiplied:
        mixed = np.minimum(color + ground, 255)
    else:
        mixed = (color * (255 - ground) + 255 * ground + 127) // 255
    opaque: RgbImage = mixed.astype(np.uint8)
    return opaque


def _tile_shape(page: Any) -> tuple[int, int]:
    if page.is_tiled:
        return int(page.tilelength), int(page.tilewidth)
    return min(int(page.rowsperstrip), int(page.imagelength)), int(page.imagewidth)


def _segments(
    planes: Sequence[Plane], files: Sequence[Path], tiles: int, name: str
) -> tuple[Segment, ...]:
    segments = tuple(
        Segment(index, int(offset), int(count), files.index(plane.path))
        for plane in planes
        for index, (offset, count) in enumerate(
            zip(plane.page.dataoffsets, plane.page.databytecounts, strict=False)
        )
    )
    wanted = tiles * len(planes)
    if planes[0].page.keyframe.planarconfig == _SEPARATE:
        wanted *= int(planes[0].page.keyframe.samplesperpixel)
    if len(segments) != wanted:
        raise SlideError(
            f"{name} lists {len(segments)} tiles where {wanted} are needed.", hint=COPY_AGAIN
        )
    return segments


def _refuse_other_layout(page: Any, first: Any, name: str) -> None:
    """Refuse planes of an image that are not alike: their tiles could not be laid together."""
    same = (page.shape == first.shape, _tile_shape(page) == _tile_shape(first),
            page.photometric == first.photometric, page.dtype == first.dtype)  # fmt: skip
    if not all(same):
        raise NotBrightfieldError(
            f"{name} is no brightfield slide: its color planes differ in size or layout.",
            hint="Export it as an 8-bit RGB pyramidal TIFF.",
        )


def _refuse_samples(page: Any, planes: int, name: str) -> None:
    reason = _unusable(page, planes)
    if reason:
        raise NotBrightfieldError(
            f"{name} is no brightfield slide: {reason}.",
            hint="Export it as an 8-bit RGB pyramidal TIFF.",
        )
    reason = _unreadable_color(page) if planes == 1 else ""
    if reason:
        # Without its profile, no reader knows the colors of inks; other kinds OpenSlide may read.
        error = NotBrightfieldError if int(page.photometric) == _CMYK else SlideError
        raise error(
            f"the colors of {name} cannot be read: {reason}.",
            hint="Export it as an 8-bit RGB pyramidal TIFF.",
        )


def _unusable(page: Any, planes: int) -> str:
    if min(page.imagelength, page.imagewidth, *_tile_shape(page)) < 1:
        return "it has no pixels"
    if page.dtype != np.uint8 or page.bitspersample != 8:
        return f"its samples are {page.bitspersample}-bit {page.dtype}, not 8-bit"
    if page.imagedepth > 1:
        return "its tiles have depth"
    if planes == 3 and page.samplesperpixel == 1 and page.photometric in (_MIN_IS_BLACK, _RGB):
        return ""
    if planes != 1:
        return f"it has {planes} channels of {page.samplesperpixel} samples"
    return ""


def _unreadable_color(page: Any) -> str:
    samples = int(page.samplesperpixel)
    photometric = int(page.photometric)
    if photometric in (_MIN_IS_WHITE, _MIN_IS_BLACK) and samples in (1, 2):
        return ""
    if photometric == _CMYK:
        return "they are separated inks (CMYK)"
    if photometric not in (_RGB, _YCBCR):
        return f"they are {getattr(page.photometric, 'name', f'of kind {photometric}').lower()}"
    if samples not in (3, 4):
        return f"there are {samples} samples per pixel"
    if photometric == _YCBCR and page.compression not in CONVERTED:
        return "they are YCbCr without JPEG compression"
    return ""
