"""One level of a TIFF slide: finds its tiles and decodes them to RGB.

Tiles are decoded one by one from their bytes, in the caller's thread, without zarr or
dask. What cannot be decoded is an error, never white.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import SlideError
from napari_fddm.slides.base import COPY_AGAIN
from napari_fddm.slides.codestream import jpeg2000_damage, jpeg_damage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from napari_fddm.core.protocols import RgbImage

    Samples = npt.NDArray[np.uint8]

_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _YCBCR = 0, 1, 2, 6
_JPEG = frozenset({7, 33007})  # whose decoder turns YCbCr into RGB
_APERIO_JP2K_YCBCR = 33003
_JPEG_2000 = frozenset({_APERIO_JP2K_YCBCR, 33004, 33005, 34712})
_ASSOCIATED_ALPHA, _STRAIGHT_ALPHA = 1, 2


class NotBrightfieldError(SlideError):
    """The file is complete but holds no brightfield image, so no other reader is tried."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Where the bytes of one tile (of one plane) lie in the file."""

    index: int
    offset: int
    count: int

    @property
    def is_sparse(self) -> bool:
        """Whether the writer stored nothing here on purpose (offset and count 0)."""
        return self.offset == 0 and self.count == 0


class TiffLevel:
    """One image of a TIFF as a grid of RGB tiles.

    Parameters
    ----------
    pages : sequence of tifffile pages
        One page, or three gray ones that are red, green and blue.
    keyframe : tifffile.TiffPage
        The page that carries the tags.
    name : str
        The slide's name, for messages.

    Raises
    ------
    SlideError
        If the samples are no 8-bit gray, RGB or RGBA.
    """

    def __init__(self, pages: Sequence[Any], keyframe: Any, name: str) -> None:
        _refuse_samples(keyframe, len(pages), name)
        _refuse_codec(keyframe, name)
        self._name = name
        self._keyframe = keyframe
        self._tables = keyframe.jpegtables
        self._header = keyframe.jpegheader
        self.shape = (int(keyframe.imagelength), int(keyframe.imagewidth))
        self.is_tiled = bool(keyframe.is_tiled)
        self.tile_shape = _tile_shape(keyframe)
        self.grid = (
            -(-self.shape[0] // self.tile_shape[0]),
            -(-self.shape[1] // self.tile_shape[1]),
        )
        self._segments = _segments(pages, self.grid[0] * self.grid[1], name)

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

    def read_tile(self, row: int, col: int, read: Callable[[int, int], bytes]) -> RgbImage:
        """Return one tile as RGB, cut to the level at the lower and right edge.

        Parameters
        ----------
        row, col : int
            Place in `grid`.
        read : callable
            ``read(offset, count) -> bytes``, thread-safe.

        Returns
        -------
        array of uint8, shape (th, tw, 3)

        Raises
        ------
        SlideError
            If bytes are missing or cannot be decoded.
        """
        height = min(self.tile_shape[0], self.shape[0] - row * self.tile_shape[0])
        width = min(self.tile_shape[1], self.shape[1] - col * self.tile_shape[1])
        tiles = self.grid[0] * self.grid[1]
        first = row * self.grid[1] + col
        parts = [
            self._decode(segment, row, col, read)[:height, :width]
            for segment in self._segments[first::tiles]
        ]
        samples = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
        if samples.shape[:2] != (height, width):
            raise self._damaged(row, col, f"it has {samples.shape[:2]} pixels")
        return self._to_rgb(samples)

    def _decode(
        self, segment: Segment, row: int, col: int, read: Callable[[int, int], bytes]
    ) -> Samples:
        if segment.is_sparse:
            return self._blank()
        data = read(segment.offset, segment.count)
        if segment.count == 0 or len(data) < segment.count:
            raise self._damaged(row, col, f"{segment.count - len(data)} of its bytes are missing")
        reason = self._damage(data)
        if reason:
            raise self._damaged(row, col, reason)
        try:  # each codec has errors of its own, and bad bytes find all of them
            image = self._keyframe.decode(
                data, segment.index, jpegtables=self._tables, jpegheader=self._header
            )[0]
        except Exception as error:
            raise self._damaged(row, col, str(error)) from error
        if image is None or image.ndim != 4 or image.dtype != np.uint8:
            raise self._damaged(row, col, "the decoder gave no 8-bit image")
        samples: Samples = image[0]
        return samples

    def _damage(self, data: bytes) -> str:
        if self._keyframe.compression in _JPEG and self._header is None:
            return jpeg_damage(data)
        if self._keyframe.compression in _JPEG_2000:
            return jpeg2000_damage(data)
        return ""

    def _blank(self) -> Samples:
        page = self._keyframe
        samples = int(page.samplesperpixel) if page.planarconfig == 1 else 1
        value = 0 if page.photometric == _MIN_IS_WHITE else 255
        return np.full((*self.tile_shape, samples), value, np.uint8)

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
            color = samples[..., :3]
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


def _segments(pages: Sequence[Any], tiles: int, name: str) -> tuple[Segment, ...]:
    segments = tuple(
        Segment(index, int(offset), int(count))
        for page in pages
        for index, (offset, count) in enumerate(
            zip(page.dataoffsets, page.databytecounts, strict=False)
        )
    )
    if not segments or len(segments) % tiles:
        raise SlideError(
            f"{name} lists {len(segments)} tiles where a multiple of {tiles} is needed.",
            hint=COPY_AGAIN,
        )
    return segments


def _refuse_samples(page: Any, planes: int, name: str) -> None:
    reason = _unusable(page, planes)
    if reason:
        raise NotBrightfieldError(
            f"{name} is no brightfield slide: {reason}.",
            hint="Export it as an 8-bit RGB pyramidal TIFF.",
        )
    reason = _unreadable_color(page) if planes == 1 else ""
    if reason:
        raise SlideError(
            f"the colors of {name} cannot be read: {reason}.",
            hint="Export it as an 8-bit RGB pyramidal TIFF.",
        )


def _refuse_codec(page: Any, name: str) -> None:
    try:
        page.decode(None, 0)  # returns without data, unless it cannot decode at all
    except Exception as error:
        number = int(page.compression)
        # Of unknown compressions, tifffile's messages name only its own classes.
        known = hasattr(page.compression, "name")
        reason = str(error) if known else f"its compression (number {number}) is not known"
        raise SlideError(
            f"{name} cannot be decoded: {' '.join(reason.split()).rstrip('.')}.",
            hint="Export it with JPEG, LZW or no compression.",
        ) from error


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
    if page.photometric in (_MIN_IS_WHITE, _MIN_IS_BLACK) and samples in (1, 2):
        return ""
    if page.photometric not in (_RGB, _YCBCR):
        return f"they are {page.photometric.name.lower()}"
    if samples not in (3, 4):
        return f"there are {samples} samples per pixel"
    if page.compression == _APERIO_JP2K_YCBCR:
        return "its JPEG 2000 tiles are YCbCr"
    if page.photometric == _YCBCR and page.compression not in _JPEG:
        return "they are YCbCr without JPEG compression"
    return ""
