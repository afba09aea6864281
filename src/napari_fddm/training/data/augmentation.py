"""Augmentation of a batch on its device: rotations, flips and changes of the stain.

Stains vary as in Tellez 2018: Beer–Lambert densities are expressed as hematoxylin,
eosin and a rest (Ruifrok and Johnston 2001), and each is scaled and shifted at random.
The truth is rotated and flipped with the pixels. Every random number comes from a
generator that the caller seeds for each step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    import numpy.typing as npt

HEMATOXYLIN_EOSIN = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
"""Optical density in red, green and blue of one unit of each stain (rows)."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Ranges of the random changes.

    Attributes
    ----------
    stain_scale : float
        The strength of each stain is multiplied by a factor in 1 ± this.
    stain_shift : float
        Then a value in ± this is added, in units of optical density.
    turn : bool
        Whether to rotate by multiples of 90° and to flip.
    """

    stain_scale: float = 0.25
    stain_shift: float = 0.03
    turn: bool = True


def augment(
    pixels: torch.Tensor,
    truth: torch.Tensor,
    rng: np.random.Generator,
    how: Augmentation,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Change each sample of a batch at random.

    Parameters
    ----------
    pixels : tensor of uint8, shape (n, s, s, 3)
    truth : tensor, shape (n, t, t)
        Rotated and flipped with the pixels.
    rng : numpy Generator
        Source of every random number.
    how : Augmentation
        Ranges of the changes.

    Returns
    -------
    pixels, truth : tensors
        Of the same shapes.
    """
    if how.turn:
        moves = [(int(rng.integers(4)), bool(rng.integers(2))) for _ in range(len(pixels))]
        pixels = torch.stack([_rotated(p, *m) for p, m in zip(pixels, moves, strict=True)])
        truth = torch.stack([_rotated(t, *m) for t, m in zip(truth, moves, strict=True)])
    return restain(pixels, rng, how), truth


def restain(pixels: torch.Tensor, rng: np.random.Generator, how: Augmentation) -> torch.Tensor:
    """Change the stains of uint8 images (n, h, w, 3) at random."""
    n = len(pixels)
    scale = rng.uniform(1 - how.stain_scale, 1 + how.stain_scale, (n, 3))
    shift = rng.uniform(-how.stain_shift, how.stain_shift, (n, 3))
    if not how.stain_scale and not how.stain_shift:
        return pixels
    matrix, offset = _density_changes(scale, shift)
    density = -torch.log((pixels.float() + 1.0) / 256.0)
    changed = density.flatten(1, 2) @ _like(matrix, density) + _like(offset, density)[:, None]
    stained = 256.0 * torch.exp(-changed).view(pixels.shape) - 1.0
    return stained.round().clamp(0, 255).to(torch.uint8)


def _density_changes(
    scale: npt.NDArray[np.float64], shift: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the linear map (n, 3, 3) and the offset (n, 3) of densities, rows on the left."""
    stains = HEMATOXYLIN_EOSIN / np.linalg.norm(HEMATOXYLIN_EOSIN, axis=1, keepdims=True)
    amounts = np.linalg.inv(stains)
    return amounts @ (scale[:, :, None] * stains), shift @ stains


def _like(values: npt.NDArray[np.float64], other: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(values).to(other.device, other.dtype)


def _rotated(image: torch.Tensor, quarters: int, flip: bool) -> torch.Tensor:
    turned = torch.rot90(image, quarters, (0, 1))
    return torch.flip(turned, (1,)) if flip else turned
