"""Changes pixels as a stronger, weaker or differently tinted stain would."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class StainRange:
    """Range from which the gains of a stain are drawn.

    Attributes
    ----------
    strengths : tuple of (low, high)
        Intervals of the factor on the optical density of all channels; one of them is
        chosen at random.
    hue : tuple of float
        Interval of a further factor on each of R, G and B.
    """

    strengths: tuple[tuple[float, float], ...]
    hue: tuple[float, float]

    def drawn(self, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """Draw the gains of optical density in R, G and B, shape (3,)."""
        low, high = self.strengths[int(rng.integers(len(self.strengths)))]
        gains: npt.NDArray[np.float64] = rng.uniform(low, high) * rng.uniform(*self.hue, 3)
        return gains


SEEN = StainRange(((0.75, 1.3),), (0.92, 1.08))
"""Stains of the synthetic slides that the bundled model is trained on."""
SHIFTED = StainRange(((0.5, 0.65), (1.45, 1.75)), (0.8, 1.2))
"""Outside the range of the training: for measurements under stain shift only."""


def restained(
    pixels: npt.NDArray[np.uint8], gains: npt.NDArray[np.float64]
) -> npt.NDArray[np.uint8]:
    """Scale the optical density of pixels (…, 3) by the gains of R, G and B (Beer–Lambert)."""
    gray = np.arange(256)
    density = -np.log((gray + 1.0) / 256.0)
    out = np.empty_like(pixels)
    for channel, gain in enumerate(gains):
        table = np.clip(np.rint(256.0 * np.exp(-density * gain) - 1.0), 0, 255).astype(np.uint8)
        out[..., channel] = table[pixels[..., channel]]
    return out
