"""Draws the pixels of one block of a synthetic slide, from its classes and dyes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.core.geometry import Window
from napari_fddm.slides.synthetic.layout import BG, TissueLayout
from napari_fddm.slides.synthetic.noise import (
    SampleGrid,
    gradient_noise,
    lattice_hash,
    subseed,
)
from napari_fddm.slides.synthetic.stains import StainModel
from napari_fddm.slides.synthetic.textures import STRUCTURES, TEXTURES, Canvas

if TYPE_CHECKING:
    import numpy.typing as npt

    FloatImage = npt.NDArray[np.float32]

_DETAIL_UM = (4.0, 14.0)
"""Pixel sizes between which cells and fibers fade into the mean color of their material."""
_STRUCTURE_UM = (40.0, 120.0)
"""Pixel sizes between which cysts and bone fade into the mean color of their class."""
_NOISE_GRAY = 1.7
"""Standard deviation of the sensor noise at 1 µm/px and finer, gray values."""
_CENSUS = 128
"""Samples along a side from which the mean color of a class is taken."""
_CENSUS_UM = 9.7
"""Their distance, µm: no multiple of a texture's period."""


@dataclass(frozen=True, slots=True)
class MeanColors:
    """Mean RGB of the two materials of a class and the share of the second.

    Attributes
    ----------
    first, second : array of float32, shape (3,)
        Gray values; the same for a class of one material.
    share : float
        Part of the class's area that the second material covers, 0…1.
    """

    first: FloatImage
    second: FloatImage
    share: float


def fading(pixel: float, limits: tuple[float, float]) -> np.float32:
    """Return 1 for pixels below the limits (µm), 0 above, linear between."""
    low, high = limits
    return np.float32(min(1.0, max(0.0, (high - pixel) / (high - low))))


class Painter:
    """Draw blocks of a slide; stateless after construction, so safe from any thread.

    Parameters
    ----------
    layout : TissueLayout
        Where each class lies.
    seed : int
        Seed of textures, stain and noise.
    """

    def __init__(self, layout: TissueLayout, seed: int) -> None:
        self._layout = layout
        self._seed = seed
        self._stain = StainModel.drawn(seed)
        self._means: dict[int, MeanColors] = {}

    def paint(
        self,
        grid: SampleGrid,
        rows: npt.NDArray[np.int64],
        cols: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.uint8]:
        """Return the block's pixels.

        Parameters
        ----------
        grid : SampleGrid
            Pixel centers, all within the slide, shape (h, w).
        rows, cols : array of int64, shapes (h,) and (w,)
            Indices of the pixels on the whole slide's grid, for the sensor noise.

        Returns
        -------
        array of uint8, shape (h, w, 3)
        """
        labels = self._layout.labels(grid)
        out = np.empty((*grid.shape, 3), dtype=np.float32)
        out[:] = self._stain.white
        for value in np.flatnonzero(np.bincount(labels.ravel())):
            if value == BG:
                continue
            mask = labels == value
            window = Window.of_mask(mask)
            if not window.is_empty:
                box = window.slices
                color = self._tissue(int(value), grid.part(*box))
                np.copyto(out[box], color, where=mask[box][..., None])
        out += self._noise(grid.pixel, rows, cols)
        np.clip(out, 0.0, 255.0, out=out)
        return out.astype(np.uint8)

    def sheet(
        self,
        value: int,
        grid: SampleGrid,
        rows: npt.NDArray[np.int64],
        cols: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.uint8]:
        """Return a grid full of one class, whatever the layout says; otherwise as `paint`."""
        out = np.empty((*grid.shape, 3), dtype=np.float32)
        out[:] = self._stain.white if value == BG else self._tissue(value, grid)
        out += self._noise(grid.pixel, rows, cols)
        np.clip(out, 0.0, 255.0, out=out)
        return out.astype(np.uint8)

    def _tissue(self, value: int, grid: SampleGrid) -> FloatImage:
        """Return gray values of one class on a whole grid, float32, shape (h, w, 3)."""
        detail = fading(grid.pixel, _DETAIL_UM)
        thickness = self._thickness(grid)
        if detail >= 1:
            return self._drawn(value, grid, thickness)
        mean = self._averaged(value, grid, thickness)
        if detail > 0:
            mean += (self._drawn(value, grid, thickness) - mean) * detail
        return mean

    def _drawn(self, value: int, grid: SampleGrid, thickness: FloatImage | None) -> FloatImage:
        dyes = TEXTURES[value](Canvas(grid, self._seed))
        if thickness is not None:
            dyes = dyes.scaled(thickness)
        return self._stain.to_rgb(dyes)

    def _thickness(self, grid: SampleGrid) -> FloatImage:
        """Return the relative section thickness, around 1: uneven cutting and staining."""
        out = np.float32(0.09) * gradient_noise(grid, 700.0, subseed(self._seed, 801))
        out += np.float32(0.07) * gradient_noise(grid, 150.0, subseed(self._seed, 802))
        out += np.float32(1)
        return out

    def _averaged(self, value: int, grid: SampleGrid, thickness: FloatImage) -> FloatImage:
        """Return the class's mean color, by material where its structures are resolved."""
        means = self.mean_colors(value)
        mixed = means.first + (means.second - means.first) * np.float32(means.share)
        out = np.empty((*grid.shape, 3), dtype=np.float32)
        out[:] = mixed
        resolved = fading(grid.pixel, _STRUCTURE_UM)
        if value in STRUCTURES and resolved > 0:
            second = self._is_second(value, grid)
            by_material = np.where(second[..., None], means.second, means.first)
            out += (by_material - mixed) * resolved
        white = self._stain.white
        out += (out - white) * (thickness - np.float32(1))[..., None] * (out / white)
        return out

    def mean_colors(self, value: int) -> MeanColors:
        """Return the mean colors of a class; computed at its first use, then kept.

        Two threads may compute the same values at once; both write equal results.
        """
        found = self._means.get(value)
        if found is None:
            found = self._means[value] = self._census(value)
        return found

    def _census(self, value: int) -> MeanColors:
        """Sample the fine texture widely, so that coarse reads get its true mean."""
        grid = SampleGrid.sampling((_CENSUS, _CENSUS), (_CENSUS_UM, _CENSUS_UM))
        rgb = self._drawn(value, grid, None)
        if value not in STRUCTURES:
            mean = _mean_color(rgb.reshape(-1, 3))
            return MeanColors(mean, mean, 0.0)
        second = self._is_second(value, grid)
        wide = SampleGrid.sampling((2 * _CENSUS, 2 * _CENSUS), (3 * _CENSUS_UM, 3 * _CENSUS_UM))
        share = float(self._is_second(value, wide).mean())
        return MeanColors(_mean_color(rgb[~second]), _mean_color(rgb[second]), share)

    def _is_second(self, value: int, grid: SampleGrid) -> npt.NDArray[np.bool_]:
        """Return where a class of two materials has its second, shape (h, w)."""
        out: npt.NDArray[np.bool_] = STRUCTURES[value](Canvas(grid, self._seed)) > 0
        return out

    def _noise(
        self, pixel: float, rows: npt.NDArray[np.int64], cols: npt.NDArray[np.int64]
    ) -> FloatImage:
        """Return sensor noise plus the half that rounds when floats become integers.

        Each channel sums two bytes of the pixel's hash (a triangular distribution of
        standard deviation 104); neighboring channels share one.
        """
        hashes = lattice_hash(subseed(self._seed, 803, round(pixel * 1000)), rows, cols)
        parts = hashes.view(np.uint8).reshape(*hashes.shape, 4).astype(np.float32)
        out: FloatImage = parts[..., :3] + parts[..., 1:]
        gain = _NOISE_GRAY / 104.0 / max(1.0, pixel) ** 0.5
        out *= np.float32(gain)
        out += np.float32(0.5 - 255.0 * gain)
        return out


def _mean_color(rgb: FloatImage) -> FloatImage:
    """Return the mean of pixels (n, 3) as float32, shape (3,)."""
    out: FloatImage = rgb.mean(axis=0, dtype=np.float64).astype(np.float32)
    return out
