"""Colors of a synthetic slide: stain concentrations to RGB by Beer and Lambert's law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_fddm.slides.synthetic.noise import subseed

if TYPE_CHECKING:
    import numpy.typing as npt

    FloatImage = npt.NDArray[np.float32]

_HEMATOXYLIN = (0.60, 0.71, 0.36)
_EOSIN = (0.13, 0.80, 0.57)
_BLOOD = (0.12, 0.66, 0.74)
"""Optical densities (R, G, B) of one unit of each dye, read off public H&E images."""

_STEPS = 1024
_DARKEST = 4.0
_TRANSMITTANCE = np.exp(-np.arange(int(_STEPS * _DARKEST)) / _STEPS).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Dyes:
    """Concentrations of the dyes, each float32 of shape (h, w)."""

    hematoxylin: FloatImage
    eosin: FloatImage
    blood: FloatImage | None = None

    def scaled(self, thickness: FloatImage) -> Dyes:
        """Return the dyes of a section of this relative thickness, shape (h, w)."""
        blood = None if self.blood is None else self.blood * thickness
        return Dyes(self.hematoxylin * thickness, self.eosin * thickness, blood)


@dataclass(frozen=True, slots=True)
class StainModel:
    """How one laboratory's dyes and scanner look.

    Attributes
    ----------
    densities : array of float32, shape (3, 3)
        Optical density per unit of hematoxylin, eosin and blood (rows) in R, G, B.
    white : array of float32, shape (3,)
        Gray values of empty glass.
    """

    densities: FloatImage
    white: FloatImage

    @classmethod
    def drawn(cls, seed: int) -> StainModel:
        """Return the stain of a seed: hue and strength vary by some percent."""
        draws = np.random.default_rng(subseed(seed, 901))
        table = np.array([_HEMATOXYLIN, _EOSIN, _BLOOD])
        table = table * draws.uniform(0.92, 1.08, (3, 3))  # hue
        table = table * draws.uniform(0.82, 1.20, (3, 1))  # strength
        white = draws.uniform(240, 247) + draws.uniform(-1.5, 1.5, 3)
        return cls(table.astype(np.float32), white.astype(np.float32))

    def to_rgb(self, dyes: Dyes) -> FloatImage:
        """Return gray values 0…255, float32, shape (h, w, 3)."""
        out = np.empty((*dyes.hematoxylin.shape, 3), dtype=np.float32)
        for channel in range(3):
            h, e, b = (np.float32(d * _STEPS) for d in self.densities[:, channel])
            density = dyes.hematoxylin * h
            density += dyes.eosin * e
            if dyes.blood is not None:
                density += dyes.blood * b
            np.clip(density, 0, len(_TRANSMITTANCE) - 1, out=density)
            light = _TRANSMITTANCE.take(density.astype(np.intp))
            light *= self.white[channel]
            out[..., channel] = light
        return out
