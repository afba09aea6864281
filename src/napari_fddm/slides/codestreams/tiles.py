"""Decode the tiles of a TIFF page, by what their own data say of their colors.

A JPEG's markers and a JPEG 2000 header outrank the tags of the TIFF: libraries that write
both do not always write the same, and the decoder works on the former.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_fddm.core.errors import SlideError
from napari_fddm.core.outside.guard import reason
from napari_fddm.core.outside.lzw import CUT_OFF, LZW, is_cut_off
from napari_fddm.slides.codestreams.jpeg import (
    RGB,
    UNSAID,
    YCBCR,
    jpeg_damage,
    read_jpeg,
)
from napari_fddm.slides.codestreams.jpeg2000 import jpeg2000_damage, read_jpeg2000

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_fddm.slides.codestreams.jpeg import Jpeg
    from napari_fddm.slides.codestreams.jpeg2000 import Jpeg2000

    Samples = npt.NDArray[np.uint8]

_PHOTOMETRIC = {2: RGB, 6: YCBCR}
_JPEG = frozenset({7, 33007})
_APERIO_YCBCR = 33003
_JPEG_2000 = frozenset({_APERIO_YCBCR, 33004, 33005, 34712})
CONVERTED = _JPEG | _JPEG_2000
"""Compressions whose YCbCr becomes RGB here."""
_MOST_LARGER = 2
"""Strips of some writers hold more rows than the page; more than this often is no image of it."""
_WAY_OUT = "Export it as an 8-bit RGB pyramidal TIFF."


class TileDamage(Exception):
    """A tile cannot be decoded; the text says why, without a place."""


class TileCodec:
    """Decodes the tiles of one page.

    Parameters
    ----------
    page : tifffile.TiffPage
        The page that carries the tags; its file is open.
    name : str
        The slide's name, for messages.

    Raises
    ------
    SlideError
        If its compression is not known.
    """

    def __init__(self, page: Any, name: str) -> None:
        self._page, self._name = page, name
        self._tables = page.jpegtables or b""
        self._header = page.jpegheader
        self._samples = int(page.samplesperpixel) if page.planarconfig == 1 else 1
        _refuse_unknown(page, name)

    def color_notes(self, data: bytes) -> tuple[str, ...]:
        """Return a sentence if a tile's own data contradict the tags on its colors.

        Raises
        ------
        SlideError
            If nothing tells which of them is right.
        """
        said = ""
        if self._is_jpeg:
            jpeg = read_jpeg(data, self._tables)
            said = jpeg.colors if jpeg is not None and self._samples == 3 else UNSAID
        elif self._is_jpeg2000:
            image = read_jpeg2000(data)
            said = image.colors if image is not None and self._samples == 3 else UNSAID
            if image is not None and self._samples == 3:
                self._jpeg2000_colors(image)
        tag = self._tag
        number = int(self._page.compression)
        notes = []
        if said in (RGB, YCBCR) and tag and said != tag and not self._is_jpeg2000:
            notes.append(f"its photometric tag says {tag}, but its JPEG tiles are {said}")
        if said == RGB and number == _APERIO_YCBCR:
            notes.append(f"its compression number {number} says YCbCr, but its tiles are RGB")
        return tuple(f"{note}: the tiles are believed." for note in notes)

    def decode(self, data: bytes, index: int) -> Samples:
        """Return the samples of a tile, RGB where they are colors; shape (h, w, samples).

        Raises
        ------
        TileDamage
            If the data are damaged or of another size or kind than the tags say.
        """
        if self._is_jpeg:
            return self._decode_jpeg(data, index)
        if self._is_jpeg2000:
            return self._decode_jpeg2000(data, index)
        return self._decode_by_tags(data, index)

    @property
    def _is_jpeg(self) -> bool:
        # NDPI's strips have their header elsewhere in the file.
        return self._page.compression in _JPEG and self._header is None

    @property
    def _is_jpeg2000(self) -> bool:
        return self._page.compression in _JPEG_2000

    @property
    def _tag(self) -> str:
        return _PHOTOMETRIC.get(int(self._page.photometric), "")

    def _decode_jpeg(self, data: bytes, index: int) -> Samples:
        damage = jpeg_damage(data)
        if damage:
            raise TileDamage(damage)
        jpeg = read_jpeg(data, self._tables)
        if jpeg is None:
            raise TileDamage("its JPEG header is missing")
        self._check(jpeg.shape, len(jpeg.ids), index)
        if self._samples != 3 or self._page.extrasamples:
            return self._decode_by_tags(data, index)
        return self._by_markers(jpeg, data)

    def _by_markers(self, jpeg: Jpeg, data: bytes) -> Samples:
        import imagecodecs

        colors = jpeg.colors or self._tag
        try:
            image = imagecodecs.jpeg_decode(
                data, tables=self._tables or None, colorspace=colors.upper(), outcolorspace="RGB"
            )
        except Exception as error:  # each codec has errors of its own
            raise TileDamage(reason(error)) from error
        return np.asarray(image, np.uint8)

    def _decode_jpeg2000(self, data: bytes, index: int) -> Samples:
        damage = jpeg2000_damage(data)
        if damage:
            raise TileDamage(damage)
        header = read_jpeg2000(data)
        if header is None:
            raise TileDamage("its JPEG 2000 header is damaged")
        self._check(header.shape, header.components, index)
        samples = self._decode_by_tags(data, index)
        if self._samples != 3:
            return samples
        try:
            colors = self._jpeg2000_colors(header)
        except SlideError as error:
            raise TileDamage(error.message) from error
        # Where the image itself declares YCbCr, the decoder has made RGB of it.
        return _rgb_of_ycbcr(samples) if colors == YCBCR and not header.declared else samples

    def _jpeg2000_colors(self, image: Jpeg2000) -> str:
        """Return the colors of three components; where the data do not say, by the tags."""
        if image.subsampled and not image.declared:
            raise self._unclear("its JPEG 2000 tiles are YCbCr with chroma of lower resolution")
        if image.colors:
            return image.colors
        if self._page.compression != _APERIO_YCBCR:
            return self._tag
        if self._tag != YCBCR:
            raise self._unclear(
                f"its compression number {_APERIO_YCBCR} says YCbCr, its photometric tag "
                f"{self._tag or 'neither'}, and its tiles do not say which"
            )
        return YCBCR

    def _unclear(self, why: str) -> SlideError:
        return SlideError(f"the colors of {self._name} cannot be read: {why}.", hint=_WAY_OUT)

    def _check(self, shape: tuple[int, int], components: int, index: int) -> None:
        """Refuse an image that is not as large as its tile, or has other components."""
        if components != self._samples:
            raise TileDamage(f"it has {components} components where {self._samples} are needed")
        tile = self._page.decode(None, index)[2][1:3]
        height, width = self._least(index, tile)
        if shape[0] > _MOST_LARGER * tile[0] or shape[1] > _MOST_LARGER * tile[1]:
            raise TileDamage(
                f"its image has {shape[1]} × {shape[0]} px, the tile {tile[1]} × {tile[0]}"
            )
        if shape[0] and (shape[0] < height or shape[1] < width):
            raise TileDamage(
                f"its image has {shape[1]} × {shape[0]} px where {width} × {height} are needed"
            )

    def _least(self, index: int, tile: tuple[int, int]) -> tuple[int, int]:
        """Return which part of a tile lies inside the page: some writers store no more."""
        page = self._page
        if not page.is_tiled:
            return int(tile[0]), int(tile[1])
        across = -(-page.imagewidth // page.tilewidth)
        down = -(-page.imagelength // page.tilelength)
        row, col = index // across % down, index % across
        return (
            min(page.tilelength, page.imagelength - row * page.tilelength),
            min(page.tilewidth, page.imagewidth - col * page.tilewidth),
        )

    def _decode_by_tags(self, data: bytes, index: int) -> Samples:
        if self._page.compression == LZW and is_cut_off(data):
            raise TileDamage(CUT_OFF)
        try:
            image = self._page.decode(
                data, index, jpegtables=self._tables or None, jpegheader=self._header
            )[0]
        except Exception as error:  # each codec has errors of its own, and bad bytes find all
            raise TileDamage(reason(error)) from error
        if image is None or image.ndim != 4 or image.dtype != np.uint8:
            raise TileDamage("the decoder gave no 8-bit image")
        samples: Samples = image[0]
        return samples


def _rgb_of_ycbcr(samples: Samples) -> Samples:
    """Return RGB of YCbCr of the full range (ITU-T T.871, section 7)."""
    y, cb, cr = np.moveaxis(samples.astype(np.float32), 2, 0)
    cb, cr = cb - 128, cr - 128
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=2)
    converted: Samples = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
    return converted


def _refuse_unknown(page: Any, name: str) -> None:
    try:
        page.decode(None, 0)  # returns without data, unless it cannot decode at all
    except Exception as error:
        number = int(page.compression)
        # Of unknown compressions, tifffile's messages name only its own classes.
        known = hasattr(page.compression, "name")
        why = reason(error) if known else f"its compression (number {number}) is not known"
        raise SlideError(
            f"{name} cannot be decoded: {why}.",
            hint="Export it with JPEG, LZW or no compression.",
        ) from error
