"""Image and radiomics as one feature: a gate says how much each counts.

See ``docs/algorithm.md#gated-fusion``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

WIDTH = 256
GATE_WIDTH = 128
DROPOUT = 0.3
FLAT = 1e-8
"""A feature with a smaller standard deviation is not scaled."""


class Fused(NamedTuple):
    """The fused feature and how it came about.

    Attributes
    ----------
    features : tensor, shape (n, 256)
    weights : tensor, shape (n, 2)
        Of the image and of radiomics; they add up to 1.
    """

    features: torch.Tensor
    weights: torch.Tensor


class GatedFusion(nn.Module):
    """RadiomicsOS' attention gate over an image embedding and radiomics.

    Parameters
    ----------
    image_features : int
        Width of the backbone's pooled feature.
    radiomics : int
        Number of radiomic features.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, image_features: int, radiomics: int) -> None:
        super().__init__()
        self.image = nn.Sequential(
            nn.Linear(image_features, WIDTH), nn.BatchNorm1d(WIDTH), nn.ReLU(), nn.Dropout(DROPOUT)
        )
        self.radiomics = nn.Sequential(
            nn.BatchNorm1d(radiomics),
            nn.Linear(radiomics, WIDTH),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(WIDTH, WIDTH),
            nn.ReLU(),
        )
        self.gate = nn.Sequential(
            nn.Linear(2 * WIDTH, GATE_WIDTH),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
            nn.Linear(GATE_WIDTH, 2),
        )
        self.register_buffer("mean", torch.zeros(radiomics))
        self.register_buffer("std", torch.ones(radiomics))

    def standardize_by(self, radiomics: torch.Tensor) -> None:
        """Take mean and standard deviation of training features (n, f) for z-scores."""
        values = radiomics.double()
        std = values.std(dim=0, correction=0)
        self.mean.copy_(values.mean(dim=0))
        self.std.copy_(torch.where(std <= FLAT, torch.ones_like(std), std))

    def forward(self, image: torch.Tensor, radiomics: torch.Tensor) -> Fused:
        """Fuse pooled features (n, d) and radiomics (n, f)."""
        seen = self.image(image)
        measured = self.radiomics((radiomics - self.mean) / self.std)
        weights = torch.softmax(self.gate(torch.cat([seen, measured], dim=1)), dim=1)
        return Fused(weights[:, :1] * seen + weights[:, 1:] * measured, weights)
