"""Other stains: what a stronger, weaker or differently tinted stain makes of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class StainRange:
    """From where the gains of a stain are drawn.

    Attributes
    ----------
    strengths : tuple of (low, high)
        Intervals of the common factor on optical density, one of which is chosen.
    hue : tuple of float
        Interval of the further factor of each of R, G and B.
    """

    strengths: tuple[tuple[float, float], ...]
    hue: tuple[float, float]

    def drawn(self, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """Return gains of optical density in R, G, B, shape (3,)."""
        low, high = self.strengths[int(rng.integers(len(self.strengths)))]
        gains: npt.NDArray[np.float64] = rng.uniform(low, high) * rng.uniform(*self.hue, 3)
        return gains


SEEN = StainRange(((0.75, 1.3),), (0.92, 1.08))
"""What stage 1 and stage 2 are trained with."""
SHIFTED = StainRange(((0.5, 0.65), (1.45, 1.75)), (0.8, 1.2))
"""Beyond everything they have seen: for tests under shift alone."""


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
