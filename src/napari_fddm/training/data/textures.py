"""Composites: images of real tissue textures under random masks, with exact truth.

Real tiles are labeled as a whole. Combined under a mask they give regions whose boundaries
are known exactly, in the colors and textures of a real laboratory. Classes without real
tiles are filled with the textures of synthetic slides. Composites measure how well
boundaries between textures are found; the arrangement of the tissue is not realistic.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_fddm.core.classes import OSTEOSARCOMA
from napari_fddm.core.errors import ConfigError
from napari_fddm.core.naming.case_ids import refuse_twice_spelled
from napari_fddm.core.outside.pictures import open_picture
from napari_fddm.core.outside.tables import read_table
from napari_fddm.core.outside.text import quoted, visible
from napari_fddm.slides.synthetic.slide import texture_sheet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    Rgb = npt.NDArray[np.uint8]

COMPOSITE_PX = 2048
"""Edge of a composite, px: one region."""
COMPOSITE_MPP = 1.0
TEXTURE_COLUMNS = ("file", "label3", "patient", "slide")
LABEL_CLASSES = {"non_tumor": "NT", "necrosis": "NC", "viable_tumor": "VT"}
_COARSE = 8
"""The noise of the mask is drawn on a grid with cells of this many px and interpolated."""


@dataclass(frozen=True, slots=True)
class Texture:
    """A real tile of one class.

    Attributes
    ----------
    path : Path
        Image file.
    value : int
        Label value.
    case, slide : str
        The patient and slide from which it was cut.
    """

    path: Path
    value: int
    case: str
    slide: str


def read_textures(manifest: Path) -> list[Texture]:
    """Read a table of tiles with the columns file, label3, patient and slide.

    Raises
    ------
    ConfigError
        If the table cannot be read, lacks a column or has an unknown label.
    """
    table = read_table(manifest, "a table of tiles", error=ConfigError)
    missing = [column for column in TEXTURE_COLUMNS if column not in table.header]
    if missing:
        raise ConfigError(
            f"{visible(manifest)} lacks {', '.join(missing)} ({table.seen}).",
            hint=f"It needs the columns {', '.join(TEXTURE_COLUMNS)}.",
        )
    found = []
    for line, row in table:
        label = row["label3"]
        if label not in LABEL_CLASSES:
            raise ConfigError(
                f"line {line} of {visible(manifest.name)}: the label {quoted(label)} is none of "
                f"{', '.join(LABEL_CLASSES)}.",
                hint="Correct it, or remove the row.",
            )
        value = OSTEOSARCOMA[LABEL_CLASSES[label]].value
        found.append(Texture(manifest.parent / row["file"], value, row["patient"], row["slide"]))
    refuse_twice_spelled(
        ((row["patient"], f"line {line}") for line, row in table),
        manifest.name,
        error=ConfigError,
        way_out="If they are several patients, give them ids of their own.",
    )
    return found


@dataclass(frozen=True, slots=True)
class Composer:
    """Composes images of textures.

    Attributes
    ----------
    textures : mapping of int to list of Texture
        Real tiles by label value; classes without any get synthetic textures.
    size : int
        Edge of an image, px, a multiple of 8.
    """

    textures: Mapping[int, list[Texture]]
    size: int = COMPOSITE_PX
    _opened: dict[Path, Rgb] = field(default_factory=dict, repr=False)

    def compose(self, rng: np.random.Generator) -> tuple[Rgb, npt.NDArray[np.uint8]]:
        """Return an image (h, w, 3) and the label value of each of its pixels (h, w)."""
        truth = smooth_mask(rng, (self.size, self.size), len(OSTEOSARCOMA))
        image = np.empty((self.size, self.size, 3), np.uint8)
        for value in np.unique(truth):
            where = truth == value
            image[where] = self._sheet(int(value), rng)[where]
        return image, truth

    def _sheet(self, value: int, rng: np.random.Generator) -> Rgb:
        """Return a sheet of one class: real tiles side by side, turned at random."""
        tiles = self.textures.get(value, [])
        shape = (self.size, self.size)
        if not tiles:
            seed = int(rng.integers(2**31))
            return texture_sheet(value, shape, mpp=COMPOSITE_MPP, seed=seed)
        sheet = np.empty((*shape, 3), np.uint8)
        y = 0
        while y < self.size:
            x, height = 0, 0
            while x < self.size:
                tile = _turned(self._open(tiles[int(rng.integers(len(tiles)))].path), rng)
                part = tile[: self.size - y, : self.size - x]
                sheet[y : y + part.shape[0], x : x + part.shape[1]] = part
                x += part.shape[1]
                height = max(height, part.shape[0])
            y += height
        return sheet

    def _open(self, path: Path) -> Rgb:
        if path not in self._opened:
            with open_picture(path, "a tile", error=ConfigError) as image:
                self._opened[path] = np.asarray(image.convert("RGB"))
        return self._opened[path]


def smooth_mask(
    rng: np.random.Generator, shape: tuple[int, int], classes: int
) -> npt.NDArray[np.uint8]:
    """Return label values 1…classes in random smooth blobs, shape (h, w).

    Each class has a smooth random field of its own; the highest one wins.
    """
    coarse = tuple(-(-n // _COARSE) + 1 for n in shape)
    best = np.full(shape, -np.inf, np.float32)
    truth = np.ones(shape, np.uint8)
    rows, cols = (np.arange(n) / _COARSE for n in shape)
    for value in range(1, classes + 1):
        blob = rng.uniform(8.0, 26.0)  # sd of the smoothing, in steps of 8 px
        smooth = ndimage.gaussian_filter(rng.standard_normal(coarse), blob, mode="reflect")
        smooth = smooth / smooth.std() + 0.6 * rng.standard_normal()
        plane = _interpolated(smooth.astype(np.float32), rows, cols)
        better = plane > best
        best[better] = plane[better]
        truth[better] = value
    return truth


def _interpolated(
    values: npt.NDArray[np.float32],
    rows: npt.NDArray[np.float64],
    cols: npt.NDArray[np.float64],
) -> npt.NDArray[np.float32]:
    """Interpolate a grid linearly at given rows and columns, one axis after the other."""
    for places in (rows, cols):  # each pass interpolates the first axis and transposes
        low = places.astype(np.intp)
        part = (places - low).astype(np.float32)[:, None]
        values = (values[low] * (1 - part) + values[low + 1] * part).T
    return values


def _turned(tile: Rgb, rng: np.random.Generator) -> Rgb:
    tile = np.rot90(tile, int(rng.integers(4)))
    return tile[:, ::-1] if rng.integers(2) else tile
